//! What is opened inside a network namespace.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    os::unix::fs::MetadataExt as _,
};

use rustix::fs::{Mode, OFlags, openat};
use tcpwatch_core::event::Netns;

use crate::source::{
    netstat::NETSTAT,
    snapshot::{DumpError, Surveyor},
};

/// The directory of the namespace that the opening thread is in: the kernel finds the files below it there, whichever
/// thread asks (`proc_sys_lookup`, `fs/proc/proc_sysctl.c`).
const SYSCTLS: &str = "/proc/sys/net/ipv4";

/// A namespace cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Its files.
    #[error("cannot open {path}: {source}")]
    File {
        /// Which one.
        path: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Its sockets.
    #[error(transparent)]
    Sockets(#[from] DumpError),
}

/// A namespace that was entered.
#[derive(Debug)]
pub(super) struct EnteredNamespace {
    pub(super) netns: Netns,
    /// The inode of its [`NETSTAT`].
    pub(super) number: u64,
    pub(super) surveyor: Surveyor,
    netstat: File,
    sysctls: Option<File>,
}

impl EnteredNamespace {
    /// Of the calling thread's namespace, which is `netns`.
    pub(super) fn here(netns: Netns) -> Result<Self, OpenError> {
        let cannot = |source| OpenError::File { path: NETSTAT, source };
        let netstat = File::open(NETSTAT).map_err(cannot)?;
        let number = netstat.metadata().map_err(cannot)?.ino();
        let sysctls = File::open(SYSCTLS).ok();
        Ok(Self { netns, number, surveyor: Surveyor::open()?, netstat, sysctls })
    }

    pub(super) fn netstat(&self) -> io::Result<String> {
        let mut file = &self.netstat;
        file.rewind()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(text)
    }

    pub(super) fn sysctl(&self, name: &str) -> io::Result<String> {
        let directory = self.sysctls.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let file = openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        io::read_to_string(File::from(file))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::{netstat::counter, snapshot::namespaces};

    #[test]
    fn what_was_opened_is_read_again_as_it_is_then() {
        let opened = EnteredNamespace::here(namespaces::own().unwrap()).unwrap();
        for _ in 0..2 {
            assert!(counter(&opened.netstat().unwrap(), "ListenOverflows").is_some());
            let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
            assert_eq!(opened.sysctl("ip_local_port_range").unwrap(), range);
        }
        assert!(opened.sysctl("no_such_sysctl").is_err());
    }
}
