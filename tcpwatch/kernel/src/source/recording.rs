//! Recordings: what came in, written as JSON lines and read back, for bug reports and tests.
//!
//! The first line holds what the records need to be understood elsewhere, the next ones the sockets
//! that existed, the rest one record each, its bytes in hexadecimal.

use std::io::{self, BufRead, Read as _, Write};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tcpwatch_core::{
    decode::{ResetReasons, Symbols},
    event::{CgroupId, KnownSocket, Netns, Waiter, WallClock},
    facts::HostFacts,
    place::CgroupPlace,
    timing::Sysctls,
    track::{Others, Reliance},
};

use super::container_names::LONGEST_NAME;
use super::foreign::{self, ForeignFile, MAKE};

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Version of the form.
    #[serde(rename = "tcpwatch_recording")]
    pub version: u32,
    /// Both clocks when the recording began.
    pub clock: WallClock,
    /// What the tracker could rely on.
    pub reliance: Reliance,
    /// Names of the kernel functions in records.
    pub symbols: Symbols,
    /// Names of the reasons in records.
    #[serde(default)]
    pub reset_reasons: ResetReasons,
}

/// The part of the first line that every version has.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "tcpwatch_recording")]
    version: u32,
}

impl Header {
    /// The version this program writes and reads.
    pub const VERSION: u32 = 1;
}

/// This is in the first line, in every version.
const NAME: &[u8] = b"\"tcpwatch_recording\"";
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes of a line at most. The first one is the longest, and has some thousand.
const LONGEST_LINE: usize = 1 << 20;

/// Any other line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Frame {
    Known(KnownSocket),
    /// Written by [`Recorder::record`].
    #[serde(skip_serializing)]
    Record(#[serde(deserialize_with = "bytes")] Vec<u8>),
    Answer(KnownSocket),
    Waiter(Waiter),
    Others(Others),
    Sysctls(Netns, Sysctls),
    Facts(Box<HostFacts>),
    /// A cgroup's path, in hexadecimal: it need not be text; and the name of its container, if it has one that is
    /// known.
    Cgroup(
        CgroupId,
        #[serde(serialize_with = "digits", deserialize_with = "path")] Vec<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "name")]
        Option<String>,
    ),
}

/// Hexadecimal digits become bytes, whose number is known beforehand.
fn bytes<'de, D: Deserializer<'de>>(digits: D) -> Result<Vec<u8>, D::Error> {
    let digits = <&str>::deserialize(digits)?;
    let mut bytes = vec![0; digits.len() / 2];
    hex::decode_to_slice(digits, &mut bytes).map_err(D::Error::custom)?;
    Ok(bytes)
}

/// The same of a path, which the kernel does not let be longer than `PATH_MAX`.
fn path<'de, D: Deserializer<'de>>(digits: D) -> Result<Vec<u8>, D::Error> {
    const PATH_MAX: usize = 4096;
    let path = bytes(digits)?;
    if path.len() > PATH_MAX {
        return Err(D::Error::custom("it is longer than a path can be"));
    }
    Ok(path)
}

/// The name of a container, as long as one can be.
fn name<'de, D: Deserializer<'de>>(text: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(text)?;
    if name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
        return Err(D::Error::custom("it is longer than the name of a container can be"));
    }
    Ok(name)
}

fn digits<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

impl Frame {
    fn item(self) -> Option<RecordedItem> {
        match self {
            Self::Known(_) => None,
            Self::Record(bytes) => Some(RecordedItem::Record(bytes)),
            Self::Answer(socket) => Some(RecordedItem::Answer(socket)),
            Self::Waiter(waiter) => Some(RecordedItem::Waiter(Box::new(waiter))),
            Self::Others(others) => Some(RecordedItem::Others(others)),
            Self::Sysctls(netns, sysctls) => Some(RecordedItem::Sysctls(netns, sysctls)),
            Self::Facts(facts) => Some(RecordedItem::Facts(facts)),
            Self::Cgroup(id, path, container_name) => {
                Some(RecordedItem::Cgroup(RecordedCgroup { id, path, container_name }))
            }
        }
    }
}

/// What came in, in the order in which it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedItem {
    /// A record of the kernel side.
    Record(Vec<u8>),
    /// The kernel's answer to a question about a socket.
    Answer(KnownSocket),
    /// The kernel's answer to a question about a socket that stays in a state.
    Waiter(Box<Waiter>),
    /// More of one kind that stay.
    Others(Others),
    /// By which rules a namespace sends again.
    Sysctls(Netns, Sysctls),
    /// A look at the kernel.
    Facts(Box<HostFacts>),
    /// Where a cgroup is, before the first record that names it.
    Cgroup(RecordedCgroup),
}

