//! What a user calls a network namespace: a name, a path or an inode.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use tcpwatch_core::event::Netns;

use super::namespaces::{EnterError, OWN, ReachableNamespace, inode, own, reachable};
use crate::netns::enter;

/// Where `ip netns` puts its names.
const NAMED: &str = "/run/netns";

/// Namespaces that an error message names.
const LISTED: usize = 12;

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
    places.extend(own().map(|netns| ReachableNamespace { netns, paths: vec![OWN.into()] }));
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

/// The name that `ip netns` has for a namespace; the first by the alphabet if there are several.
#[must_use]
pub fn name_of(netns: Netns) -> Option<String> {
    // Files of the same numbers elsewhere are no namespaces.
    let nsfs = fs::metadata(OWN).ok()?.dev();
    let is = |entry: &fs::DirEntry| {
        let about = fs::metadata(entry.path()).ok().filter(|about| about.dev() == nsfs);
        about.and_then(|about| inode(&about).ok()) == Some(netns)
    };
    let entries = fs::read_dir(NAMED).into_iter().flatten().flatten();
    entries.filter(is).map(|entry| entry.file_name().to_string_lossy().into_owned()).min()
}

/// The names that `ip netns` has given.
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
    fn the_own_namespace_is_found_by_path_and_by_inode() {
        let own = own().unwrap();
        assert_eq!(resolve("/proc/self/ns/net").unwrap(), own);
        assert_eq!(resolve(&own.0.to_string()).unwrap(), own);
        assert!(reachable().unwrap().places.iter().any(|place| place.netns == own));
    }

    #[test]
    fn a_namespace_that_does_not_exist_has_no_name() {
        assert_eq!(name_of(Netns(1)), None);
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
            ("..", "no network namespace"),
            ("", "no network namespace"),
        ] {
            let error = resolve(word).unwrap_err().to_string();
            assert!(error.contains(said), "{word}: {error}");
        }
        let own = own().unwrap().0.to_string();
        assert!(resolve("1").unwrap_err().to_string().contains(&own), "what exists is named");
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        assert_eq!(list(Vec::new()), "none");
        assert_eq!(list(vec!["b".into(), "a".into(), "b".into()]), "a, b");
        let many = (10..30).map(|number| number.to_string()).collect();
        assert!(list(many).ends_with("21 and 8 more"));
    }
}
