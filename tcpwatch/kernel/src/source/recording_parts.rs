//! The files of a recording that `--record-max` limits: so many beside each other, which are written in turn. Each is
//! a recording of its own; its header has the number of the part.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, BufReader, Seek as _},
    path::{Path, PathBuf},
};

use super::{packed::reader::PackedReader, recording::packed_header};

/// Files of a limited recording: what is removed at once is such a part of it.
pub(super) const PARTS: u8 = 16;

/// The name of a part's file: `FILE.00` to `FILE.15`.
fn name(path: &Path, number: u8) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number:02}"));
    PathBuf::from(name)
}

/// Creates all of them, empty: what is created later would take privileges that are gone then.
pub(super) fn create(path: &Path) -> io::Result<Vec<File>> {
    (0..PARTS).map(|number| File::create(name(path, number))).collect()
}

/// Opens those that exist.
pub(super) fn open(path: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for number in 0..PARTS {
        match File::open(name(path, number)) {
            Ok(file) => files.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// In the order in which they were written; those without a header, which were just begun, are left out. If none has
/// one, all are left as they are.
pub(super) fn in_order(files: Vec<File>) -> Vec<File> {
    let mut numbered: Vec<(u64, &File)> =
        files.iter().filter_map(|file| Some((number(file)?, file))).collect();
    numbered.sort_by_key(|(number, _)| *number);
    let ordered = numbered.into_iter().map(|(_, file)| file.try_clone());
    match ordered.collect::<io::Result<Vec<File>>>() {
        Ok(ordered) if !ordered.is_empty() => ordered,
        _ => files,
    }
}

fn number(mut file: &File) -> Option<u64> {
    let reader = PackedReader::open(BufReader::new(file)).ok();
    let header = reader.and_then(|reader| packed_header(&reader.header).ok());
    file.rewind().ok()?;
    header.map(|header| header.part)
}