/// Where a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCgroup {
    /// Its number.
    pub id: CgroupId,
    /// From the root of the hierarchy.
    pub path: Vec<u8>,
    /// What its container is called by its manager, if it is in one with a name that was known.
    pub container_name: Option<String>,
}

impl RecordedCgroup {
    /// What that says.
    #[must_use]
    pub fn place(&self) -> CgroupPlace {
        let mut place = CgroupPlace::of(&self.path);
        if let Some(container) = &mut place.container {
            container.name = self.container_name.as_deref().map(Into::into);
        }
        place
    }
}

/// A recording that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Read(#[from] io::Error),
    /// The file is something else.
    #[error("{0}")]
    Foreign(#[from] ForeignFile),
    /// The first line is none of a recording, and nothing else that is known.
    #[error(
        "it is no recording: its first line is not the one that a recording begins with; {MAKE}"
    )]
    NoRecording,
    /// A line of a recording is not what it should be.
    #[error(
        "line {line} of the recording is damaged at column {column}: `tcpwatch --record` does not write \
         such a line"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
        /// Where in it, from 1; 0 if no single place is wrong.
        column: usize,
    },
    /// The file ends within its first line.
    #[error(
        "the recording ends within its first line, and nothing can be replayed without it: it was \
         copied in part, or its writer was stopped as it began"
    )]
    CutShort,
    /// A recording that is being made cannot be written. Its reader may have gone: unlike with
    /// the output, that is no normal end.
    #[error("cannot write the recording: {0}")]
    Write(String),
    /// A line does not end.
    #[error("line {0} of the recording has more than {LONGEST_LINE} bytes: this is no recording")]
    Long(usize),
    /// The file is empty.
    #[error("the recording is empty: nothing was written, or it was not copied; {MAKE}")]
    Empty,
    /// Another version wrote it.
    #[error("the recording has version {0}, this tcpwatch reads version {expected}", expected = Header::VERSION)]
    Version(u32),
}

/// Writes a recording.
pub struct Recorder {
    file: Box<dyn Write>,
    digits: Vec<u8>,
}

impl Recorder {
    /// Begins a recording.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn new(mut file: Box<dyn Write>, header: &Header) -> io::Result<Self> {
        write_line(&mut file, header)?;
        Ok(Self { file, digits: Vec::new() })
    }

    /// Writes the sockets that existed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn known(&mut self, sockets: &[KnownSocket]) -> io::Result<()> {
        sockets.iter().try_for_each(|socket| write_line(&mut self.file, &Frame::Known(*socket)))
    }

    /// Writes the kernel's answer to a question about a socket.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn answer(&mut self, socket: &KnownSocket) -> io::Result<()> {
        write_line(&mut self.file, &Frame::Answer(*socket))
    }

    /// Writes the kernel's answer to a question about a socket that stays in a state.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn waiter(&mut self, waiter: &Waiter) -> io::Result<()> {
        write_line(&mut self.file, &Frame::Waiter(*waiter))
    }

    /// Writes that more of one kind stay.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn others(&mut self, others: &Others) -> io::Result<()> {
        write_line(&mut self.file, &Frame::Others(*others))
    }

    /// Writes by which rules a namespace sends again.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn sysctls(&mut self, netns: Netns, sysctls: Sysctls) -> io::Result<()> {
        write_line(&mut self.file, &Frame::Sysctls(netns, sysctls))
    }

    /// Writes a look at the kernel.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn facts(&mut self, facts: &HostFacts) -> io::Result<()> {
        write_line(&mut self.file, &Frame::Facts(Box::new(facts.clone())))
    }

    /// Writes the path of a cgroup, and the name of its container.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn cgroup(&mut self, id: CgroupId, path: &[u8], name: Option<&str>) -> io::Result<()> {
        write_line(&mut self.file, &Frame::Cgroup(id, path.to_vec(), name.map(ToOwned::to_owned)))
    }

    /// Writes out what may still be in memory: what was recorded until now is kept if the process is
    /// killed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Writes a record. There are hundreds of thousands in a second: a serializer and a string for each
    /// would be most of what a recording costs.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&mut self, record: &[u8]) -> io::Result<()> {
        self.digits.resize(2 * record.len(), b'0');
        hex::encode_to_slice(record, &mut self.digits).map_err(io::Error::other)?;
        self.file.write_all(b"{\"record\":\"")?;
        self.file.write_all(&self.digits)?;
        self.file.write_all(b"\"}\n")
    }
}

