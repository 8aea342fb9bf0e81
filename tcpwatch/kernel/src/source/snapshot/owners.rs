//! Who holds a socket: `/proc/PID/fd` links to `socket:[INODE]`, as in `ss -p`.

use std::{
    fs, io,
    mem::MaybeUninit,
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
            let looked = look_into(*pid, &self.wanted, &mut inodes);
            let owner = (!inodes.is_empty()).then(|| self.process(*pid));
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            let refused =
                looked.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
            found.hidden += usize::from(refused);
            for inode in inodes {
                let Some(owner) = owner else { break };
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

    fn process(&self, pid: u32) -> Process {
        Process {
            pid: self.numbered.then_some(pid),
            comm: comm(pid),
            thread: None,
            uid: uid(pid),
            via: Via::Fd,
        }
    }
}

/// The processes that exist, lowest pid first.
pub(super) fn pids() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// Adds the inodes of the wanted sockets that a process has open. An error is either a refusal or the process's end.
fn look_into(pid: u32, wanted: &FxHashSet<u32>, inodes: &mut Vec<u32>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let files = openat(CWD, format!("/proc/{pid}/fd"), flags, Mode::empty())?;
    let mut room = [MaybeUninit::uninit(); 8 * 1024];
    let mut entries = RawDir::new(&files, &mut room);
    while let Some(entry) = entries.next() {
        // Longer links are cut: they lead to no socket.
        let mut room = [MaybeUninit::uninit(); 32];
        let Ok((link, _)) = readlinkat_raw(&files, entry?.file_name(), &mut room) else {
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
fn uid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The process's name, empty if it has ended.
fn comm(pid: u32) -> Comm {
    let text = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = text.strip_suffix(b"\n").unwrap_or(&text);
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name) {
        *to = *from;
    }
    Comm::from_kernel(bytes)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_name_of_a_process_is_its_comm() {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(comm(std::process::id()).to_string(), name.trim_end());
        assert_eq!(comm(u32::MAX).to_string(), "", "no such process");
    }
}
