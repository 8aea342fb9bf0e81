//! A mini-socket ends.

use tcpwatch_common::{
    MiniClosing,
    mini_clock::{became_time_wait, time_wait_began},
};

use super::{KnownMini, MiniKey, settle::Sight};
use crate::{
    event::{Jiffies, KernelTime, MiniEvent, MiniKind, ResetDirection, TcpState, TimerEvent},
    timing::wheel::TickRate,
    track::{Change, MissedChange, Reason, Restart, TrackedEvent, Tracker},
};

impl KnownMini {
    /// The last chance to report what was missed because the timer stayed in its bucket: the end
    /// shows the state, and `due` shows when its 60 s were started last.
    fn put_right(
        &mut self,
        key: &MiniKey,
        end: Sight,
        rate: TickRate,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        if end.state != TcpState::TimeWait {
            return;
        }
        let started = Jiffies(time_wait_began(end.due.0, rate.tick_ns()));
        let started_at = rate.moment(started, (end.tick, end.at));
        if became_time_wait(self.state.to_kernel(), end.state.to_kernel()) {
            let started_at = started_at.max(self.since.unwrap_or(started_at));
            let change = self.change(key, started_at, TcpState::TimeWait);
            out(TrackedEvent::Change(Change { inferred: true, ..change }));
            let link = MissedChange { from: self.state, to: TcpState::TimeWait, gap: false };
            self.life.inferred.push(link);
            self.enter(TcpState::TimeWait, started_at);
        } else if self.due.is_some_and(|due| end.due > due) {
            out(TrackedEvent::Restart(Restart {
                at: started_at,
                subject: self.subject(key),
                state: self.state,
                in_state: self.since.map(|since| started_at.since(since)),
                ends_at: None,
                starts: false,
                inferred: true,
            }));
        }
    }
}

impl Tracker {
    /// The timer of a timewait socket fired.
    pub(super) fn expired(
        &mut self,
        key: &MiniKey,
        event: &MiniEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let Some(mut mini) = self.minis.remove(key) else { return };
        mini.put_right(key, event.into(), self.reliance.rate, out);
        self.close(*mini, key, event.at, (Reason::Timer, false), out);
    }

    /// The end of a mini-socket whose last event stayed alone.
    pub(in crate::track) fn end(
        &mut self,
        key: &MiniKey,
        at: KernelTime,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let Some(mut mini) = self.minis.remove(key) else { return };
        let at = mini.open.map_or(at, |open| open.sight.at);
        if let Some(open) = mini.open.filter(|_| mini.kind == MiniKind::TimeWait) {
            mini.put_right(key, open.sight, self.reliance.rate, out);
        }
        let why = Self::why_it_ends(&mini);
        self.close(*mini, key, at, why, out);
    }

    /// Tells the last change of a mini-socket, and the life that ends with it.
    fn close(
        &self,
        mut mini: KnownMini,
        key: &MiniKey,
        at: KernelTime,
        (reason, late_data): (Reason, bool),
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let change = mini.change(key, at, TcpState::Closed);
        let queue = mini.life.met.take_latest(at);
        out(TrackedEvent::Change(Change { reason: Some(reason), late_data, queue, ..change }));
        let left = mini.state;
        mini.life.moves(at, (left, mini.since), TcpState::Closed);
        self.tell_life(at, mini.subject(key), *mini.life, (left, reason), out);
    }

    /// The reason, and whether data came after the application had closed.
    fn why_it_ends(mini: &KnownMini) -> (Reason, bool) {
        let Some(open) = mini.open else { return (Reason::Unknown, false) };
        let sent = mini.life.reset_at_end(open.sight.at);
        let sent = sent.filter(|reset| reset.direction == ResetDirection::Sent);
        let closing = MiniClosing {
            kind: mini.kind,
            state: mini.state.to_kernel(),
            expired: open.timer == TimerEvent::Expire,
            ended_by: open.ended_by,
            reset_sent: sent.is_some(),
            listens: open.listens,
        };
        (closing.reason(), closing.is_by_late_data(sent.is_some_and(|reset| reset.answers_no_syn)))
    }
}
