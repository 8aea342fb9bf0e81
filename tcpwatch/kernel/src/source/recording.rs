//! Recordings: what came in, read back for bug reports, tests, and after the incident.
//!
//! Both forms hold the same: a header with what the records need to be understood elsewhere, the sockets that existed,
//! then records and what was asked of the kernel, in their order. One form is [blocks](super::packed), the other
//! [lines](super::recording_lines) of JSON.

use std::io;

use serde::{Deserialize, Serialize};
use tcpwatch_core::{
    decode::{ResetReasons, Symbols},
    event::{CgroupId, KernelTime, KnownSocket, Netns, Waiter, WallClock},
    facts::HostFacts,
    place::CgroupPlace,
    sink::Loss,
    timing::Sysctls,
    track::{Gone, Others, Reliance},
};

use super::{
    foreign::{self, ForeignFile, MAKE},
    frame::Frame,
    packed::{
        self, MAGIC,
        columns::BlockEntry,
        damage::{BlockDamage, EarlyFileEnd},
        reader::{PackedItem, PackedReader},
    },
    recording_input::RecordingInput,
    recording_lines::{LONGEST_LINE, LinesReader},
};

/// What a recording begins with.
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
    /// Parts that were written before this one, those that were removed included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The part of the first line that every version has.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "tcpwatch_recording")]
    version: u32,
}

impl Header {
    /// The version of the form in lines; that in blocks is [`packed::VERSION`].
    pub const VERSION: u32 = 1;
}

/// This is in the first line, in every version.
const NAME: &[u8] = b"\"tcpwatch_recording\"";
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
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
    /// Records that the kernel side lost.
    Loss(Loss),
    /// Sockets that were found to be gone after losses.
    Gone(Gone),
    /// Where a cgroup is, before the first record that names it.
    Cgroup(RecordedCgroup),
    /// Parts of the recording are missing here, so many.
    PartsMissing(u64),
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
        CgroupPlace::named(&self.path, |_id| self.container_name.as_deref().map(Into::into))
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
    /// The file ends before its header does.
    #[error(
        "the recording ends within its header, and nothing can be replayed without it: it was copied in part, or its \
         writer was stopped as it began"
    )]
    CutBeginning,
    /// A block of a recording is not what it should be.
    #[error("{0}")]
    Block(#[from] BlockDamage),
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
    #[error(
        "the recording has version {0}, this tcpwatch reads versions {lines} and {blocks}",
        lines = Header::VERSION, blocks = packed::VERSION
    )]
    Version(u32),
}

/// Reads a recording: sockets at once, records one by one.
pub struct Recording<F> {
    /// What it begins with.
    pub header: Header,
    /// Sockets that existed.
    pub known: Vec<KnownSocket>,
    /// Where their cgroups are.
    pub cgroups: Vec<RecordedCgroup>,
    form: RecordingForm<F>,
    /// What ended the list of sockets.
    first: Option<RecordedItem>,
    /// Parts of a look that is not complete yet.
    facts: Option<HostFacts>,
}

enum RecordingForm<F> {
    Lines(LinesReader<F>),
    Blocks {
        reader: Box<PackedReader<F>>,
        /// The number of the part that is read.
        part: u64,
    },
}

