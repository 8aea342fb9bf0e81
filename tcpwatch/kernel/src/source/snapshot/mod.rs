//! The TCP sockets that exist now, in every network namespace that can be reached.
//!
//! A program attached to the kernel sees changes only; this lists what was there before the first
//! one. Attach first, then take the snapshot: a change that falls between is then seen twice and
//! not missed.
//!
//! The road: `namespaces.rs` finds where to look, `visit.rs` goes there, `sock_diag.rs` asks the kernel there,
//! `message/` turns its bytes into sockets, `owners.rs` finds who holds them; `take.rs` does it
//! all in order. `names.rs` knows what a user calls a namespace; `survey.rs` counts sockets instead of
//! listing them.
//!
//! Limits. The kernel resumes a dump at a place in its hash table and locks one bucket at a time:
//! a socket that comes or goes meanwhile may be in the snapshot or not, and one that moved may be
//! met twice (the later sight is kept). Sockets that are bound but neither connected nor
//! listening are in no such table and not in the snapshot. A namespace that is held by nothing
//! but an open file or a socket is not found, because no list of namespaces exists.
//!
//! Memory: under 160 bytes a socket, 64 KiB for the answers, and while duplicates and owners are
//! looked for about 40 bytes more for each socket.

mod host_facts;
mod lookup;
mod message;
mod names;
pub mod namespaces;
pub mod owners;
mod sock_diag;
mod survey;
mod take;
mod visit;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use tcpwatch_core::event::{KernelTime, KnownSocket, Netns};

pub use host_facts::host_facts;
pub use lookup::{Lookup, LookupAnswer, Lookups, SocketQuestion};
pub use message::{MessageError, Surveyed};
pub use names::{NetnsError, name_of, resolve};
pub use namespaces::EnterError;
pub use sock_diag::{DumpError, Lister};
pub use survey::{Detail, Surveyor, survey};
pub use take::{Listing, list, take};
pub use visit::{Visited, visit};

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotScope {
    /// Every network namespace that can be reached.
    Every,
    /// This one.
    Only(Netns),
}

impl SnapshotScope {
    pub(super) fn covers(self, netns: Netns) -> bool {
        match self {
            Self::Every => true,
            Self::Only(only) => only == netns,
        }
    }
}

/// Whether to find out who holds the sockets; it costs a look at every open file of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindOwners {
    /// Look through `/proc`.
    Find,
    /// Leave [`KnownSocket::owner`] empty.
    Skip,
}

/// The sockets that existed, and what could not be looked at.
#[derive(Debug)]
pub struct Snapshot {
    /// Before the first question to the kernel: what changed later may or may not be in here.
    pub started: KernelTime,
    /// The sockets, one for each cookie.
    pub sockets: Vec<KnownSocket>,
    /// The namespaces that were dumped to the end.
    pub namespaces: Vec<Netns>,
    /// The namespaces that were not, or not to the end (what was found there is kept).
    pub skipped: Vec<SkippedNamespace>,
    /// Processes whose namespace or open files this process may not read. Their sockets have no
    /// owner; their namespaces are in here only if others share them.
    pub hidden_processes: usize,
}

/// A namespace that was not dumped to the end.
#[derive(Debug)]
pub struct SkippedNamespace {
    /// Which one.
    pub netns: Netns,
    /// How it was to be entered, if a way was known.
    pub path: Option<PathBuf>,
    /// Why it was not.
    pub reason: SkipReason,
}

impl fmt::Display for SkippedNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network namespace {}", self.netns.0)?;
        if let Some(path) = &self.path {
            write!(f, " ({})", path.display())?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for SkippedNamespace {}

impl SkippedNamespace {
    /// Is it a privilege that is lacking?
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self.reason, SkipReason::Enter(EnterError::Refused(_) | EnterError::Open(_)))
    }
}

/// Why a namespace was not dumped to the end.
#[derive(Debug, thiserror::Error)]
pub enum SkipReason {
    /// Nothing leads into it.
    #[error("no process, thread or mount that can be seen holds it")]
    Unreachable,
    /// The way into it is barred.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The kernel did not answer as it should.
    #[error(transparent)]
    Dump(#[from] DumpError),
}

/// No snapshot could be taken at all.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// `/proc` does not have what it should.
    #[error("cannot read {path}: {source}; is /proc mounted?")]
    Procfs {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not even the own namespace can be dumped.
    #[error("the sockets of this network namespace are out of reach: {0}")]
    Own(#[from] DumpError),
}

impl SnapshotError {
    fn procfs(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Procfs { path: path.as_ref().to_owned(), source }
    }
}
