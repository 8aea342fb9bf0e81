//! Who holds a socket: `/proc/PID/fd` links to `socket:[INODE]`, as in `ss -p`.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};

use crate::pid_namespace;
use tcpwatch_core::event::KnownSocket;
use tcpwatch_core::event::{Process, Via, process::Comm};

/// Threads that look through `/proc` at most: it takes some microseconds for each open file.
const THREADS: usize = 4;

/// Fills in the owner of every socket that has an inode and is open in a process. If several
/// processes have it open, the lowest pid owns it: a parent comes before its children.
///
/// Returns how many processes did not let this one see their files. A process that ends meanwhile
/// is no error. Where `/proc` shows the numbers of another pid namespace, processes have names only.
pub(super) fn find(sockets: &mut [&mut KnownSocket]) -> io::Result<usize> {
    let mut wanted: FxHashSet<u32> = sockets.iter().map(|known| known.inode).collect();
    wanted.remove(&0);
    if wanted.is_empty() {
        return Ok(0);
    }
    let search = Search {
        pids: pids()?,
        numbered: pid_namespace::has_own_proc(),
        next: AtomicUsize::new(0),
        found: Mutex::new(Found::default()),
        wanted,
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    thread::scope(|scope| {
        for _ in 1..threads {
            // Without a thread it takes longer.
            let _thread = thread::Builder::new()
                .name("owners".to_owned())
                .spawn_scoped(scope, || search.run());
        }
        search.run();
    });
    let Found { owners, hidden } =
        search.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    for known in sockets {
        known.owner = owners.get(&known.inode).map(|(_, owner)| *owner);
    }
    Ok(hidden)
}

/// How many processes do not let this one see their files, and so not the sockets that they hold. With `hidepid=2` those that
/// `/proc` does not show count as one (proc(5)).
///
/// # Errors
///
/// Those of listing `/proc`.
pub fn refusing() -> io::Result<usize> {
    let refuses = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        files.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let refusing = pids()?.iter().filter(|pid| refuses(pid)).count();
    Ok(refusing + usize::from(super::namespaces::hides_processes()))
}

/// A search that several threads share.
struct Search {
    wanted: FxHashSet<u32>,
    /// Lowest first.
    pids: Vec<u32>,
    /// Do these numbers mean the same here?
    numbered: bool,
    /// The place of the process to be looked into next.
    next: AtomicUsize,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// By inode, with the number of the process.
    owners: FxHashMap<u32, (u32, Process)>,
    hidden: usize,
}

impl Search {
    /// Looks into one process after the other, until there is none left or every socket has an owner. Processes with
    /// lower numbers are being looked into by then.
    fn run(&self) {
        while let Some(pid) = self.pids.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let mut inodes = Vec::new();
            let looked = self.look_into(*pid, &mut inodes);
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            let owner = match looked {
                Ok(None) => continue,
                Ok(Some(owner)) => owner,
                Err(error) => {
                    let refused = error.kind() == io::ErrorKind::PermissionDenied;
                    found.hidden += usize::from(refused);
                    continue;
                }
            };
            for inode in inodes {
                let known = found.owners.entry(inode).or_insert((*pid, owner));
                if *pid < known.0 {
                    *known = (*pid, owner);
                }
            }
            if found.owners.len() == self.wanted.len() {
                return;
            }
        }
    }

    /// Finds the inodes of the wanted sockets that a process has open; returns that process, if there are any. An
    /// error is either a refusal or the process's end.
    fn look_into(&self, pid: u32, inodes: &mut Vec<u32>) -> io::Result<Option<Process>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Stays that of this process: when it has ended nothing is found in it, whoever gets the number next.
        let process = openat(CWD, format!("/proc/{pid}"), flags, Mode::empty())?;
        let files = openat(&process, "fd", flags, Mode::empty())?;
        sockets(&files, &self.wanted, inodes)?;
        if inodes.is_empty() {
            return Ok(None);
        }
        let pid = self.numbered.then_some(pid);
        let (comm, uid) = (comm(&process)?, uid(&process));
        Ok(Some(Process { pid, comm, thread: None, uid, via: Via::Fd }))
    }
}

/// The processes that exist, lowest pid first.
pub(crate) fn pids() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// Adds the inodes of the wanted sockets in a directory of open files.
fn sockets(files: &OwnedFd, wanted: &FxHashSet<u32>, inodes: &mut Vec<u32>) -> io::Result<()> {
    let mut room = [MaybeUninit::uninit(); 8 * 1024];
    let mut entries = RawDir::new(files, &mut room);
    while let Some(entry) = entries.next() {
        // Longer links are cut: they lead to no socket.
        let mut room = [MaybeUninit::uninit(); 32];
        let Ok((link, _)) = readlinkat_raw(files, entry?.file_name(), &mut room) else {
            continue; // `.`, `..`, or closed meanwhile
        };
        inodes.extend(socket_inode(link).filter(|inode| wanted.contains(inode)));
    }
    Ok(())
}

/// `socket:[12345]` (`sockfs_dname`, `net/socket.c`).
fn socket_inode(link: &[u8]) -> Option<u32> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The process's real user id, as this user namespace has it; `None` if it has ended.
fn uid(process: &OwnedFd) -> Option<u32> {
    let status = String::from_utf8_lossy(&read(process, "status").ok()?).into_owned();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The process's name. An error is its end.
fn comm(process: &OwnedFd) -> io::Result<Comm> {
    let text = read(process, "comm")?;
    let name = text.strip_suffix(b"\n").unwrap_or(&text);
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name) {
        *to = *from;
    }
    Ok(Comm::from_kernel(bytes))
}

/// What a file in a process's directory holds.
fn read(process: &OwnedFd, name: &str) -> io::Result<Vec<u8>> {
    let file = openat(process, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    File::from(file).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_links_to_sockets_name_an_inode() {
        for (link, inode) in [
            ("socket:[12345]", Some(12345)),
            ("socket:[4294967295]", Some(u32::MAX)),
            ("socket:[4294967296]", None),
            ("socket:[]", None),
            ("socket:[12", None),
            ("pipe:[12345]", None),
            ("/tmp/socket:[1]", None),
        ] {
            assert_eq!(socket_inode(link.as_bytes()), inode, "{link}");
        }
    }

    fn directory(pid: u32) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).unwrap()
    }

    #[test]
    fn the_name_of_a_process_is_its_comm() {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(comm(&directory(std::process::id())).unwrap().to_string(), name.trim_end());
    }

    #[test]
    fn the_name_of_a_process_that_ends_meanwhile_is_not_that_of_the_next_one_with_its_number() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = directory(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        // Whoever has the number now is found by the path alone.
        assert!(comm(&process).is_err() && uid(&process).is_none());
    }
}
