//! Opens a recording for `replay`: a file, the files of `--record-max`, or standard input, as it is or packed by gzip.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Chain, Cursor, Read},
    os::unix::fs::FileExt as _,
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

use super::{
    packed::{
        block::{BlockHead, BlockKind, HEAD},
        index::{BlockIndex, TRAILER},
    },
    recording_parts,
};

/// The file name that means standard input.
const STANDARD_INPUT: &str = "-";
/// First bytes of every gzip member (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes read to learn what the file is; they are what the first look into the returned buffer shows.
const FIRST: u64 = 32;

/// Where a recording is read from, parts of which need not be read.
pub trait RecordingInput: BufRead {
    /// Passes over so many bytes; returns how many there were.
    ///
    /// # Errors
    /// If it cannot be read.
    fn pass(&mut self, bytes: u64) -> io::Result<u64> {
        pass_by_reading(self, bytes)
    }

    /// The index at the end of the file that is being read, if it can be had now.
    fn index(&mut self) -> Option<BlockIndex> {
        None
    }
}

fn pass_by_reading(input: &mut (impl BufRead + ?Sized), bytes: u64) -> io::Result<u64> {
    let mut left = bytes;
    while left > 0 {
        let there = match input.fill_buf() {
            Ok(there) => there.len(),
            // A compressed file breaks off like this.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let some = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        if some == 0 {
            break;
        }
        input.consume(some);
        left -= u64::try_from(some).unwrap_or_default();
    }
    Ok(bytes - left)
}

impl RecordingInput for &[u8] {}
impl<R: Read> RecordingInput for BufReader<R> {}
impl<A: BufRead, B: BufRead> RecordingInput for Chain<A, B> {}

impl<I: RecordingInput + ?Sized> RecordingInput for Box<I> {
    fn pass(&mut self, bytes: u64) -> io::Result<u64> {
        (**self).pass(bytes)
    }

    fn index(&mut self) -> Option<BlockIndex> {
        (**self).index()
    }
}

/// What was opened, and not read yet.
pub enum OpenedRecording {
    /// Bytes that come once.
    Stream(Box<dyn Read>),
    /// Files, in which one can go back and on.
    Files(Vec<File>),
}

/// Opens `path`, and reads nothing yet; `-` is standard input. If there is no such file, the parts that
/// `--record-max` made of it are opened.
///
/// # Errors
/// If it cannot be opened.
pub fn open(path: &Path) -> io::Result<OpenedRecording> {
    if path.as_os_str() == STANDARD_INPUT {
        return Ok(OpenedRecording::Stream(Box::new(io::stdin().lock())));
    }
    match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(OpenedRecording::Files(vec![file])),
        // What is replayed need not be a file.
        Ok(file) => Ok(OpenedRecording::Stream(Box::new(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parts = recording_parts::open(path)?;
            if parts.is_empty() { Err(error) } else { Ok(OpenedRecording::Files(parts)) }
        }
        Err(error) => Err(error),
    }
}

/// What an input holds, unpacked if gzip packed it.
///
/// # Errors
/// If its first bytes cannot be read.
pub fn unpacked(opened: OpenedRecording) -> io::Result<Box<dyn RecordingInput>> {
    match opened {
        OpenedRecording::Stream(input) => unpacked_stream(input),
        OpenedRecording::Files(files) => {
            let files = if files.len() > 1 { recording_parts::in_order(files) } else { files };
            let mut begin = [0; GZIP.len()];
            let first = files.first().map(|file| file.read_at(&mut begin, 0)).transpose()?;
            let input = RecordingFiles::of(files);
            Ok(if first == Some(GZIP.len()) && begin == GZIP {
                Box::new(BufReader::new(MultiGzDecoder::new(input)))
            } else {
                Box::new(input)
            })
        }
    }
}

fn unpacked_stream(input: Box<dyn Read>) -> io::Result<Box<dyn RecordingInput>> {
    let mut input = BufReader::new(input);
    let mut first = Vec::new();
    input.by_ref().take(FIRST).read_to_end(&mut first)?;
    let packed = first.starts_with(&GZIP);
    let whole = Cursor::new(first).chain(input);
    Ok(if packed { Box::new(BufReader::new(MultiGzDecoder::new(whole))) } else { Box::new(whole) })
}

/// Files, one after the other.
struct RecordingFiles {
    files: VecDeque<BufReader<File>>,
}

impl RecordingFiles {
    fn of(files: Vec<File>) -> Self {
        Self { files: files.into_iter().map(BufReader::new).collect() }
    }
}

impl Read for RecordingFiles {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.fill_buf()?;
        self.files.front_mut().map_or(Ok(0), |file| file.read(into))
    }
}

