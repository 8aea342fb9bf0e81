//! Ends hosts' processes whose laboratory has ended. The kernel ends them with it, so there should be none; if one is
//! left for any reason, the next run does not build upon it.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal};

use crate::host::Host;

/// The command that runs tcpwatch as a host's process.
pub(super) const PEER: &str = "lab-peer";
/// Its argument: the process that it must not outlive.
pub(super) const PARENT: &str = "--parent";

/// Ends those that execute `program`; returns their process ids.
///
/// # Errors
/// If `/proc` or the program cannot be read.
pub fn end_orphans(program: &Path) -> io::Result<Vec<u32>> {
    let program = fs::metadata(program)?;
    let mut ended = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Some(handle) =
            Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        else {
            continue;
        };
        // With the pidfd open, what is read next belongs to the same process or to none.
        let is_ours = fs::metadata(format!("/proc/{pid}/exe"))
            .is_ok_and(|exe| (exe.dev(), exe.ino()) == (program.dev(), program.ino()));
        if is_ours && is_orphan(pid) && pidfd_send_signal(&handle, Signal::KILL).is_ok() {
            ended.extend(u32::try_from(pid));
        }
    }
    Ok(ended)
}

fn is_orphan(pid: i32) -> bool {
    let (Ok(line), Ok(status)) = (
        fs::read(format!("/proc/{pid}/cmdline")),
        fs::read_to_string(format!("/proc/{pid}/status")),
    ) else {
        return false;
    };
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let (Some(parent), Some(maker)) = (parent, maker(&line)) else { return false };
    parent.trim() != maker
}

/// The process that started a host's process, by its command line; `None` if it is not a host's.
fn maker(line: &[u8]) -> Option<&str> {
    let words: Option<Vec<&str>> =
        line.split(|byte| *byte == 0).map(|word| std::str::from_utf8(word).ok()).collect();
    let words = words?;
    let is_host = Host::ALL.iter().any(|host| words.first() == Some(&&*name(*host)));
    let at = words.iter().position(|word| *word == PARENT)?;
    (is_host && words.get(1) == Some(&PEER)).then(|| words.get(at + 1).copied()).flatten()
}

/// The name of a host's process.
pub(super) fn name(host: Host) -> String {
    format!("lab-{host}")
}

/// Whether the process that started this one has already ended.
pub(super) fn is_left_alone(maker: i32) -> bool {
    getppid().map(Pid::as_raw_pid) != Some(maker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hosts_process_tells_its_maker() {
        let line = b"lab-server\0lab-peer\0server\0--parent\x004711\0";
        assert_eq!(maker(line), Some("4711"));
        for line in [
            &b"lab-server\0"[..],
            b"tcpwatch\0lab-peer\0server\0--parent\x004711\0",
            b"lab-server\0lab\0server\0--parent\x004711\0",
            b"lab-server\0lab-peer\0server\0--parent",
            b"",
        ] {
            assert_eq!(maker(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
