//! What was there before the first event, and what is over but for TIME_WAIT when the run ends.

use std::time::Duration;

use super::{Reason, Subject, TrackedEvent, Tracker, key, mini::time_wait_since};
use crate::event::{KernelTime, KnownSocket, MiniKind, TcpState};

/// A socket that existed before the first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// When the kernel was asked about it.
    pub at: KernelTime,
    /// Its socket and owner.
    pub subject: Subject,
    /// Its state.
    pub state: TcpState,
    /// How long it is in it; `None` if that is not known.
    pub in_state: Option<Duration>,
    /// And at least how long, if nothing more is known.
    pub at_least: Option<Duration>,
    /// When the kernel's timer will end the state, if nothing else does before.
    pub ends_at: Option<KernelTime>,
}

impl Tracker {
    /// Hands out sockets that were learned, in the order in which they are given.
    pub fn tell_existing(&self, known: &[KnownSocket], mut out: impl FnMut(TrackedEvent)) {
        for socket in known {
            let subject = self.find(Some(socket.socket), socket.netns, socket.ends);
            let since = time_wait_since(socket);
            out(TrackedEvent::Existing(Existing {
                at: socket.seen,
                subject: Subject { ends: socket.ends, ..subject },
                state: socket.state,
                in_state: since.map(|since| socket.seen.since(since)),
                at_least: at_least(socket).filter(|_| since.is_none()),
                ends_at: socket.timer_left.map(|left| socket.seen.after(left)),
            }));
        }
    }

    /// Ends the connections that are over but for TIME_WAIT, and hands out their lives: nothing that can
    /// still happen to them matters.
    pub fn tell_unfinished(&mut self, now: KernelTime, mut out: impl FnMut(TrackedEvent)) {
        let waits = |kind, state| kind == MiniKind::TimeWait && state == TcpState::TimeWait;
        let waiting = self.minis.extract_if(|_, mini| waits(mini.kind, mini.state));
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_by_key(|(key, mini)| (mini.since, *key));
        for (key, mut mini) in waiting {
            mini.life.moves(now, (TcpState::TimeWait, mini.since), TcpState::Closed);
            let last = (TcpState::TimeWait, Reason::Timer);
            let mut connection = mini.life.clone().end(now, mini.subject(&key), last);
            connection.ends_at = mini.ends_at;
            out(TrackedEvent::Connection(Box::new(connection)));
        }
    }

    /// Was this connection there before the first event?
    pub(super) fn mark_existing(&mut self, known: &KnownSocket) {
        if let Some(full) = self.sockets.get_mut(&known.socket) {
            full.life.existed();
        } else if let Some(mini) = self.minis.get_mut(&key(known.netns, known.ends)) {
            mini.life.existed();
        }
    }
}

/// These states are entered when a segment comes, so no later than the last one came.
pub(super) fn at_least(known: &KnownSocket) -> Option<Duration> {
    match known.state {
        TcpState::Established | TcpState::FinWait2 | TcpState::CloseWait | TcpState::Closing => {
            known.quiet
        }
        _ => None,
    }
}
