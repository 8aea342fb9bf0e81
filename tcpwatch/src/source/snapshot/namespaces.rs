//! The network namespaces that can be reached, a way into them, and what a user calls them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{
        fd::AsFd,
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::owners::pids;
use crate::event::Netns;

/// Link to the calling thread's own namespace.
pub(super) const OWN: &str = "/proc/thread-self/ns/net";

/// Where `ip netns` puts its names.
const NAMED: &str = "/run/netns";

/// Ways into one namespace that are remembered, lest the first one vanish.
const WAYS: usize = 3;

/// Namespaces that an error message names.
const LISTED: usize = 12;

/// A network namespace and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which one.
    pub netns: Netns,
    /// Files that lead into it; mounts come before processes, because they last.
    pub paths: Vec<PathBuf>,
}

/// The namespaces that can be found.
#[derive(Debug, Default)]
pub struct Reachable {
    /// By inode.
    pub places: Vec<Place>,
    /// Processes that did not tell theirs.
    pub hidden_processes: usize,
}

/// A namespace cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Everything that led there is gone.
    #[error("the process or mount that held it has gone")]
    Gone,
    /// The way cannot be opened.
    #[error("cannot open it: {0}")]
    Open(#[source] io::Error),
    /// `setns` was refused.
    #[error("setns refused: {0}; entering a network namespace takes CAP_SYS_ADMIN (root)")]
    Refused(#[source] io::Error),
    /// The file is no network namespace.
    #[error("it is no network namespace")]
    NoNetwork,
    /// The thread that should go there did not start or did not come back.
    #[error("the thread for it failed: {0}")]
    Thread(#[source] io::Error),
}

/// A word names no network namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// No file of this name in `/run/netns`.
    #[error(
        "no network namespace is called \"{name}\": there is no {NAMED}/{name}; `ip netns` has \
         {known}; a path such as /proc/PID/ns/net or an inode number will do as well"
    )]
    NoSuchName {
        /// The word.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// No namespace with this inode can be found.
    #[error(
        "no network namespace {inode} is held by a process, thread or mount; there are {known}; \
         for one held by an open file alone give its path, /proc/PID/fd/N"
    )]
    NoSuchInode {
        /// The word.
        inode: String,
        /// The namespaces that exist.
        known: String,
    },
    /// The path cannot be read.
    #[error("cannot read network namespace {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is something else.
    #[error("{} is no network namespace; /proc/PID/ns/net and {NAMED}/NAME are", path.display())]
    NoNetwork {
        /// The path.
        path: PathBuf,
    },
}

/// The calling thread's network namespace.
pub fn own() -> io::Result<Netns> {
    inode(&fs::metadata(OWN)?)
}

/// What the user means by `word`: digits are an inode as in `readlink /proc/PID/ns/net`, a word
/// with a slash is a path to a namespace, everything else a name as `ip netns` shows it.
///
/// Takes no privilege, but the namespaces of other users' processes are then out of sight.
pub fn resolve(word: &str) -> Result<Netns, NetnsError> {
    if word.contains('/') {
        return of_path(Path::new(word));
    }
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return of_inode(word);
    }
    match of_path(&Path::new(NAMED).join(word)) {
        Err(NetnsError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(NetnsError::NoSuchName { name: word.to_owned(), known: names() })
        }
        answer => answer,
    }
}

fn of_inode(word: &str) -> Result<Netns, NetnsError> {
    let mut places = reachable().unwrap_or_default().places;
    places.extend(own().map(|netns| Place { netns, paths: vec![OWN.into()] }));
    let wanted = word.parse().ok().map(Netns);
    if let Some(place) = places.iter().find(|place| Some(place.netns) == wanted) {
        return Ok(place.netns);
    }
    let known = places.iter().map(|place| place.netns.0.to_string());
    Err(NetnsError::NoSuchInode { inode: word.to_owned(), known: list(known.collect()) })
}