impl BufRead for RecordingFiles {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.files.len() > 1
            && self
                .files
                .front_mut()
                .map(BufRead::fill_buf)
                .transpose()?
                .is_some_and(<[u8]>::is_empty)
        {
            self.files.pop_front();
        }
        self.files.front_mut().map_or(Ok(&[]), BufRead::fill_buf)
    }

    fn consume(&mut self, bytes: usize) {
        if let Some(file) = self.files.front_mut() {
            file.consume(bytes);
        }
    }
}

impl RecordingInput for RecordingFiles {
    fn pass(&mut self, bytes: u64) -> io::Result<u64> {
        let Some(file) = self.files.front_mut() else { return Ok(0) };
        let buffered = u64::try_from(file.buffer().len()).unwrap_or_default();
        // The last byte is read, which is there or not.
        if let Some(far) = bytes.checked_sub(buffered + 1)
            && let Ok(distance) = i64::try_from(far + buffered)
        {
            file.seek_relative(distance)?;
            let passed = pass_by_reading(file, 1)?;
            return if passed == 1 { Ok(bytes) } else { self.beyond(bytes) };
        }
        pass_by_reading(self, bytes)
    }

    fn index(&mut self) -> Option<BlockIndex> {
        index_of(self.files.front()?.get_ref()).ok().flatten()
    }
}

impl RecordingFiles {
    /// How many of `bytes` were passed, when the place behind them is not in the file any more.
    fn beyond(&mut self, bytes: u64) -> io::Result<u64> {
        use io::Seek as _;
        let Some(file) = self.files.front_mut() else { return Ok(0) };
        let length = file.get_ref().metadata()?.len();
        let missing = file.stream_position()?.saturating_sub(length) + 1;
        file.seek(io::SeekFrom::Start(length))?;
        Ok(bytes.saturating_sub(missing))
    }
}

/// The index at the end of this file, if there is one.
fn index_of(file: &File) -> io::Result<Option<BlockIndex>> {
    let mut trailer = [0; TRAILER];
    let end = file.metadata()?.len();
    let Some(at) = end.checked_sub(u64::try_from(TRAILER).unwrap_or(u64::MAX)) else {
        return Ok(None);
    };
    file.read_exact_at(&mut trailer, at)?;
    let Some(place) = BlockIndex::place(trailer) else { return Ok(None) };
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, place)?;
    let Ok(head) = BlockHead::from_bytes(&head) else { return Ok(None) };
    let mut stored = vec![0; usize::try_from(head.stored).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut stored, place.saturating_add(u64::try_from(HEAD).unwrap_or_default()))?;
    if head.kind != BlockKind::Index || crc32fast::hash(&stored) != head.sum {
        return Ok(None);
    }
    let plain = zstd::bulk::decompress(&stored, usize::try_from(head.plain).unwrap_or(usize::MAX))?;
    Ok(BlockIndex::read(&plain).ok())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        let stream = OpenedRecording::Stream(Box::new(Cursor::new(bytes.to_vec())));
        unpacked(stream)?.read_to_end(&mut read)?;
        let mut from_file = Vec::new();
        unpacked(OpenedRecording::Files(vec![file(bytes)]))?.read_to_end(&mut from_file)?;
        assert_eq!(read, from_file);
        Ok(read)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn gzip_is_unpacked_and_everything_else_is_left_as_it_is() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"text").unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(read(&packed).unwrap(), b"text");
        assert_eq!(read(&[packed.clone(), packed].concat()).unwrap(), b"texttext", "two members");
        for plain in [b"".as_slice(), b"x", b"text", &[0x1f], &[0x1f, 0x8c, 1]] {
            assert_eq!(read(plain).unwrap(), plain);
        }
    }

    #[test]
    fn what_is_passed_over_is_what_there_is() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(20_000).collect();
        for (first, pass) in
            [(0, 0), (0, 1), (5, 100), (5, 15_000), (5, 19_995), (5, 19_996), (5, 90_000)]
        {
            let mut files = RecordingFiles::of(vec![file(&bytes)]);
            let mut slice = bytes.as_slice();
            files.read_exact(&mut vec![0; first]).unwrap();
            slice.read_exact(&mut vec![0; first]).unwrap();
            let expected = slice.pass(pass).unwrap();
            assert_eq!(files.pass(pass).unwrap(), expected, "{pass} after {first}");
            let mut rest = Vec::new();
            files.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, slice, "{pass} after {first}");
        }
    }
}
