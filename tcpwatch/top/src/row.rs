//! What is known of one socket.

use std::time::Duration;

use tcpwatch_core::{
    event::{KernelTime, Process, TcpState},
    track::{AcceptQueue, Reason, Subject, Wait, WaitsFor},
};

use crate::life::LifeEvent;

/// Moments of a life that are kept, half of them the first ones.
const MOMENTS: usize = 32;

/// Names a row as long as it exists: one kernel cookie, or one four-tuple as long as no cookie is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// Since when a socket is in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Since this moment, by the kernel's clock.
    pub since: KernelTime,
    /// The state was seen to begin; otherwise it may have begun earlier.
    pub seen: bool,
}

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowEnd {
    /// When.
    pub at: KernelTime,
    /// Why, as far as it is known.
    pub reason: Option<Reason>,
}

/// A moment that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// When, by the kernel's clock; the timer wheel may let it be later.
    pub at: KernelTime,
    /// It depends on what the kernel does not show.
    pub estimated: bool,
}

/// A socket that exists, or that ended a moment ago.
#[derive(Clone, Debug)]
pub struct SocketRow {
    /// Which one, and whose.
    pub subject: Subject,
    /// Its state.
    pub state: TcpState,
    /// Since when.
    pub age: Age,
    /// The next deadline: of a timer that sends again, or of one that ends the state.
    pub until: Option<Deadline>,
    /// Retransmissions in a row, without an answer.
    pub tries: u32,
    /// After how many the kernel gives up.
    pub most: Option<u32>,
    /// What the kernel answered last, when it was asked for what the socket waits in this state.
    pub wait: Option<(KernelTime, Wait)>,
    /// Of a listener, how many connections wait to be accepted, if the kernel was asked.
    pub queue: Option<AcceptQueue>,
    /// It is gone.
    pub ended: Option<RowEnd>,
    /// What has happened to it.
    pub moments: Vec<LifeEvent>,
    /// Moments that are left out between the first and the last.
    pub left_out: u32,
}

impl SocketRow {
    /// A socket about which nothing else is known.
    #[must_use]
    pub const fn new(subject: Subject, state: TcpState, age: Age) -> Self {
        Self {
            subject,
            state,
            age,
            until: None,
            tries: 0,
            most: None,
            wait: None,
            queue: None,
            ended: None,
            moments: Vec::new(),
            left_out: 0,
        }
    }

    /// It has entered a state: what was known of the one before does not count any more.
    pub fn enter(&mut self, state: TcpState, age: Age, until: Option<KernelTime>) {
        (self.state, self.age) = (state, age);
        self.until = until.map(|at| Deadline { at, estimated: false });
        (self.tries, self.most, self.wait) = (0, None, None);
    }

    /// Adds what has happened; of many moments the first and the last are kept.
    pub fn note(&mut self, moment: LifeEvent) {
        if self.moments.len() >= MOMENTS {
            self.moments.remove(MOMENTS / 2);
            self.left_out = self.left_out.saturating_add(1);
        }
        self.moments.push(moment);
    }

    /// Where moments are left out: behind so many of them.
    #[must_use]
    pub const fn gap_behind(&self) -> usize {
        MOMENTS / 2
    }

    /// The next deadline, unless that passed some time ago: then something came that is not seen, such as an
    /// acknowledgment.
    #[must_use]
    pub fn until(&self, now: KernelTime) -> Option<Deadline> {
        let until = self.until?;
        let armed = self.moments.last().map_or(self.age.since, |moment| moment.at);
        // The timer wheel is late by an eighth of the distance at most.
        let late = Duration::from_secs(1) + until.at.since(armed) / 8;
        (now <= until.at.after(late)).then_some(until)
    }

    /// Retransmissions in a row, if no answer came meanwhile as far as can be known.
    #[must_use]
    pub fn tries(&self, now: KernelTime) -> u32 {
        let armed = self.until.is_some() && self.until(now).is_none();
        if armed { 0 } else { self.tries }
    }

    /// How long it is in its state at `now`; how long it has been, if it is gone.
    #[must_use]
    pub fn in_state(&self, now: KernelTime) -> Duration {
        self.ended.map_or(now, |ended| ended.at).since(self.age.since)
    }

    /// For what every socket waits that is in its state, as far as the state alone says so.
    #[must_use]
    pub const fn waits_by_state(&self) -> Option<WaitsFor> {
        match self.state {
            TcpState::SynSent => Some(WaitsFor::SynAck),
            TcpState::SynRecv => Some(WaitsFor::HandshakeAck),
            TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => {
                Some(WaitsFor::Acknowledgment)
            }
            TcpState::FinWait2 => Some(WaitsFor::PeerFin),
            TcpState::TimeWait => Some(WaitsFor::Timer),
            TcpState::Listen => Some(WaitsFor::Connection),
            TcpState::Established
            | TcpState::CloseWait
            | TcpState::Closed
            | TcpState::Unknown(_) => None,
        }
    }

    /// The kernel showed last that nobody has accepted it yet.
    #[must_use]
    pub fn waits_for_accept(&self) -> bool {
        self.wait.is_some_and(|(_, wait)| wait.waits_for == Some(WaitsFor::Accept))
    }

    /// Its owner.
    #[must_use]
    pub const fn owner(&self) -> Option<&Process> {
        self.subject.process.as_ref()
    }
}
