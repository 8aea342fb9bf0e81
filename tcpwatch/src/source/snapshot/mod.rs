//! The TCP sockets that exist now, in every network namespace that can be reached.
//!
//! A program attached to the kernel sees changes only; this tells what was there before the first
//! one. Attach first, then take the snapshot: a change that falls between is then seen twice and
//! not missed.
//!
//! The road: [`namespaces`] finds where to look, [`sock_diag`] asks the kernel there, [`message`]
//! turns its bytes into sockets, [`owners`] finds who holds them.
//!
//! Limits. The kernel resumes a dump at a place in its hash table and locks one bucket at a time:
//! a socket that comes or goes meanwhile may be in the snapshot or not, and one that moved may be
//! met twice (the later sight is kept). Sockets that are bound but neither connected nor
//! listening are in no such table and not in the snapshot. A namespace that is held by nothing
//! but an open file or a socket is not found, because no list of namespaces exists.
//!
//! Memory: under 128 bytes a socket, 64 KiB for the answers, and while duplicates and owners are
//! looked for about 40 bytes more for each socket.

mod message;
pub mod namespaces;
mod owners;
mod sock_diag;

use std::{
    collections::HashSet,
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::event::{Cookie, Endpoints, KernelTime, Netns, Process, TcpState};

pub use message::MessageError;
pub use namespaces::{EnterError, NetnsError, resolve};
pub use sock_diag::DumpError;

/// What the kernel keeps for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KnownKind {
    /// A whole socket (`struct tcp_sock`), with or without an application.
    Full,
    /// A timewait mini-socket, in `TIME_WAIT` or in `FIN_WAIT_2`.
    TimeWait,
    /// A request mini-socket: a half-open connection, in `SYN_RECV`.
    Request,
}

/// A socket that existed when the snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSocket {
    /// Which socket. A timewait mini-socket keeps the cookie of the socket it came from if that
    /// one had been asked for, and so does a connection the cookie of its request.
    pub socket: Cookie,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends; IPv4 in IPv6 (`::ffff:192.0.2.1`) is told as IPv4, as it is on the wire.
    pub ends: Endpoints,
    /// Its state; of a timewait mini-socket the substate.
    pub state: TcpState,
    /// What the kernel keeps for it.
    pub kind: KnownKind,
    /// Time until a timewait mini-socket ends, counted from [`seen`](Self::seen): the nominal
    /// time in whole jiffies, zero when it is overdue; the timer wheel may let it end later, never
    /// earlier. Nothing for the other kinds.
    pub timer_left: Option<Duration>,
    /// When the kernel told it, within the few hundred microseconds that one answer takes.
    pub seen: KernelTime,
    /// Inode of the socket's file, 0 when there is none (mini-sockets, orphans, connections not
    /// accepted yet).
    pub inode: u32,
    /// Who holds it; nobody when [`inode`](Self::inode) is 0 or no process has it open.
    pub owner: Option<Process>,
}

const _: () = assert!(size_of::<KnownSocket>() <= 128, "the stated memory per socket");

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every network namespace that can be reached.
    Every,
    /// This one.
    Only(Netns),
}

impl Scope {
    fn covers(self, netns: Netns) -> bool {
        match self {
            Self::Every => true,
            Self::Only(only) => only == netns,
        }
    }
}

/// Whether to find out who holds the sockets; it costs a look at every open file of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
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
    /// `/proc` does not tell what it should.
    #[error("cannot read {path}: {source}; is /proc mounted?")]
    Procfs {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not even the own namespace can be dumped.
    #[error("cannot list the TCP sockets of the own network namespace: {0}")]
    Own(#[from] DumpError),
}

impl SnapshotError {
    fn procfs(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Procfs { path: path.as_ref().to_owned(), source }
    }
}

/// Lists the sockets in `scope`, and who holds them.
///
/// Namespaces other than the caller's are entered in threads of their own that end afterwards;
/// this takes `CAP_SYS_ADMIN`, and a namespace that refuses is put down as skipped. The caller's
/// own namespace takes no privilege at all.
pub fn take(scope: Scope, owners: Owners) -> Result<Snapshot, SnapshotError> {
    let own = namespaces::own().map_err(SnapshotError::procfs(namespaces::OWN))?;
    let mut snapshot = Snapshot {
        started: now(),
        sockets: Vec::new(),
        namespaces: Vec::new(),
        skipped: Vec::new(),
        hidden_processes: 0,
    };
    if scope.covers(own) {
        sock_diag::dump(own, &mut snapshot.sockets)?;
        snapshot.namespaces.push(own);
    }
    if scope != Scope::Only(own) {
        snapshot.visit_others(scope, own)?;
    }
    keep_latest(&mut snapshot.sockets);
    if owners == Owners::Find {
        let hidden = owners::find(&mut snapshot.sockets).map_err(SnapshotError::procfs("/proc"))?;
        snapshot.hidden_processes = snapshot.hidden_processes.max(hidden);
    }
    Ok(snapshot)
}

impl Snapshot {
    fn visit_others(&mut self, scope: Scope, own: Netns) -> Result<(), SnapshotError> {
        let reachable = namespaces::reachable().map_err(SnapshotError::procfs("/proc"))?;
        self.hidden_processes = reachable.hidden_processes;
        for place in reachable.places {
            let netns = place.netns;
            if netns == own || !scope.covers(netns) {
                continue;
            }
            let dumped = place
                .inside(|| sock_diag::dump(netns, &mut self.sockets))
                .map_err(SkipReason::from)
                .and_then(|dumped| dumped.map_err(SkipReason::from));
            match dumped {
                Ok(()) => self.namespaces.push(netns),
                Err(reason) => {
                    let path = place.paths.into_iter().next();
                    self.skipped.push(SkippedNamespace { netns, path, reason });
                }
            }
        }
        if let Scope::Only(netns) = scope
            && self.namespaces.is_empty()
            && self.skipped.is_empty()
        {
            let reason = SkipReason::Unreachable;
            self.skipped.push(SkippedNamespace { netns, path: None, reason });
        }
        Ok(())
    }
}

/// Keeps the last sight of every socket: it is the newest.
fn keep_latest(sockets: &mut Vec<KnownSocket>) {
    let mut met = HashSet::with_capacity(sockets.len());
    sockets.reverse();
    sockets.retain(|known| met.insert(known.socket));
    sockets.reverse();
}

/// `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns()`.
fn now() -> KernelTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let whole = Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    );
    KernelTime(0).after(whole)
}
