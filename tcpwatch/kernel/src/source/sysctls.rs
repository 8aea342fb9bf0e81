//! Reads the sysctls of a network namespace from `/proc/sys/net/ipv4`, for `timing/`.

use std::{
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use tcpwatch_core::{event::Netns, timing::Sysctls};

use super::snapshot::namespaces::{self, EnterError};
use crate::netns;

/// Shows the namespace of the thread that reads (`net_ctl_root`, `net/sysctl_net.c`).
const DIRECTORY: &str = "/proc/sys/net/ipv4";

/// The sysctls of a network namespace are not known.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A sysctl is no number that is not negative.
    #[error("{} holds \"{text}\", which is no number from 0 upwards", path.display())]
    NoNumber {
        /// Which one.
        path: PathBuf,
        /// Its text.
        text: String,
    },
    /// The way into the namespace is barred.
    #[error("cannot enter network namespace {}: {source}", netns.0)]
    Enter {
        /// Which one.
        netns: Netns,
        /// Why it could not be read.
        source: EnterError,
    },
}

/// The sysctls of a network namespace as they are now.
///
/// Any other than the caller's own is looked for among all threads and mounts of the system and
/// entered in a thread that ends before this returns; that takes `CAP_SYS_ADMIN`.
pub fn read(netns: Netns) -> Result<Sysctls, SysctlError> {
    let own = namespaces::own().map_err(cannot_read(namespaces::OWN))?;
    if netns == own {
        return read_here();
    }
    let reachable = namespaces::reachable().map_err(cannot_read("/proc"))?;
    let place = reachable.places.into_iter().find(|place| place.netns == netns);
    let inside = place.ok_or(EnterError::Gone).and_then(|place| place.inside(read_here));
    inside.map_err(|source| SysctlError::Enter { netns, source })?
}

/// The same for a namespace that is open, on behalf of whoever holds it.
pub fn read_inside(netns: Netns, open: &impl AsFd) -> Result<Sysctls, SysctlError> {
    let inside = netns::enter(open, read_here);
    inside.map_err(|source| SysctlError::Enter { netns, source })?
}

/// Those of the calling thread's namespace.
pub(super) fn read_here() -> Result<Sysctls, SysctlError> {
    fs::metadata(DIRECTORY).map_err(cannot_read(DIRECTORY))?;
    let mut failure = None;
    let sysctls = Sysctls::from_lookup(|name| {
        number(&Path::new(DIRECTORY).join(name)).unwrap_or_else(|error| {
            failure.get_or_insert(error);
            None
        })
    });
    failure.map_or(Ok(sysctls), Err)
}

/// What a file holds; nothing if there is none, because a kernel need not have every sysctl.
pub(super) fn number(path: &Path) -> Result<Option<u64>, SysctlError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_read(path)(error)),
    };
    let text = text.trim();
    let no_number = |_| SysctlError::NoNumber { path: path.to_owned(), text: text.to_owned() };
    text.parse().map(Some).map_err(no_number)
}

fn cannot_read(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> SysctlError {
    move |source| SysctlError::Read { path: path.as_ref().to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_own_namespace_is_read_without_privilege() {
        let sysctls = read(namespaces::own().unwrap()).unwrap();
        let shown = fs::read_to_string("/proc/sys/net/ipv4/tcp_syn_retries").unwrap();
        assert_eq!(sysctls.syn_retries.to_string(), shown.trim());
        let shown = fs::read_to_string("/proc/sys/net/ipv4/tcp_fin_timeout").unwrap();
        assert_eq!(sysctls.fin_timeout, Duration::from_secs(shown.trim().parse().unwrap()));
    }

    #[test]
    fn a_namespace_that_does_not_exist_is_an_error() {
        let error = read(Netns(1)).unwrap_err();
        assert!(matches!(error, SysctlError::Enter { source: EnterError::Gone, .. }), "{error}");
    }

    #[test]
    fn only_a_file_that_is_absent_is_no_number_without_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sysctl");
        assert!(matches!(number(&path), Ok(None)));
        fs::write(&path, "15\n").unwrap();
        assert!(matches!(number(&path), Ok(Some(15))));
        fs::write(&path, "-1\n").unwrap();
        assert!(matches!(number(&path), Err(SysctlError::NoNumber { .. })));
        assert!(matches!(number(folder.path()), Err(SysctlError::Read { .. })));
    }
}
