//! Kernel events become tracked events: durations, owners, directions, reasons, full sockets and mini-sockets joined
//! into one life, and whatever the kernel did not report. Pure: no clock, no lock, no I/O; time
//! comes from the events.

use serde::{Deserialize, Serialize};

mod alone;
mod census;
mod connection;
mod doubt;
mod existing;
mod life;
mod listeners;
mod mini;
mod missed;
mod now;
mod owner;
mod past;
mod queues;
mod reason;
mod retry;
mod stays;
mod still;
#[cfg(test)]
mod tests;
mod tracked_event;
mod wait;
mod way;

use std::collections::{HashMap, VecDeque};

use rustc_hash::FxBuildHasher;

pub use crate::event::Subject;
use crate::{
    event::{
        self, About, Cookie, Endpoints, Event, KernelTime, KnownKind, KnownSocket, Netns, Process,
        ResetEvent, Shown, TcpState,
    },
    timing::{Sysctls, wheel::TickRate},
};
pub use census::Census;
use connection::FullSocket;
use doubt::Doubts;
pub use existing::Existing;
use life::Life;
pub use life::{ClosedBy, Connection, Spent};
use listeners::Listeners;
use mini::{KnownMini, MiniKey, Settling};
pub use now::{AcceptQueue, SocketNow, StateAge, sockets_now};
pub use queues::Dropped;
use queues::Unclaimed;
pub use reason::Reason;
use stays::{Base, Stays};
pub use stays::{MOMENTS, Sights, StayQuestion};
pub use still::{Others, Still, StillFull};
pub use tracked_event::{
    Change, Handshake, Restart, TrackedEvent, TrackedReset, TrackedRetransmit,
};
pub use wait::{GivesUp, Wait, WaitsFor, WindowProbes};
pub use way::MissedChange;

/// Full sockets tracked at most, and as many mini-sockets. With [`SOCKET_BYTES`] for each and
/// [`LIFE_BYTES`] for its connection, each of the two takes 162 MiB at worst, and its table 30 MiB.
pub const MAX_SOCKETS: usize = 1 << 18;
/// Memory of one entry of either table, its key not included.
pub const SOCKET_BYTES: usize = 264;
/// Memory of what is gathered of one connection.
pub const LIFE_BYTES: usize = 384;
/// Namespaces whose sysctls are remembered at most.
const MAX_NAMESPACES: usize = 1 << 12;
/// Closed sockets that are remembered: what is still reported of them follows within microseconds.
const MAX_CLOSED: usize = 64;

const _: () = {
    assert!(size_of::<FullSocket>() <= SOCKET_BYTES, "the stated memory per socket");
    assert!(size_of::<KnownMini>() <= SOCKET_BYTES, "the stated memory per mini-socket");
    assert!(size_of::<Life>() <= LIFE_BYTES, "the stated memory per life");
};

/// What the tracker may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none excludes another")]
pub struct Reliance {
    /// Every change of a wanted socket arrives, so that a gap means a loss.
    pub gapless: bool,
    /// The timers of mini-sockets are watched.
    pub minis: bool,
    /// Every connection's life is to be reported when its last socket is gone.
    #[serde(default)]
    pub lives: bool,
    /// Sockets are left out from their first change on, because of their cgroup or direction: a timewait socket that
    /// takes over from none that is known is one of theirs.
    #[serde(default)]
    pub selective: bool,
    /// Ticks per second.
    pub rate: TickRate,
}

/// Totals the tracker keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections seen to open, or open when tcpwatch started.
    pub connections: u64,
    /// Changes that were missed and inferred.
    pub inferred: u64,
    /// Sockets that may have ended: the record that would say so, or the contrary, may be lost.
    pub doubtful: u64,
    /// Sockets and mini-sockets not tracked because a table was full.
    pub table_full: u64,
}

