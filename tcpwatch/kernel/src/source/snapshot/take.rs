//! The order of things: the own namespace, the others, duplicates, owners.

use std::collections::HashSet;

use tcpwatch_core::event::{KnownSocket, Netns};

use super::{
    Detail, Owners, Scope, SkipReason, SkippedNamespace, Snapshot, SnapshotError, namespaces,
    owners, sock_diag, visit::visit_others,
};
use crate::clock;

/// Lists the sockets in `scope`, and who holds them.
///
/// Namespaces other than the caller's are entered in threads of their own that end afterwards;
/// this takes `CAP_SYS_ADMIN`, and a namespace that refuses is put down as skipped. The caller's
/// own namespace takes no privilege at all.
pub fn take(scope: Scope, who: Owners) -> Result<Snapshot, SnapshotError> {
    let own = namespaces::own().map_err(SnapshotError::procfs(namespaces::OWN))?;
    let mut snapshot = Snapshot {
        started: clock::now(),
        sockets: Vec::new(),
        namespaces: Vec::new(),
        skipped: Vec::new(),
        hidden_processes: 0,
    };
    // Whoever asks for owners shows the sockets to people.
    let detail = match who {
        Owners::Find => Detail::Times,
        Owners::Skip => Detail::Plain,
    };
    if scope.covers(own) {
        sock_diag::dump(own, detail, &mut snapshot.sockets)?;
        snapshot.namespaces.push(own);
    }
    snapshot.dump_others(scope, own, detail)?;
    keep_latest(&mut snapshot.sockets);
    if who == Owners::Find {
        let hidden = owners::find(&mut snapshot.sockets).map_err(SnapshotError::procfs("/proc"))?;
        snapshot.hidden_processes = snapshot.hidden_processes.max(hidden);
    }
    Ok(snapshot)
}

impl Snapshot {
    fn dump_others(
        &mut self,
        scope: Scope,
        own: Netns,
        detail: Detail,
    ) -> Result<(), SnapshotError> {
        let Self { sockets, namespaces, skipped, hidden_processes, .. } = self;
        let work = |netns| sock_diag::dump(netns, detail, sockets);
        *hidden_processes = visit_others(scope, own, work, |place, dumped| match dumped {
            Ok(()) => namespaces.push(place.netns),
            Err(reason) => {
                let (netns, path) = (place.netns, place.paths.into_iter().next());
                skipped.push(SkippedNamespace { netns, path, reason });
            }
        })?;
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tcpwatch_core::event::KnownKind;
    use tcpwatch_core::event::{Cookie, Endpoint, Endpoints, KernelTime, TcpState};

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
        keep_latest(&mut sockets);
        assert_eq!(sockets, [known(2, TcpState::Listen), known(1, TcpState::Established)]);
    }
}
