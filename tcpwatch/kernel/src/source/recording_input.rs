//! Opens a recording for `replay`: a file or standard input, as it is or packed by gzip.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;

/// The file name that means standard input.
const STANDARD_INPUT: &str = "-";
/// First bytes of every gzip member (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Bytes read to learn what the file is; they are what the first look into the returned buffer shows.
const FIRST: u64 = 32;

/// Opens `path`, and reads nothing yet; `-` is standard input. What is replayed need not be a file.
///
/// # Errors
/// If it cannot be opened.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if path.as_os_str() == STANDARD_INPUT {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    })
}

/// What an input holds, unpacked if gzip packed it.
///
/// # Errors
/// If its first bytes cannot be read.
pub fn unpacked(input: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut input = BufReader::new(input);
    let mut first = Vec::new();
    input.by_ref().take(FIRST).read_to_end(&mut first)?;
    let packed = first.starts_with(&GZIP);
    let whole = Cursor::new(first).chain(input);
    Ok(if packed { Box::new(BufReader::new(MultiGzDecoder::new(whole))) } else { Box::new(whole) })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        unpacked(Cursor::new(bytes.to_vec()))?.read_to_end(&mut read).map(|_| read)
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
}
