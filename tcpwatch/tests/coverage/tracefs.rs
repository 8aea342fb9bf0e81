//! ftrace through a private tracefs: an instance that collects events, and the files of each event.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, mkdirat, openat, unlinkat},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

/// The prefix of the instances' names; the process id follows.
const PREFIX: &str = "tcpwatch-tests-";

/// An ftrace instance, which is removed with this value. What a killed test leaves behind, the next one removes.
pub(super) struct Instance {
    /// A detached tracefs mount, which ends with its descriptor.
    tracefs: OwnedFd,
    name: String,
}

impl Instance {
    /// An instance that collects nothing yet, with this buffer for each CPU and the clock `CLOCK_MONOTONIC`.
    pub(super) fn new(kilobytes: u32) -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let tracefs = mount().map_err(|error| format!("no tracefs: {error}"))?;
        remove_leftovers(&tracefs).map_err(|error| format!("tracefs instances: {error}"))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("instances/{PREFIX}{}-{number}", std::process::id());
        let made = mkdirat(&tracefs, &name, Mode::RWXU);
        made.map_err(|error| format!("tracefs {name}: {error}"))?;
        let instance = Self { tracefs, name };
        instance.write("trace_clock", "mono")?;
        instance.write("buffer_size_kb", &kilobytes.to_string())?;
        Ok(instance)
    }

    /// A file of the instance.
    pub(super) fn open(&self, file: &str, flags: OFlags) -> Result<File, String> {
        let path = format!("{}/{file}", self.name);
        let opened = openat(self.tracefs.as_fd(), &path, flags | OFlags::CLOEXEC, Mode::empty());
        opened.map(File::from).map_err(|error| format!("tracefs {path}: {error}"))
    }

    pub(super) fn read(&self, file: &str) -> Result<String, String> {
        let mut text = String::new();
        let read = self.open(file, OFlags::RDONLY)?.read_to_string(&mut text);
        read.map(|_| text).map_err(|error| format!("tracefs {file}: {error}"))
    }

    pub(super) fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let written = self.open(file, OFlags::WRONLY)?.write_all(text.as_bytes());
        written.map_err(|error| format!("tracefs {file}: {text}: {error}"))
    }

    /// Starts to collect events of a tracepoint such as `sock/inet_sock_set_state`; if they have a field `function`,
    /// only those with one of these.
    pub(super) fn collect(&self, tracepoint: &str, functions: [u64; 2]) -> Result<Format, String> {
        let format = Format(self.read(&format!("events/{tracepoint}/format"))?);
        if format.offset("function").is_some() {
            let [one, other] = functions;
            let filter = format!("function == {one:#x} || function == {other:#x}");
            self.write(&format!("events/{tracepoint}/filter"), &filter)?;
        }
        self.write(&format!("events/{tracepoint}/enable"), "1")?;
        Ok(format)
    }

    /// The number of events that this CPU has collected so far, and how many of them were overwritten unread.
    pub(super) fn collected(&self, cpu: usize) -> Result<(u64, u64), String> {
        let text = self.read(&format!("per_cpu/cpu{cpu}/stats"))?;
        let number = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.and_then(|value| value.trim().parse::<u64>().ok())
        };
        let [unread, read] = ["entries:", "read events:"].map(number);
        let overrun = number("overrun:");
        let numbers = unread.zip(read).zip(overrun);
        let ((unread, read), overrun) = numbers.ok_or_else(|| format!("stats: {text}"))?;
        Ok((unread + read + overrun, overrun))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = unlinkat(&self.tracefs, &self.name, AtFlags::REMOVEDIR) {
            eprintln!("tracefs {} stays: {error}", self.name);
        }
    }
}

fn mount() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// Removes the instances of processes that have ended.
fn remove_leftovers(tracefs: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(tracefs, "instances", flags, Mode::empty())?;
    for entry in Dir::read_from(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
            unlinkat(&folder, &name, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}

/// A tracepoint's file `format`.
pub(super) struct Format(String);

impl Format {
    /// Its number, with which each of its events begins.
    pub(super) fn id(&self) -> Option<u16> {
        self.0.lines().find_map(|line| line.strip_prefix("ID:"))?.trim().parse().ok()
    }

    /// The offset of a field in an event.
    pub(super) fn offset(&self, field: &str) -> Option<usize> {
        self.0.lines().filter_map(|line| line.trim().strip_prefix("field:")).find_map(|line| {
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
        let format = Format(text.to_owned());
        assert_eq!(format.id(), Some(7));
        assert_eq!(format.offset("skaddr"), Some(8));
        assert_eq!(format.offset("sport"), Some(24));
        assert_eq!(format.offset("dport"), None);
    }
}