/// The namespace that `path` leads to. Namespaces of every type are files of nsfs; `setns` tells
/// the types apart before it asks for privileges (`SYSCALL_DEFINE2(setns)`, `kernel/nsproxy.c`).
fn of_path(path: &Path) -> Result<Netns, NetnsError> {
    let unreadable = |source| NetnsError::Unreadable { path: path.to_owned(), source };
    let no_network = || NetnsError::NoNetwork { path: path.to_owned() };
    let filesystem = rustix::fs::statfs(path).map_err(|error| unreadable(error.into()))?;
    if filesystem.f_type != libc::NSFS_MAGIC {
        return Err(no_network());
    }
    let file = File::open(path).map_err(unreadable)?;
    match enter(&file, || ()) {
        Err(EnterError::NoNetwork) => Err(no_network()),
        Err(EnterError::Thread(source)) => Err(unreadable(source)),
        Err(EnterError::Refused(_) | EnterError::Gone | EnterError::Open(_)) | Ok(()) => {
            file.metadata().and_then(|about| inode(&about)).map_err(unreadable)
        }
    }
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
    let places = found.into_iter().map(|(netns, paths)| Place { netns, paths }).collect();
    Ok(Reachable { places, hidden_processes })
}

/// The namespaces of a process's threads but the first: each thread may have its own.
fn threads(pid: u32) -> impl Iterator<Item = (Netns, PathBuf)> {
    let first = pid.to_string();
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter(move |entry| *entry.file_name() != *first).filter_map(|entry| {
        let path = entry.path().join("ns/net");
        let link = fs::read_link(&path).ok()?;
        Some((link.to_str().and_then(named_inode)?, path))
    })
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
fn inode(about: &fs::Metadata) -> io::Result<Netns> {
    u32::try_from(about.ino()).map(Netns).map_err(io::Error::other)
}

impl Place {
    /// Does `work` in a new thread inside this namespace; the calling thread stays where it is.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
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

/// Does `work` in a new thread that has entered the network namespace `file`, and ends it.
fn enter<T: Send>(file: &File, work: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
    let go = || match move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)) {
        Ok(()) => Ok(work()),
        Err(Errno::INVAL) => Err(EnterError::NoNetwork),
        Err(error) => Err(EnterError::Refused(error.into())),
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, go);
        let back = thread.map_err(EnterError::Thread)?.join();
        back.unwrap_or_else(|_| Err(EnterError::Thread(io::Error::other("it panicked"))))
    })
}

/// The names that `ip netns` knows.
fn names() -> String {
    let entries = fs::read_dir(NAMED).into_iter().flatten().flatten();
    list(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// `a, b, c and 7 more`, or `none`.
fn list(mut words: Vec<String>) -> String {
    words.sort_unstable();
    words.dedup();
    let more = words.len().saturating_sub(LISTED);
    words.truncate(LISTED);
    match (words.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => words.join(", "),
        (false, more) => format!("{} and {more} more", words.join(", ")),
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
    fn the_own_namespace_is_found_by_path_and_by_inode() {
        let own = own().unwrap();
        assert_eq!(resolve("/proc/self/ns/net").unwrap(), own);
        assert_eq!(resolve(&own.0.to_string()).unwrap(), own);
        assert!(reachable().unwrap().places.iter().any(|place| place.netns == own));
    }

    #[test]
    fn a_word_that_names_no_namespace_is_refused_with_what_was_tried() {
        for (word, said) in [
            ("no-such-name", "there is no /run/netns/no-such-name"),
            ("1", "no network namespace 1 is held by"),
            ("99999999999999999999", "no network namespace 99999999999999999999"),
            ("/no/such/path", "cannot read network namespace /no/such/path: No such file"),
            ("/proc/self/ns/mnt", "/proc/self/ns/mnt is no network namespace"),
            ("/proc/self/comm", "/proc/self/comm is no network namespace"),
            ("/", "/ is no network namespace"),
            ("..", "/run/netns/.. is no network namespace"),
            ("", "is no network namespace"),
        ] {
            let error = resolve(word).unwrap_err().to_string();
            assert!(error.contains(said), "{word}: {error}");
        }
        let own = own().unwrap().0.to_string();
        assert!(resolve("1").unwrap_err().to_string().contains(&own), "what exists is named");
    }

    #[test]
    fn a_place_that_is_now_another_namespace_is_not_entered() {
        let place = Place { netns: Netns(1), paths: vec![OWN.into(), "/proc/0/ns/net".into()] };
        assert!(matches!(place.inside(|| ()), Err(EnterError::Gone)));
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        assert_eq!(list(Vec::new()), "none");
        assert_eq!(list(vec!["b".into(), "a".into(), "b".into()]), "a, b");
        let many = (10..30).map(|number| number.to_string()).collect();
        assert!(list(many).ends_with("21 and 8 more"));
    }
}
