//! Who listens where, so that an accepted connection inherits its listener's owner.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::{queues::ListenerDrops, stays::Base};
use crate::event::{Cookie, Endpoint, Netns, Process};

#[derive(Clone, Debug)]
struct KnownListener {
    socket: Cookie,
    local: Endpoint,
    owner: Option<Process>,
    /// Read when a SYN came through last.
    drops: Option<ListenerDrops>,
    /// Since when its accept queue is full, if it was when it was read last.
    full: Option<Base>,
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
    by_port: HashMap<(Netns, u16), Vec<KnownListener>, FxBuildHasher>,
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
        here.push(KnownListener { socket, local: *local, owner, drops: None, full: None });
    }

    pub(super) fn remove(&mut self, netns: Netns, local: &Endpoint, socket: Cookie) {
        if let Some(here) = self.by_port.get_mut(&(netns, local.port)) {
            here.retain(|listener| listener.socket != socket);
            if here.is_empty() {
                self.by_port.remove(&(netns, local.port));
            }
        }
    }

    /// Remembers what this listener has dropped; returns what was remembered.
    pub(super) fn note_drops(
        &mut self,
        netns: Netns,
        local: Endpoint,
        socket: Cookie,
        drops: ListenerDrops,
    ) -> Option<ListenerDrops> {
        self.find_mut(netns, local.port, socket)?.drops.replace(drops)
    }

    /// Remembers since when this listener's accept queue is full, or that it is not.
    pub(super) fn note_full(
        &mut self,
        netns: Netns,
        port: u16,
        socket: Cookie,
        full: Option<Base>,
    ) {
        if let Some(listener) = self.find_mut(netns, port, socket) {
            listener.full = full;
        }
    }

    /// Since when this listener's accept queue is full, if it was when it was read last.
    pub(super) fn full_since(&self, netns: Netns, port: u16, socket: Cookie) -> Option<Base> {
        let here = self.by_port.get(&(netns, port))?;
        here.iter().find(|listener| listener.socket == socket)?.full
    }

    fn find_mut(&mut self, netns: Netns, port: u16, socket: Cookie) -> Option<&mut KnownListener> {
        let here = self.by_port.get_mut(&(netns, port))?;
        here.iter_mut().find(|listener| listener.socket == socket)
    }

    /// This listener.
    pub(super) fn get(&self, netns: Netns, local: &Endpoint, socket: Cookie) -> Option<Accepting> {
        let here = self.by_port.get(&(netns, local.port))?;
        let listener = here.iter().find(|listener| listener.socket == socket)?;
        Some(Accepting { owner: listener.owner })
    }

    /// The listener that accepts connections to this address.
    pub(super) fn find(&self, netns: Netns, local: &Endpoint) -> Option<Accepting> {
        let here = self.by_port.get(&(netns, local.port))?;
        let is_exact = |listener: &KnownListener| listener.local.address == local.address;
        let exact = here.iter().any(is_exact);
        let mut candidates = here.iter().filter(|listener| {
            if exact { is_exact(listener) } else { listener.local.address.is_unspecified() }
        });
        let first = candidates.next()?.owner;
        // Outside of the pid namespace there are names only.
        let whom = |owner: Option<Process>| owner.map(|process| (process.pid, process.comm));
        let same = candidates.all(|other| whom(other.owner) == whom(first));
        Some(Accepting { owner: first.filter(|_| same) })
    }
}