/// Everything known about the sockets that are alive.
#[derive(Debug)]
pub struct Tracker {
    reliance: Reliance,
    /// Boxed, because every change takes its socket out and puts it back.
    sockets: HashMap<Cookie, Box<FullSocket>, FxBuildHasher>,
    /// Boxed, so that the table grows in a moment: records do not wait.
    minis: HashMap<MiniKey, Box<KnownMini>, FxBuildHasher>,
    settling: Settling,
    doubts: Doubts,
    stays: Stays,
    listeners: Listeners,
    sysctls: HashMap<Netns, Sysctls, FxBuildHasher>,
    /// Sockets that did not close normally, the last ones: a reset or an error may be reported after it.
    closed: VecDeque<Subject>,
    tally: Tally,
    /// Timers of half-open connections that are not known, the last ones that stopped.
    stopped: VecDeque<(KernelTime, MiniKey)>,
    /// Owners of sockets that are not known yet.
    claims: VecDeque<(Cookie, Process)>,
    /// Readings of queues for sockets that are being accepted.
    unclaimed: Unclaimed,
    /// Up to here, records were lost.
    lost_until: Option<KernelTime>,
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
            stays: Stays::default(),
            listeners: Listeners::default(),
            sysctls: HashMap::default(),
            closed: VecDeque::default(),
            tally: Tally::default(),
            stopped: VecDeque::default(),
            claims: VecDeque::default(),
            unclaimed: Unclaimed::default(),
            lost_until: None,
        }
    }

    /// Learns what existed when a snapshot was taken, before any event is applied.
    pub fn learn(&mut self, known: &[KnownSocket]) {
        for socket in known.iter().filter(|socket| socket.state == TcpState::Listen) {
            let local = &socket.ends.local;
            self.listeners.add(socket.netns, local, socket.socket, socket.owner);
            let full = socket.queue_full.then_some(Base { at: socket.seen, seen_only: true });
            self.listeners.note_full(socket.netns, local.port, socket.socket, full);
        }
        for socket in known {
            if socket.state != TcpState::Listen {
                self.tally.connections += 1;
            }
            match socket.kind {
                KnownKind::Full => self.learn_full(socket),
                KnownKind::TimeWait | KnownKind::Request => self.learn_mini(socket),
            }
            self.mark_existing(socket);
        }
    }

    /// Applies an event; yields the tracked events that follow from it, oldest first.
    pub fn apply(&mut self, event: &Event, mut out: impl FnMut(TrackedEvent)) {
        self.settle(event.at(), &mut out);
        macro_rules! apply {
            ($($(#[$what:meta])* $plain:ident($event:ident),)*) => {
                match event {
                    Event::State(event) => self.apply_state(event, &mut out),
                    Event::Mini(event) if self.reliance.minis => self.apply_mini(event, &mut out),
                    // One of the hooks is missing: half the story would mislead.
                    Event::Mini(_) => {}
                    Event::Retransmit(event) => self.apply_retransmit(event, &mut out),
                    Event::Reset(event) => self.apply_reset(event, &mut out),
                    Event::Owner(event) => self.apply_owner(event),
                    Event::Queue(event) => self.apply_queue(event),
                    Event::Segment(event) => out(TrackedEvent::Segment(Box::new(event.clone()))),
                    $(Event::$plain(event) => out(TrackedEvent::$plain(self.about(event))),)*
                }
            };
        }
        event::plain_events!(apply);
    }

    /// Does it know by which rules this namespace sends again?
    #[must_use]
    pub fn knows_sysctls(&self, netns: Netns) -> bool {
        self.sysctls.contains_key(&netns)
    }

    /// By which rules namespaces send again, as far as that is known.
    pub fn sysctls(&self) -> impl Iterator<Item = (Netns, &Sysctls)> {
        self.sysctls.iter().map(|(netns, sysctls)| (*netns, sysctls))
    }

    /// By which rules a namespace sends again; without, today's defaults are taken.
    pub fn learn_sysctls(&mut self, netns: Netns, sysctls: Sysctls) {
        if self.sysctls.len() >= MAX_NAMESPACES {
            self.sysctls.clear();
        }
        self.sysctls.insert(netns, sysctls);
    }

    fn apply_reset(&mut self, event: &ResetEvent, out: &mut impl FnMut(TrackedEvent)) {
        let subject = self.find(event.socket, event.netns, event.ends);
        // SYN_SENT was entered before a local port was chosen.
        let cgroup = subject.cgroup.or(event.cgroup);
        let subject = Subject { ends: event.ends, cgroup, ..subject };
        let full = event.socket.and_then(|socket| self.sockets.get_mut(&socket));
        if let Some(full) = full.filter(|full| !full.replaced) {
            full.ends = event.ends;
            full.life.reset = Some(event.into());
        } else if let Some(mini) = self.minis.get_mut(&key(event.netns, event.ends)) {
            mini.life.reset = Some(event.into());
        }
        let ResetEvent { at, state, direction, ref why, .. } = *event;
        out(TrackedEvent::Reset(TrackedReset { at, subject, state, direction, why: why.clone() }));
    }

    /// An event that changes nothing, with what is known of its socket.
    fn about<E: Shown + Clone>(&self, event: &E) -> About<E> {
        let Subject { socket, netns, ends, cgroup, .. } = event.subject();
        let known = self.find(socket, netns, ends);
        let subject = Subject { cgroup: known.cgroup.or(cgroup), ..known };
        About { subject, event: event.clone() }
    }

    /// A socket has closed, and not normally.
    fn remember_closed(&mut self, subject: Subject) {
        if self.closed.len() == MAX_CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back(subject);
    }

    /// The socket that an event concerns, as far as it is known.
    fn find(&self, socket: Option<Cookie>, netns: Netns, ends: Endpoints) -> Subject {
        let key = key(netns, ends);
        let full = socket.and_then(|socket| Some((socket, self.sockets.get(&socket)?)));
        full.map(|(socket, full)| full.subject(socket))
            .or_else(|| self.minis.get(&key).map(|mini| mini.subject(&key)))
            .or_else(|| {
                let is_it = |closed: &&Subject| socket.is_some() && closed.socket == socket;
                self.closed.iter().rev().find(is_it).copied()
            })
            .unwrap_or(Subject::unknown(socket, netns, ends))
    }

    /// Sockets and mini-sockets that are alive, listeners not counted.
    #[must_use]
    pub fn open(&self) -> usize {
        let is_open = |full: &FullSocket| full.state != TcpState::Listen && !full.replaced;
        self.sockets.values().filter(|full| is_open(full)).count() + self.minis.len()
    }

    /// Totals so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Does a table with so many entries have room for one more? If not, that is counted.
    fn has_room(&mut self, entries: usize) -> bool {
        let room = entries < MAX_SOCKETS;
        self.tally.table_full += u64::from(!room);
        room
    }
}

/// A four-tuple is unique inside its namespace among sockets that are not listeners.
const fn key(netns: Netns, ends: Endpoints) -> MiniKey {
    MiniKey { netns, ends }
}
