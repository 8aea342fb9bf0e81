//! What tracefs says of a tracepoint: its number for `perf_event_open`, and where its fields are.

use std::{
    fs::File,
    io::Read as _,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

/// A tracefs of our own that is mounted nowhere: it ends with its descriptor.
pub(super) struct Tracefs(OwnedFd);

impl Tracefs {
    pub(super) fn open() -> Result<Self, String> {
        let open = || {
            let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_create(context.as_fd())?;
            fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        };
        open().map(Self).map_err(|error| format!("no tracefs: {error}"))
    }

    fn read(&self, path: &str) -> Result<String, String> {
        let read = || {
            let file =
                openat(self.0.as_fd(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let mut text = String::new();
            File::from(file).read_to_string(&mut text)?;
            Ok(text)
        };
        read().map_err(|error: std::io::Error| format!("tracefs {path}: {error}"))
    }

    /// A tracepoint such as `sock/inet_sock_set_state`.
    pub(super) fn format(&self, tracepoint: &str) -> Result<Format, String> {
        let id = self.read(&format!("events/{tracepoint}/id"))?;
        let id = id.trim().parse().map_err(|error| format!("{tracepoint}: {id:?}: {error}"))?;
        Ok(Format { id, text: self.read(&format!("events/{tracepoint}/format"))? })
    }
}

/// A tracepoint's number and its file `format`.
pub(super) struct Format {
    pub(super) id: u64,
    text: String,
}

impl Format {
    /// Where a field begins in the raw sample.
    pub(super) fn offset(&self, field: &str) -> Option<usize> {
        self.text.lines().filter_map(|line| line.trim().strip_prefix("field:")).find_map(|line| {
            let mut parts = line.split(';').map(str::trim);
            let name = parts.next()?.rsplit([' ', '*']).next()?;
            let offset = parts.next()?.strip_prefix("offset:")?;
            (name == field).then(|| offset.parse().ok())?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "name: x\nID: 7\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
                    \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
                    \tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;\n";
        let format = Format { id: 7, text: text.to_owned() };
        assert_eq!(format.offset("skaddr"), Some(8));
        assert_eq!(format.offset("sport"), Some(24));
        assert_eq!(format.offset("dport"), None);
    }
}
