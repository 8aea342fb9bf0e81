//! Who listens where, so that an accepted connection inherits its listener's owner.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::event::{Cookie, Endpoint, Netns, Process};

#[derive(Clone, Debug)]
struct Listener {
    socket: Cookie,
    local: Endpoint,
    owner: Option<Process>,
}

/// What accepts a connection: one listener, or several that share the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepting {
    /// The owner; left open if the listeners belong to different processes (`SO_REUSEPORT`).
    pub(super) owner: Option<Process>,
}

/// All listeners, by namespace and port.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    by_port: HashMap<(Netns, u16), Vec<Listener>, FxBuildHasher>,
}

impl Listeners {
    pub(super) fn add(
        &mut self,
        netns: Netns,
        local: &Endpoint,
        socket: Cookie,
        owner: Option<Process>,
    ) {
        let here = self.by_port.entry((netns, local.port)).or_default();
        here.retain(|listener| listener.socket != socket);
        here.push(Listener { socket, local: *local, owner });
    }

    pub(super) fn remove(&mut self, netns: Netns, local: &Endpoint, socket: Cookie) {
        if let Some(here) = self.by_port.get_mut(&(netns, local.port)) {
            here.retain(|listener| listener.socket != socket);
            if here.is_empty() {
                self.by_port.remove(&(netns, local.port));
            }
        }
    }

    /// The listener that accepts connections to this address.
    pub(super) fn find(&self, netns: Netns, local: &Endpoint) -> Option<Accepting> {
        let here = self.by_port.get(&(netns, local.port))?;
        let is_exact = |listener: &Listener| listener.local.address == local.address;
        let exact = here.iter().any(is_exact);
        let mut candidates = here.iter().filter(|listener| {
            if exact { is_exact(listener) } else { listener.local.address.is_unspecified() }
        });
        let first = candidates.next()?.owner;
        let same = candidates.all(|other| {
            other.owner.map(|process| process.pid) == first.map(|process| process.pid)
        });
        Some(Accepting { owner: first.filter(|_| same) })
    }
}
