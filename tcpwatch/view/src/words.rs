//! Words that more than one form of output uses.

use std::io;

/// What the system calls an error: `Connection timed out`.
#[must_use]
pub fn error(errno: u16) -> String {
    let text = io::Error::from_raw_os_error(errno.into()).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
