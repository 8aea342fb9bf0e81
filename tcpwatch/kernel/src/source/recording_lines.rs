//! The form of a recording in lines of JSON: the header, then an entry a line, records in hexadecimal.

use std::io::{self, BufRead, Read as _, Write};

use super::{
    frame::Frame,
    packed::chunk::{EntryKind, RecordingChunk},
    recording::RecordingError,
};

/// Bytes of a line at most. The first one is the longest, and has some thousand.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// Reads lines.
pub(super) struct LinesReader<F> {
    file: F,
    /// The line that was read last, and its number, from 1.
    text: Vec<u8>,
    line: usize,
    /// The line within which the file ends.
    pub(super) cut: Option<usize>,
}

impl<F: BufRead> LinesReader<F> {
    /// Reads the first line.
    pub(super) fn open(mut file: F) -> Result<Self, RecordingError> {
        let mut text = Vec::new();
        if read_line(&mut file, 1, &mut text)? == Read::End && text.is_empty() {
            return Err(RecordingError::Empty);
        }
        Ok(Self { file, text, line: 1, cut: None })
    }

    /// The line that was read last.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Reads the next line.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, RecordingError> {
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

/// Writes entries as lines.
pub(super) fn write_lines(file: &mut impl Write, chunk: &RecordingChunk) -> io::Result<()> {
    for (kind, entry) in chunk.iter() {
        if kind == EntryKind::Record {
            file.write_all(&record_line(entry))?;
        } else {
            file.write_all(entry)?;
        }
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// A record as a line, without its end.
pub(super) fn record_line(record: &[u8]) -> Vec<u8> {
    format!("{{\"record\":\"{}\"}}", hex::encode(record)).into_bytes()
}
