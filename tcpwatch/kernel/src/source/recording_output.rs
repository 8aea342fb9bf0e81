//! Where a recording is written to, in the form that its name says: `.jsonl` is lines of JSON, everything else blocks.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::{
    packed::{
        self,
        chunk::{EntryKind, RecordingChunk},
        writer::PackedWriter,
    },
    recording::Header,
    recording_file::RecordingFile,
    recording_lines::write_lines,
    recording_parts,
};

/// Lines that every part repeats, the newest of them: where cgroups are, sysctls.
const MOST_REPEATED: usize = 1 << 14;

/// The file of a recording, and how large it may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingTarget {
    /// Its name.
    pub path: PathBuf,
    /// Bytes that all its parts may have together.
    pub most: Option<u64>,
}

/// A recording that is written.
pub(super) enum RecordingOutput {
    Lines(RecordingFile),
    Blocks(Box<PackedWriter<RecordingFile>>),
    Parts(Box<RecordingRing>),
    /// It could not be written, or it is finished.
    Over,
}

impl RecordingOutput {
    /// Creates the file, or files.
    pub(super) fn create(target: &RecordingTarget, header: &Header) -> io::Result<Self> {
        if let Some(most) = target.most {
            let files = recording_parts::create(&target.path)?;
            return Ok(Self::Parts(Box::new(RecordingRing::begin(files, most, header)?)));
        }
        let mut file = RecordingFile::create(&target.path)?;
        if is_of_lines(&target.path) {
            serde_json::to_writer(&mut file, header)?;
            file.write_all(b"\n")?;
            return Ok(Self::Lines(file));
        }
        Ok(Self::Blocks(Box::new(begin_blocks(file, header)?)))
    }

    /// Writes entries, or collects them until they are a block.
    pub(super) fn add(&mut self, chunk: &RecordingChunk) -> io::Result<()> {
        match self {
            Self::Lines(file) => write_lines(file, chunk),
            Self::Blocks(writer) => writer.add(chunk),
            Self::Parts(ring) => ring.add(chunk),
            Self::Over => Ok(()),
        }
    }

    /// Writes out what was collected.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(file) => file.flush(),
            Self::Blocks(writer) => writer.flush(),
            Self::Parts(ring) => ring.flush(),
            Self::Over => Ok(()),
        }
    }

    /// Ends the recording in order.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match std::mem::replace(self, Self::Over) {
            Self::Lines(mut file) => file.flush(),
            Self::Blocks(writer) => writer.finish().map(drop),
            Self::Parts(ring) => ring.writer.map_or(Ok(()), |writer| writer.finish().map(drop)),
            Self::Over => Ok(()),
        }
    }
}

/// Does the name ask for lines?
fn is_of_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"))
}

fn begin_blocks(file: RecordingFile, header: &Header) -> io::Result<PackedWriter<RecordingFile>> {
    let header = Header { version: packed::VERSION, ..header.clone() };
    PackedWriter::begin(file, &serde_json::to_vec(&header)?)
}

/// Files that are written in turn; the oldest is emptied for the next part.
pub(super) struct RecordingRing {
    files: Vec<File>,
    header: Header,
    /// Bytes of a part.
    most: u64,
    /// Of the part that is written; none while the next one cannot be begun.
    writer: Option<PackedWriter<RecordingFile>>,
    repeated: VecDeque<Vec<u8>>,
}

impl RecordingRing {
    fn begin(files: Vec<File>, most: u64, header: &Header) -> io::Result<Self> {
        let most = most / u64::from(recording_parts::PARTS);
        let repeated = VecDeque::new();
        let mut ring = Self { files, header: header.clone(), most, writer: None, repeated };
        ring.begin_part()?;
        Ok(ring)
    }

    fn begin_part(&mut self) -> io::Result<()> {
        let file = self.files.first().ok_or_else(|| io::Error::other("no file for a part"))?;
        let mut file = file.try_clone()?;
        file.set_len(0)?;
        file.rewind()?;
        self.files.rotate_left(1);
        let mut writer = begin_blocks(RecordingFile::over(file)?, &self.header)?;
        let mut repeated = RecordingChunk::default();
        self.repeated.iter().for_each(|line| repeated.lasting_line(line));
        writer.add(&repeated)?;
        self.writer = Some(writer);
        Ok(())
    }

    fn add(&mut self, chunk: &RecordingChunk) -> io::Result<()> {
        for (_, line) in chunk.iter().filter(|(kind, _)| *kind == EntryKind::LastingLine) {
            if self.repeated.len() == MOST_REPEATED {
                self.repeated.pop_front();
            }
            self.repeated.push_back(line.to_vec());
        }
        if let Some(writer) = &mut self.writer {
            writer.add(chunk)?;
        }
        self.go_on()
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.flush()?;
        }
        self.go_on()
    }

    /// Begins the next part if this one is full.
    fn go_on(&mut self) -> io::Result<()> {
        if let Some(writer) = self.writer.take_if(|writer| writer.written() >= self.most) {
            writer.finish()?;
            self.header.part += 1;
            self.begin_part()?;
        }
        Ok(())
    }
}
