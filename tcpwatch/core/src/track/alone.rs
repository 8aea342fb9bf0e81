//! Mini-sockets whose last event stayed alone: what that means depends on whether records were lost; and
//! the ends of mini-sockets that nothing reported.

use super::{
    Change, FullSocket, Reason, TrackedEvent, Tracker,
    mini::{KnownMini, MiniKey, SETTLE},
    way::way,
};
use crate::event::{
    Cookie, EarlyEnd, KernelTime, MiniEvent, MiniKind, StateEvent, TcpState, TimerEvent,
};

/// Timers of unknown half-open connections that are remembered when they stop: they start again within
/// microseconds.
const MAX_STOPPED: usize = 64;

impl KnownMini {
    /// An event waits for its explanation.
    pub(super) const fn waits(&self) -> bool {
        self.open.is_some()
    }

    /// A half-open connection that waits for the report of the socket that it has become.
    fn is_accepted(&self) -> bool {
        let Some(open) = self.open else { return false };
        let what = (self.kind, open.timer, open.ended_by);
        what == (MiniKind::Request, TimerEvent::Cancel, Some(EarlyEnd::Accepted))
    }
}

impl Tracker {
    /// Is an event to be settled by `now`, that nothing has explained?
    #[must_use]
    pub fn settles_alone(&self, now: KernelTime) -> bool {
        let due = self.settling.due(now);
        due.filter_map(|(opened, key)| Some((opened, self.minis.get(key)?.open?)))
            .any(|(opened, open)| open.sight.at == *opened)
    }

    /// Nothing has explained the last event of this mini-socket, which came at `opened`. Without losses
    /// it has ended.
    pub(super) fn settle_alone(
        &mut self,
        key: &MiniKey,
        opened: KernelTime,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let lossy = self.may_lack_a_record(opened);
        let Some(mini) = self.minis.get_mut(key) else { return };
        let accepted = mini.is_accepted();
        if accepted && !self.reliance.gapless {
            // A filter hides what became of it.
            self.minis.remove(key);
        } else if accepted || lossy {
            mini.open = None;
            mini.accepted = accepted;
            self.tally.doubtful += 1;
        } else {
            self.end(key, opened, out);
        }
    }

    /// The timer of a half-open connection that is not known has stopped. If it starts again, the connection
    /// is older than that.
    pub(super) fn met_stopped(&mut self, key: &MiniKey, event: &MiniEvent) {
        let may_be_moved = matches!(event.ended_by, None | Some(EarlyEnd::ResetReceived));
        let goes_on = may_be_moved && event.kind == MiniKind::Request;
        if goes_on && self.reliance.gapless {
            if self.stopped.len() == MAX_STOPPED {
                self.stopped.pop_front();
            }
            self.stopped.push_back((event.at, *key));
        }
    }

    /// Is the half-open connection, whose timer starts now, older, and its SYN was missed?
    pub(super) fn is_old_request(&self, key: &MiniKey, at: KernelTime) -> bool {
        let stopped =
            |(before, other): &&(KernelTime, MiniKey)| other == key && at.since(*before) < SETTLE;
        self.reliance.gapless
            && (self.may_lack_a_record(at) || self.stopped.iter().rev().any(|one| stopped(&one)))
    }

    /// Another mini-socket has taken over the four-tuple: the old one has ended.
    pub(super) fn replaced_by_another(
        &mut self,
        key: &MiniKey,
        event: &MiniEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let Some(mini) = self.minis.get(key) else { return };
        // The same connection, of whose life as a full socket nothing was reported.
        let goes_on = self.reliance.gapless
            && (mini.kind, event.kind) == (MiniKind::Request, MiniKind::TimeWait)
            && event.socket.is_none_or(|socket| mini.is_known_as(socket));
        if goes_on {
            return;
        }
        match mini.open {
            Some(open) if !self.may_lack_a_record(open.sight.at) => self.end(key, event.at, out),
            _ => self.infer_end_of_mini(key, event.at, out),
        }
    }

    /// Tells the end of a mini-socket, that was missed.
    pub(super) fn infer_end_of_mini(
        &mut self,
        key: &MiniKey,
        at: KernelTime,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let Some(mut mini) = self.minis.remove(key) else { return };
        let (subject, left) = (mini.subject(key), mini.state);
        for link in way(left, TcpState::Closed) {
            mini.life.infers(at, link);
            let change = mini.change(key, at, TcpState::Closed);
            self.tell_inferred(Change { reason: Some(Reason::Unknown), ..change }, link, out);
        }
        self.tell_life(at, subject, *mini.life, (left, Reason::Unknown), out);
    }

    /// Is a timewait socket known here, that may have this cookie?
    pub(super) fn is_timewait(&self, key: &MiniKey, socket: Cookie) -> bool {
        let is_it = |mini: &KnownMini| mini.kind == MiniKind::TimeWait && mini.is_known_as(socket);
        self.minis.get(key).is_some_and(|mini| is_it(mini))
    }

    /// A full socket is closed, and it is not known whether a timewait socket replaces it: its beginning may be
    /// lost. Its timer will say so, or a comparison with what exists that it is gone.
    pub(super) fn go_on(&mut self, event: &StateEvent, mut connection: FullSocket) {
        let mut mini =
            KnownMini::unknown(MiniKind::TimeWait, connection.state, event.at, Some(event.socket));
        mini.goes_on(connection.past());
        mini.life.totals = event.totals.as_deref().copied();
        self.tally.doubtful += 1;
        self.keep_mini(MiniKey { netns: event.netns, ends: event.ends }, mini);
    }
}
