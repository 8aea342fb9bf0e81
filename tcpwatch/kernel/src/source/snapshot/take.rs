//! The order of things: the own namespace, the others, duplicates, owners.

use std::collections::BTreeMap;

use rustc_hash::{FxBuildHasher, FxHashSet};
use tcpwatch_core::{
    event::{Cookie, KnownSocket, Netns, Waiter},
    timing::Sysctls,
};

use super::{
    Detail, FindOwners, SkippedNamespace, Snapshot, SnapshotError, SnapshotScope, owners,
    sock_diag,
    visit::{Visited, visit},
};
use crate::{clock, source::sysctls};

/// Lists the sockets in `scope`, and who holds them.
///
/// Namespaces other than the caller's are entered in threads of their own that end afterwards;
/// this takes `CAP_SYS_ADMIN`, and a namespace that refuses is put down as skipped. The caller's
/// own namespace takes no privilege at all.
pub fn take(scope: SnapshotScope, who: FindOwners) -> Result<Snapshot, SnapshotError> {
    let started = clock::now();
    // Whoever asks for owners shows the sockets to people.
    let detail = match who {
        FindOwners::Find => Detail::Times,
        FindOwners::Skip => Detail::Plain,
    };
    let mut sockets = Vec::new();
    let visited = visit(scope, |netns| sock_diag::dump(netns, detail, &mut sockets))?;
    let Visited { namespaces, skipped, mut hidden_processes } = visited;
    keep_latest(&mut sockets, |known| known.socket);
    if who == FindOwners::Find {
        let mut known: Vec<&mut KnownSocket> = sockets.iter_mut().collect();
        let hidden = owners::find(&mut known).map_err(SnapshotError::procfs("/proc"))?;
        hidden_processes = hidden_processes.max(hidden);
    }
    Ok(Snapshot { started, sockets, namespaces, skipped, hidden_processes })
}

/// The sockets that exist, in detail, and the rules by which their timers go.
#[derive(Debug)]
pub struct Listing {
    /// The sockets, one for each cookie.
    pub waiters: Vec<Waiter>,
    /// The sysctls of their namespaces, where they can be read.
    pub sysctls: BTreeMap<Netns, Sysctls>,
    /// The namespaces that were listed to the end.
    pub namespaces: Vec<Netns>,
    /// The namespaces that were not, or not to the end (what was found there is kept).
    pub skipped: Vec<SkippedNamespace>,
    /// As in [`Snapshot`].
    pub hidden_processes: usize,
}

/// Lists the sockets in `scope` with their timers and queues, and who holds them; as [`take`] for the rest. It takes
/// some microseconds for each socket, and for each open file of the system.
pub fn list(scope: SnapshotScope) -> Result<Listing, SnapshotError> {
    let (mut waiters, mut sysctls) = (Vec::new(), BTreeMap::new());
    let visited = visit(scope, |netns| {
        sysctls.extend(sysctls::read_here().ok().map(|sysctls| (netns, sysctls)));
        sock_diag::dump_waiters(netns, &mut waiters)
    })?;
    let Visited { namespaces, skipped, mut hidden_processes } = visited;
    keep_latest(&mut waiters, |waiter| waiter.known.socket);
    let mut known: Vec<&mut KnownSocket> =
        waiters.iter_mut().map(|waiter| &mut waiter.known).collect();
    let hidden = owners::find(&mut known).map_err(SnapshotError::procfs("/proc"))?;
    hidden_processes = hidden_processes.max(hidden);
    Ok(Listing { waiters, sysctls, namespaces, skipped, hidden_processes })
}

/// Keeps the last sight of every socket: it is the newest.
fn keep_latest<T>(sockets: &mut Vec<T>, socket: impl Fn(&T) -> Cookie) {
    let mut met = FxHashSet::with_capacity_and_hasher(sockets.len(), FxBuildHasher);
    sockets.reverse();
    sockets.retain(|known| met.insert(socket(known)));
    sockets.reverse();
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tcpwatch_core::event::{Endpoint, Endpoints, KernelTime, KnownKind, TcpState};

    use super::*;

    fn known(cookie: u64, state: TcpState) -> KnownSocket {
        let end = Endpoint { address: Ipv4Addr::LOCALHOST.into(), port: 1 };
        KnownSocket {
            socket: Cookie(cookie),
            netns: Netns(1),
            ends: Endpoints { local: end, remote: end },
            cgroup: None,
            state,
            kind: KnownKind::Full,
            timer_left: None,
            seen: KernelTime(0),
            quiet: None,
            queue_full: false,
            inode: 0,
            owner: None,
        }
    }

    #[test]
    fn a_socket_met_twice_is_kept_as_it_was_seen_last() {
        let mut sockets = vec![
            known(1, TcpState::SynRecv),
            known(2, TcpState::Listen),
            known(1, TcpState::Established),
        ];
        keep_latest(&mut sockets, |known| known.socket);
        assert_eq!(sockets, [known(2, TcpState::Listen), known(1, TcpState::Established)]);
    }
}