impl<F: RecordingInput> Recording<F> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// If it cannot be read or another version wrote it.
    pub fn open(mut file: F) -> Result<Self, RecordingError> {
        let mut is_packed = false;
        if let Ok(first) = file.fill_buf() {
            if let Some(foreign) = foreign::identify(first) {
                return Err(foreign.into());
            }
            let length = first.len().min(MAGIC.len());
            is_packed = length > 0 && MAGIC.get(..length) == first.get(..length);
        }
        let (form, header) = if is_packed {
            let reader = Box::new(PackedReader::open(file)?);
            let header = packed_header(&reader.header)?;
            (RecordingForm::Blocks { reader, part: header.part }, header)
        } else {
            let reader = LinesReader::open(file)?;
            let header = header(reader.text())?;
            (RecordingForm::Lines(reader), header)
        };
        let (known, cgroups) = (Vec::new(), Vec::new());
        let mut recording = Self { header, known, cgroups, form, first: None, facts: None };
        recording.read_known()?;
        Ok(recording)
    }

    fn read_known(&mut self) -> Result<(), RecordingError> {
        while let Some(frame) = self.next_whole_frame()? {
            match frame {
                Frame::Known(socket) => self.known.push(socket),
                Frame::Cgroup(id, path, container_name) => {
                    self.cgroups.push(RecordedCgroup { id, path, container_name });
                }
                other => {
                    self.first = other.item();
                    break;
                }
            }
        }
        Ok(())
    }

    /// From now on what did not happen in this span need not be read, and may be yielded nevertheless. What later
    /// records need is.
    pub fn want(&mut self, from: KernelTime, to: KernelTime) {
        if let RecordingForm::Blocks { reader, .. } = &mut self.form {
            reader.want(from, to);
        }
    }

    /// What came in next.
    ///
    /// # Errors
    /// If the file cannot be read or a line is not what it should be.
    pub fn next_item(&mut self) -> Result<Option<RecordedItem>, RecordingError> {
        if let Some(item) = self.first.take() {
            return Ok(Some(item));
        }
        while let Some(frame) = self.next_whole_frame()? {
            if let Some(item) = frame.item() {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    /// The next frame; the parts of a look are in its last one.
    fn next_whole_frame(&mut self) -> Result<Option<Frame>, RecordingError> {
        while let Some(frame) = self.next_frame()? {
            match frame {
                Frame::PartOfFacts(part) => self.part(*part),
                Frame::Facts(rest) => {
                    return Ok(Some(Frame::Facts(Box::new(self.whole(*rest)))));
                }
                other => return Ok(Some(other)),
            }
        }
        Ok(None)
    }

    fn part(&mut self, part: HostFacts) {
        match &mut self.facts {
            Some(facts) if facts.at == part.at => facts.add(part),
            facts => *facts = Some(part),
        }
    }

    fn whole(&mut self, rest: HostFacts) -> HostFacts {
        let begun = self.facts.take().filter(|facts| facts.at == rest.at);
        let mut facts = begun.unwrap_or(HostFacts { namespaces: Vec::new(), ..rest.clone() });
        facts.unseen.clone_from(&rest.unseen);
        facts.add(rest);
        facts
    }

    /// Where the file ends before its end, once that has been read: whoever wrote it was stopped, or the copy is not
    /// complete. Nothing of that line or block is replayed.
    #[must_use]
    pub const fn early_end(&self) -> Option<EarlyFileEnd> {
        match &self.form {
            RecordingForm::Lines(LinesReader { cut: Some(line), .. }) => {
                Some(EarlyFileEnd::Line(*line))
            }
            RecordingForm::Lines(_) => None,
            RecordingForm::Blocks { reader, .. } => reader.early_end(),
        }
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, RecordingError> {
        let (reader, part) = match &mut self.form {
            RecordingForm::Lines(reader) => return reader.next_frame(),
            RecordingForm::Blocks { reader, part } => (reader, part),
        };
        loop {
            let at = reader.at();
            return Ok(Some(match reader.next_item()? {
                None => return Ok(None),
                Some(PackedItem::Entry(BlockEntry::Record(record))) => {
                    Frame::Record(record.to_vec())
                }
                Some(PackedItem::Entry(BlockEntry::Line(line))) => {
                    serde_json::from_slice(line).map_err(|_error| BlockDamage::Content { at })?
                }
                Some(PackedItem::Part) => {
                    let next = packed_header(&reader.header)?;
                    let due = part.saturating_add(1);
                    if next.clock != self.header.clock || next.part < due {
                        return Err(BlockDamage::Another { at }.into());
                    }
                    *part = next.part;
                    match next.part - due {
                        0 => continue,
                        missing => Frame::PartsMissing(missing),
                    }
                }
            }));
        }
    }
}

/// The header of a recording in blocks.
pub(super) fn packed_header(json: &[u8]) -> Result<Header, RecordingError> {
    Ok(serde_json::from_slice(json).map_err(|_error| BlockDamage::Content { at: 0 })?)
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
