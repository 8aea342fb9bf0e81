//! Who holds a socket: what is known better replaces what is known less well.

use super::{FullSocket, Tracker, mini::KnownMini};
use crate::event::{Cookie, MiniEvent, OwnerEvent, Process, Via};

/// Owners of sockets that are not known yet, which wait for the change that shows the socket: it comes with the
/// same moment.
const MAX_CLAIMS: usize = 64;

impl Process {
    /// Is this process to be named instead of the one that was known? Of two that are known equally well it is
    /// the later one.
    pub(super) fn replaces(&self, known: Option<&Self>) -> bool {
        known.is_none_or(|known| self.via >= known.via)
    }
}

impl FullSocket {
    /// Takes in an owner. One that was seen at the socket itself is no guess any more.
    pub(super) fn owned_by(&mut self, owner: Process) {
        if self.inherited || owner.replaces(self.process.as_ref()) {
            self.process = Some(owner);
            self.inherited = false;
        }
    }

    /// Takes over the owner of the half-open connection that it has become, whose listener the kernel has
    /// named.
    pub(super) fn inherit(&mut self, request: &KnownMini) {
        self.cgroup = self.cgroup.or(request.cgroup);
        if request.process.is_some() && (self.process.is_none() || self.inherited) {
            (self.process, self.inherited) = (request.process, request.inherited);
        }
    }
}

impl Tracker {
    pub(super) fn apply_owner(&mut self, event: &OwnerEvent) {
        if let Some(full) = self.sockets.get_mut(&event.socket).filter(|full| !full.replaced) {
            full.cgroup = event.cgroup.or(full.cgroup);
            full.owned_by(event.process);
            return;
        }
        if self.claims.len() == MAX_CLAIMS {
            self.claims.pop_front();
        }
        self.claims.push_back((event.socket, event.process));
    }

    /// The owner that waits for this socket.
    pub(super) fn take_claim(&mut self, socket: Cookie) -> Option<Process> {
        let at = self.claims.iter().rposition(|(claimed, _)| *claimed == socket)?;
        self.claims.remove(at).map(|(_, owner)| owner)
    }

    /// The process of the listener that accepts a half-open connection: of the one that the kernel has chosen,
    /// if its record says which.
    pub(super) fn owner_of_listener(&self, event: &MiniEvent) -> Option<Process> {
        let (netns, local) = (event.netns, &event.ends.local);
        let chosen = event.listener.and_then(|listener| self.listeners.get(netns, local, listener));
        let owner = chosen.or_else(|| self.listeners.find(netns, local))?.owner?;
        Some(Process { via: Via::Listen, ..owner })
    }
}
