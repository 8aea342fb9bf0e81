//! A first look at the file with the kernel's type information: is it there, and is it whole?

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// First number of the file, in the byte order of the machine (`BTF_MAGIC`, `include/uapi/linux/btf.h`).
const MAGIC: u16 = 0xEB9F;

/// Words of `struct btf_header` after magic, version and flags: its own length, then offset and length of
/// the types and of the names, counted from its end.
const WORDS: usize = 5;

/// Looks at the file's header and size.
///
/// # Errors
/// What is wrong and what to do, for a reader who knows the path.
pub(super) fn look_at(path: &Path) -> Result<(), String> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file; the kernel must be built with CONFIG_DEBUG_INFO_BTF=y, and /sys \
             must be mounted and not be hidden"
                .to_owned()
        }
        _ => format!("{error}; run with sudo"),
    })?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let mut header = [0; 4 + 4 * WORDS];
    file.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(&format!("it has {size} bytes")),
        _ => error.to_string(),
    })?;
    judge(&header, size).map_err(|why| damaged(&why))
}

fn damaged(why: &str) -> String {
    format!(
        "{why}; the running kernel shows another file there when it is built with \
         CONFIG_DEBUG_INFO_BTF=y: see what is mounted over it with `findmnt`"
    )
}

fn judge(header: &[u8; 4 + 4 * WORDS], size: u64) -> Result<(), String> {
    let [first, second, _version, _flags, words @ ..] = header;
    let magic = u16::from_ne_bytes([*first, *second]);
    if magic == MAGIC.swap_bytes() {
        return Err("it is of a machine with the other byte order".to_owned());
    }
    if magic != MAGIC {
        return Err(format!("it begins with {magic:#06x}, and BTF with {MAGIC:#06x}"));
    }
    let (words, _none) = words.as_chunks::<4>();
    let mut words = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word)));
    let mut next = || words.next().unwrap_or_default();
    let (header_length, types, types_length, names, names_length) =
        (next(), next(), next(), next(), next());
    let needed = header_length + (types + types_length).max(names + names_length);
    if size < needed {
        return Err(format!("it ends after {size} of {needed} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::layout::VMLINUX_BTF;

    fn of(bytes: &[u8]) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        look_at(file.path())
    }

    fn header(magic: u16) -> Vec<u8> {
        let words: [u32; WORDS] = [24, 0, 12, 12, 8];
        let words = words.iter().flat_map(|word| word.to_ne_bytes());
        magic.to_ne_bytes().into_iter().chain([1, 0]).chain(words).collect()
    }

    #[test]
    fn the_running_kernels_file_is_whole() {
        assert_eq!(look_at(Path::new(VMLINUX_BTF)), Ok(()));
    }

    #[test]
    fn a_whole_file_passes_and_one_that_lacks_a_byte_does_not() {
        let whole = [header(MAGIC), vec![0; 20]].concat();
        assert_eq!(of(&whole), Ok(()));
        let why = of(&whole[..43]).unwrap_err();
        assert!(why.starts_with("it ends after 43 of 44 bytes;"), "{why}");
    }

    #[test]
    fn anything_else_is_told_from_it() {
        for (bytes, words) in [
            (Vec::new(), "it has 0 bytes"),
            (header(MAGIC)[..23].to_vec(), "it has 23 bytes"),
            (header(MAGIC.swap_bytes()), "the other byte order"),
            (b"\x7fELF and so on, and on and on".to_vec(), "it begins with 0x"),
        ] {
            let why = of(&bytes).unwrap_err();
            assert!(why.contains(words) && why.contains("CONFIG_DEBUG_INFO_BTF"), "{why}");
        }
    }

    #[test]
    fn lengths_that_overflow_are_too_long_for_any_file() {
        let mut huge = header(MAGIC);
        huge[4..].fill(0xFF);
        assert!(of(&huge).unwrap_err().contains("it ends after 24 of 12884901885 bytes"));
    }
}
