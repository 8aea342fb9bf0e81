//! A file that is there whole or not at all: it is written beside its place and renamed.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Why a file could not be written.
#[derive(Debug, Error)]
#[error(
    "cannot write {}: {source}; name a file in a folder that you may write to and that has room",
    path.display()
)]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// A file that will be written.
#[derive(Debug)]
pub struct TargetFile {
    path: PathBuf,
    /// Where it is until it is whole; `None` for what is not a regular file, such as a pipe.
    part: Option<PathBuf>,
    file: File,
}

impl TargetFile {
    /// Opens the file beside its place, so that a folder that cannot be written is an error before anything is done.
    ///
    /// # Errors
    /// If it cannot be created, or if the place is a folder.
    pub fn open(path: &Path) -> Result<Self, WriteError> {
        let fails = |source| WriteError { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(fails(io::ErrorKind::IsADirectory.into()));
        }
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let file = File::options().write(true).open(path).map_err(fails)?;
            return Ok(Self { path: path.to_owned(), part: None, file });
        }
        let mut part = OsString::from(path);
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(fails)?;
        Ok(Self { path: path.to_owned(), part: Some(part), file })
    }

    /// Writes all of it and puts it in its place.
    ///
    /// # Errors
    /// If the disk is full, say; what was in its place stays.
    pub fn finish(mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let mut written = self.file.write_all(bytes);
        if let (Ok(()), Some(part)) = (&written, &self.part) {
            written = fs::rename(part, &self.path);
        }
        written.map_err(|source| WriteError { path: self.path.clone(), source })
    }
}

impl Drop for TargetFile {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // After `finish` there is none.
            let _removed = fs::remove_file(part).is_ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_not_finished_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.html");
        fs::write(&path, "before").unwrap();
        drop(TargetFile::open(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        TargetFile::open(&path).unwrap().finish(b"after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no part is left");
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let target = TargetFile::open(Path::new("/dev/full")).unwrap();
        let error = target.finish(b"bytes").unwrap_err().to_string();
        assert!(error.contains("/dev/full") && error.contains("No space left"), "{error}");
    }

    #[test]
    fn a_folder_in_place_of_the_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = TargetFile::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("cannot write"), "{error}");
    }
}
