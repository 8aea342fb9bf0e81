//! Events become news: durations, owners, directions, reasons, full sockets and mini-sockets joined
//! into one life, and whatever the kernel did not report. Pure: no clock, no lock, no I/O; time
//! comes from the events.

use serde::{Deserialize, Serialize};

mod connection;
mod doubt;
mod listeners;
mod mini;
mod reason;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::{
    event::{Cookie, Event, KernelTime, KnownKind, KnownSocket, Netns, TcpState},
    timing::wheel::TickRate,
};
use connection::Connection;
use doubt::Doubts;
use listeners::Listeners;
use mini::{Key, Mini, Settling};
pub use reason::Reason;
pub use told::{Change, Handshake, News, Restart, Subject};

/// Full sockets tracked at most, and as many mini-sockets. With [`SOCKET_BYTES`] the two tables
/// take 2 x 116 MiB at worst (a hash table is up to half empty after it grew).
pub const MAX_SOCKETS: usize = 1 << 18;
/// Memory of one entry of either table, its key included.
pub const SOCKET_BYTES: usize = 232;

const _: () = {
    assert!(size_of::<(Cookie, Connection)>() <= SOCKET_BYTES, "the stated memory per socket");
    assert!(size_of::<(Key, Mini)>() <= SOCKET_BYTES, "the stated memory per mini-socket");
};

/// What the tracker may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reliance {
    /// Every change of a wanted socket arrives, so that a gap means a loss.
    pub gapless: bool,
    /// The timers of mini-sockets are watched.
    pub minis: bool,
    /// Ticks per second.
    pub rate: TickRate,
}

/// Totals the tracker keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections seen to open, or open when tcpwatch started.
    pub connections: u64,
    /// Changes the kernel did not report and that were inferred.
    pub inferred: u64,
    /// Sockets and mini-sockets not tracked because a table was full.
    pub table_full: u64,
}

/// Everything known about the sockets that are alive.
#[derive(Debug)]
pub struct Tracker {
    reliance: Reliance,
    sockets: HashMap<Cookie, Connection, FxBuildHasher>,
    minis: HashMap<Key, Mini, FxBuildHasher>,
    settling: Settling,
    doubts: Doubts,
    listeners: Listeners,
    tally: Tally,
}

impl Tracker {
    /// An empty tracker.
    #[must_use]
    pub fn new(reliance: Reliance) -> Self {
        Self {
            reliance,
            sockets: HashMap::default(),
            minis: HashMap::default(),
            settling: Settling::default(),
            doubts: Doubts::default(),
            listeners: Listeners::default(),
            tally: Tally::default(),
        }
    }

    /// Learns what existed when a snapshot was taken, before any event is applied.
    pub fn learn(&mut self, known: &[KnownSocket]) {
        for socket in known.iter().filter(|socket| socket.state == TcpState::Listen) {
            self.listeners.add(socket.netns, &socket.ends.local, socket.socket, socket.owner);
        }
        for socket in known {
            if socket.state != TcpState::Listen {
                self.tally.connections += 1;
            }
            match socket.kind {
                KnownKind::Full => self.learn_full(socket),
                KnownKind::TimeWait | KnownKind::Request => self.learn_mini(socket),
            }
        }
    }

    /// Applies an event; hands out the news it brings, in the order in which it happened.
    pub fn apply(&mut self, event: &Event, mut out: impl FnMut(News)) {
        self.settle(event.at(), &mut out);
        match event {
            Event::State(event) => self.apply_state(event, &mut out),
            Event::Mini(event) if self.reliance.minis => self.apply_mini(event, &mut out),
            // One of the hooks is missing: half the story would mislead.
            Event::Mini(_) => {}
        }
    }

    /// Sockets and mini-sockets that are alive, listeners not counted.
    #[must_use]
    pub fn open(&self) -> usize {
        let full = self.sockets.values().filter(|socket| socket.state != TcpState::Listen).count();
        full + self.minis.len()
    }

    /// Totals so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Compares with what is alive now, after losses: a socket that is gone without a word from the
    /// kernel has closed. `alive` tells whether a socket exists, `None` if that is not known.
    pub fn reconcile(
        &mut self,
        taken: KernelTime,
        alive: impl Fn(&Subject) -> Option<bool>,
        mut out: impl FnMut(News),
    ) {
        let gone = |subject: &Subject, seen| seen < taken && alive(subject) == Some(false);
        let mut ended = Vec::new();
        self.sockets.retain(|socket, known| {
            let keep = !gone(&known.subject(*socket), known.seen);
            if !keep {
                ended.push((*socket, known.change(*socket, taken, TcpState::Closed)));
            }
            keep
        });
        for (socket, change) in &ended {
            let (netns, ends) = (change.subject.netns, change.subject.ends);
            self.listeners.remove(netns, &ends.local, *socket);
        }
        let mut ended: Vec<Change> = ended.into_iter().map(|(_, change)| change).collect();
        self.minis.retain(|key, mini| {
            let keep = !gone(&mini.subject(key), mini.seen);
            if !keep {
                ended.push(mini.change(key, taken, TcpState::Closed));
            }
            keep
        });
        for change in ended {
            self.tally.inferred += 1;
            let reason = Some(Reason::Unknown);
            out(News::Change(Change { inferred: true, reason, ..change }));
        }
    }

    /// Does a table with so many entries have room for one more? If not, that is counted.
    fn has_room(&mut self, entries: usize) -> bool {
        let room = entries < MAX_SOCKETS;
        self.tally.table_full += u64::from(!room);
        room
    }
}

/// A four-tuple is unique inside its namespace among sockets that are not listeners.
const fn key(netns: Netns, ends: crate::event::Endpoints) -> Key {
    Key { netns, ends }
}
