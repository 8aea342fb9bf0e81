//! The pid namespace of this process: its numbers are the ones that people see here.

use std::{fs, os::unix::fs::MetadataExt as _};

/// Its inode; `None` without `/proc`.
#[must_use]
pub fn own() -> Option<u32> {
    fs::metadata("/proc/self/ns/pid").ok().and_then(|file| u32::try_from(file.ino()).ok())
}

/// Does `/proc` show the numbers of this pid namespace? It shows those of the one that it was mounted in.
#[must_use]
pub fn has_own_proc() -> bool {
    let shown = fs::read_link("/proc/self").ok();
    shown.is_some_and(|shown| shown.as_os_str() == std::process::id().to_string().as_str())
}
