//! The network namespaces that can be reached, and a way into them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use tcpwatch_core::event::Netns;

pub(crate) use super::owners::pids;
pub use crate::netns::EnterError;
use crate::netns::enter;

/// Link to the calling thread's own namespace.
pub(crate) const OWN: &str = "/proc/thread-self/ns/net";

/// Ways into one namespace that are remembered, lest the first one vanish.
const WAYS: usize = 3;

/// A network namespace and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachableNamespace {
    /// Which one.
    pub netns: Netns,
    /// Files that lead into it; mounts come before processes, because they last.
    pub paths: Vec<PathBuf>,
}

/// The namespaces that can be found.
#[derive(Debug, Default)]
pub struct Reachable {
    /// By inode.
    pub places: Vec<ReachableNamespace>,
    /// Processes whose namespace could not be read; one for all that `/proc` does not list.
    pub hidden_processes: usize,
}

/// The calling thread's network namespace.
pub fn own() -> io::Result<Netns> {
    inode(&fs::metadata(OWN)?)
}

/// Every network namespace that a mount, a process or a thread holds.
pub fn reachable() -> io::Result<Reachable> {
    let mut found: BTreeMap<Netns, Vec<PathBuf>> = BTreeMap::new();
    let mut add = |netns, path| {
        let paths = found.entry(netns).or_default();
        if paths.len() < WAYS {
            paths.push(path);
        }
    };
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    for (netns, path) in mounts.split(|byte| *byte == b'\n').filter_map(mounted) {
        add(netns, path);
    }
    let mut hidden_processes = 0;
    for pid in pids()? {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        match fs::read_link(&path) {
            Ok(link) => {
                if let Some(netns) = link.to_str().and_then(named_inode) {
                    add(netns, path);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                hidden_processes += 1;
                continue;
            }
            Err(_) => {} // ended, or ending: its threads may be there still
        }
        for (netns, path) in threads(pid) {
            add(netns, path);
        }
    }
    hidden_processes += usize::from(hides_processes());
    let places =
        found.into_iter().map(|(netns, paths)| ReachableNamespace { netns, paths }).collect();
    Ok(Reachable { places, hidden_processes })
}

/// `/proc` does not show every process (`hidepid`, proc(5)): the first one, which is always there, is missing.
pub(super) fn hides_processes() -> bool {
    !Path::new("/proc/1").exists()
}

/// The namespaces of a process's threads but the first: each thread may have its own.
fn threads(pid: u32) -> impl Iterator<Item = (Netns, PathBuf)> {
    other_threads(pid).filter_map(|thread| {
        let path = thread.join("ns/net");
        let link = fs::read_link(&path).ok()?;
        Some((link.to_str().and_then(named_inode)?, path))
    })
}

/// The directories of a process's threads but the first, whose is that of the process.
pub(crate) fn other_threads(pid: u32) -> impl Iterator<Item = PathBuf> {
    let first = pid.to_string();
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter(move |entry| *entry.file_name() != *first).map(|entry| entry.path())
}

/// A line of `/proc/PID/mountinfo` (proc(5)) that shows a mounted network namespace: the fourth
/// field is `net:[INODE]` (`nsfs_show_path`, `fs/nsfs.c`), the fifth is where, with octal escapes.
fn mounted(line: &[u8]) -> Option<(Netns, PathBuf)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let netns = named_inode(std::str::from_utf8(fields.nth(3)?).ok()?)?;
    let mut path = Vec::new();
    let mut rest = fields.next()?;
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'\\').then(|| after.first_chunk::<3>()).flatten();
        let byte = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        path.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    Some((netns, std::ffi::OsString::from_vec(path).into()))
}

/// `net:[4026531840]`.
fn named_inode(link: &str) -> Option<Netns> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok().map(Netns)
}

/// The inode of a namespace file; the kernel counts them in 32 bits (`struct ns_common`).
pub fn inode(about: &fs::Metadata) -> io::Result<Netns> {
    u32::try_from(about.ino()).map(Netns).map_err(io::Error::other)
}

impl ReachableNamespace {
    /// Does `work` in a new thread inside this namespace; the calling thread stays where it is.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
        let mut last = EnterError::Gone;
        for path in &self.paths {
            match File::open(path) {
                // What is there now may be another one: a pid is used again, a mount is covered.
                Ok(file) if file.metadata().is_ok_and(|about| self.is(&about)) => {
                    return enter(&file, work);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => last = EnterError::Open(error),
            }
        }
        Err(last)
    }

    fn is(&self, about: &fs::Metadata) -> bool {
        inode(about).is_ok_and(|netns| netns == self.netns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_namespace_is_read_with_its_escaped_path() {
        let line = br"43 42 0:4 net:[4026532177] /run/netns/a\040b\134c rw shared:2 - nsfs nsfs rw";
        assert_eq!(mounted(line), Some((Netns(4_026_532_177), r"/run/netns/a b\c".into())));
        for line in [
            "43 42 0:4 mnt:[4026531841] /run/mnt rw shared:2 - nsfs nsfs rw",
            "21 1 254:0 / / rw - ext4 /dev/root rw",
            "43 42 0:4 net:[4026532177]",
            "",
        ] {
            assert_eq!(mounted(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_place_that_is_now_another_namespace_is_not_entered() {
        let place = ReachableNamespace {
            netns: Netns(1),
            paths: vec![OWN.into(), "/proc/0/ns/net".into()],
        };
        assert!(matches!(place.inside(|| ()), Err(EnterError::Gone)));
    }
}
