//! Sockets that stay in a state: what is shown of one, and of many of one kind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    AcceptQueue, Subject, TrackedEvent, Tracker, existing, key,
    wait::{Wait, WaitRules},
};
use crate::event::{
    CgroupId, Direction, Endpoint, Endpoints, KernelTime, KnownKind, MiniKind, Netns, Process,
    TcpState, Waiter,
};

/// A socket that stays in a state, and for what it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still {
    /// When the kernel was asked about it.
    pub at: KernelTime,
    /// Its socket and owner.
    pub subject: Subject,
    /// The state.
    pub state: TcpState,
    /// How long it is in it; `None` if its beginning was not seen.
    pub in_state: Option<Duration>,
    /// And at least how long, if nothing more is known.
    pub at_least: Option<Duration>,
    /// For what it waits.
    pub wait: Wait,
    /// Of a listener: its accept queue, which is full.
    pub queue: Option<StillFull>,
}

/// A listener's accept queue that stays full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillFull {
    /// How full.
    pub queue: AcceptQueue,
    /// How long it is full.
    pub lasts: Duration,
    /// It was full when it was seen first, and may be so for longer.
    pub or_longer: bool,
}

/// More sockets of one kind that stay in a state, about which the kernel was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// When they were counted.
    pub at: KernelTime,
    /// How many.
    pub count: u32,
    /// The state.
    pub state: TcpState,
    /// For how long they are in it.
    pub after: Duration,
    /// In which network namespace.
    pub netns: Netns,
    /// Who connected to whom.
    pub direction: Option<Direction>,
    /// Their cgroup.
    pub cgroup: Option<CgroupId>,
    /// Their owner.
    pub process: Option<Process>,
    /// The owner is that of the listener that accepted them.
    pub inherited: bool,
    /// Records were lost: some may have left the state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
}

impl Others {
    /// What they have in common; their ends differ.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        const NONE: Endpoint =
            Endpoint { address: std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), port: 0 };
        let Self { netns, cgroup, direction, process, inherited, .. } = *self;
        let ends = Endpoints { local: NONE, remote: NONE };
        Subject { socket: None, netns, ends, cgroup, direction, process, inherited }
    }
}

impl Tracker {
    /// Takes in the kernel's answer about a socket that stays in a state; hands out what it waits for. All
    /// records up to the answer have to be applied before. Returns whether the socket still is what the
    /// answer is about.
    pub fn still(&mut self, waiter: &Waiter, mut out: impl FnMut(TrackedEvent)) -> bool {
        let known = &waiter.known;
        let here = match known.kind {
            KnownKind::Full if known.state == TcpState::Listen => self.listener_here(waiter),
            KnownKind::Full => self.full_here(waiter),
            KnownKind::TimeWait => self.mini_here(waiter, MiniKind::TimeWait),
            KnownKind::Request => self.mini_here(waiter, MiniKind::Request),
        };
        let Some(here) = here else { return false };
        let rules = WaitRules {
            sysctls: self.sysctls.get(&known.netns),
            rate: self.reliance.rate,
            ends_at: here.ends_at,
        };
        let in_state = here.since.map(|since| known.seen.since(since));
        let watched = known.seen.since(here.seen);
        let at_least = existing::at_least(known).map_or(watched, |quiet| quiet.max(watched));
        out(TrackedEvent::Still(Box::new(Still {
            at: known.seen,
            subject: here.subject,
            state: known.state,
            in_state,
            at_least: in_state.is_none().then_some(at_least),
            wait: Wait::of(waiter, rules),
            queue: here.queue,
        })));
        true
    }

    /// A listener stays if its accept queue is still full.
    fn listener_here(&mut self, waiter: &Waiter) -> Option<Here> {
        let Waiter { ref known, receive_queue: waiting, send_queue: most, .. } = *waiter;
        let (netns, port, socket) = (known.netns, known.ends.local.port, known.socket);
        let full = self.listeners.full_since(netns, port, socket)?;
        if !known.queue_full {
            self.listeners.note_full(netns, port, socket, None);
            return None;
        }
        let lasts = known.seen.since(full.at);
        let queue = AcceptQueue { waiting, most };
        let queue = StillFull { queue, lasts, or_longer: full.seen_only };
        self.full_here(waiter).map(|here| Here { queue: Some(queue), ..here })
    }

    fn full_here(&mut self, waiter: &Waiter) -> Option<Here> {
        let known = &waiter.known;
        let full = self.sockets.get_mut(&known.socket)?;
        if full.replaced || full.state != known.state {
            return None;
        }
        // SYN_SENT was entered before a local port was chosen.
        full.ends = known.ends;
        let subject = full.subject(known.socket);
        Some(Here { subject, since: full.since, seen: full.seen, ends_at: None, queue: None })
    }

    fn mini_here(&mut self, waiter: &Waiter, kind: MiniKind) -> Option<Here> {
        let known = &waiter.known;
        let key = key(known.netns, known.ends);
        let mini = self.minis.get_mut(&key)?;
        let same = (mini.kind, mini.state) == (kind, known.state);
        if !same || !mini.is_known_as(known.socket) {
            return None;
        }
        // It has one now, because it was asked for.
        mini.learn_cookie(known.socket);
        Some(Here {
            subject: mini.subject(&key),
            since: mini.since,
            seen: mini.seen,
            ends_at: mini.ends_at,
            queue: None,
        })
    }
}

/// What is known of a socket that an answer is about.
struct Here {
    subject: Subject,
    since: Option<KernelTime>,
    seen: KernelTime,
    ends_at: Option<KernelTime>,
    queue: Option<StillFull>,
}