fn write_line(file: &mut Box<dyn Write>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *file, value)?;
    file.write_all(b"\n")
}

/// Reads a recording: sockets at once, records one by one.
pub struct Recording<F> {
    /// The first line.
    pub header: Header,
    /// Sockets that existed.
    pub known: Vec<KnownSocket>,
    /// Where their cgroups are.
    pub cgroups: Vec<RecordedCgroup>,
    file: F,
    /// The line that was read last, and its number, from 1.
    text: Vec<u8>,
    line: usize,
    /// What ended the list of sockets.
    first: Option<RecordedItem>,
    /// The line within which the file ends.
    cut: Option<usize>,
}

impl<F: BufRead> Recording<F> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// If it cannot be read or another version wrote it.
    pub fn open(mut file: F) -> Result<Self, RecordingError> {
        let mut text = Vec::new();
        if let Ok(first) = file.fill_buf()
            && let Some(foreign) = foreign::identify(first)
        {
            return Err(foreign.into());
        }
        if read_line(&mut file, 1, &mut text)? == Read::End && text.is_empty() {
            return Err(RecordingError::Empty);
        }
        let header = header(&text)?;
        let (known, cgroups, first, cut) = (Vec::new(), Vec::new(), None, None);
        let mut recording = Self { header, known, cgroups, file, text, line: 1, first, cut };
        while let Some(frame) = recording.next_frame()? {
            match frame {
                Frame::Known(socket) => recording.known.push(socket),
                Frame::Cgroup(id, path, container_name) => {
                    recording.cgroups.push(RecordedCgroup { id, path, container_name });
                }
                other => {
                    recording.first = other.item();
                    break;
                }
            }
        }
        Ok(recording)
    }

    /// What came in next.
    ///
    /// # Errors
    /// If the file cannot be read or a line is not what it should be.
    pub fn next_item(&mut self) -> Result<Option<RecordedItem>, RecordingError> {
        if let Some(item) = self.first.take() {
            return Ok(Some(item));
        }
        while let Some(frame) = self.next_frame()? {
            if let Some(item) = frame.item() {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    /// The number of the line within which the file ends, once that has been read: whoever wrote it was
    /// stopped, or the copy is not complete. Nothing of that line is replayed.
    #[must_use]
    pub const fn cut_line(&self) -> Option<usize> {
        self.cut
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, RecordingError> {
        let line = self.line + 1;
        let read = read_line(&mut self.file, line, &mut self.text)?;
        self.line = line;
        if read == Read::End && self.text.is_empty() {
            return Ok(None);
        }
        match serde_json::from_slice(&self.text) {
            Ok(frame) => Ok(Some(frame)),
            Err(_) if read == Read::End => {
                self.cut = Some(line);
                Ok(None)
            }
            Err(error) => Err(RecordingError::Line { line, column: error.column() }),
        }
    }
}

/// The first line, after a byte order mark if an editor put one before it.
fn header(text: &[u8]) -> Result<Header, RecordingError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if !text.windows(NAME.len()).any(|part| part == NAME) {
        return Err(foreign::identify(text).map_or(RecordingError::NoRecording, Into::into));
    }
    let damaged = |error: serde_json::Error| match text.last() {
        Some(b'\n') => RecordingError::Line { line: 1, column: error.column() },
        _ => RecordingError::CutShort,
    };
    let Version { version } = serde_json::from_slice(text).map_err(damaged)?;
    if version != Header::VERSION {
        return Err(RecordingError::Version(version));
    }
    serde_json::from_slice(text).map_err(damaged)
}

/// What reading a line came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// A line with its end.
    Line,
    /// The file's end, which may have come within a line.
    End,
}

/// Puts the next line, which has this number, into `text`.
fn read_line(
    file: &mut impl BufRead,
    line: usize,
    text: &mut Vec<u8>,
) -> Result<Read, RecordingError> {
    text.clear();
    let most = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    match file.take(most).read_until(b'\n', text) {
        // A compressed file breaks off like this.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Read::End),
        read => read?,
    };
    match text.last() {
        Some(b'\n') => Ok(Read::Line),
        _ if text.len() >= LONGEST_LINE => Err(RecordingError::Long(line)),
        _ => Ok(Read::End),
    }
}
