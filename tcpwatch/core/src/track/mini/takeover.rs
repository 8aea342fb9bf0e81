//! A timewait socket takes over from a full socket.

use std::time::Duration;

use tcpwatch_common::mini_clock::time_wait_began;

use super::{KnownMini, MiniKey, begin::ends_at};
use crate::{
    event::{Jiffies, MiniEvent, MiniKind, TcpState, TimerEvent},
    track::{
        Change, MAX_SOCKETS, MissedChange, Restart, TrackedEvent, Tracker, past::Past, way::way,
    },
};

/// A timewait socket that takes over at once does so within this time of FIN_WAIT_2.
const AT_ONCE: Duration = Duration::from_millis(1);

impl Tracker {
    /// A timewait socket has taken over from a full socket, which keeps its identity: the process
    /// that owned the one owns the other. What the full socket did unseen before is inferred; so is this
    /// itself, unless it is `reported`.
    pub(super) fn took_over(
        &mut self,
        key: &MiniKey,
        event: &MiniEvent,
        reported: bool,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let past = self.past_of(key, event);
        let left = left_state(event, past.as_ref());
        // After shutdown() it was in FIN_WAIT_2 without a timer, until close(); otherwise both are one.
        let waited = past.as_ref().is_some_and(|past| {
            let here = event.state == TcpState::FinWait2 && past.state == event.state;
            let at_once = past.since.is_some_and(|since| event.at.since(since) < AT_ONCE);
            here && !past.has_timer && !at_once
        });
        let stop = left.unwrap_or(event.state);
        let mut mini = KnownMini::unknown(MiniKind::TimeWait, stop, event.at, event.socket);
        mini.due = Some(event.due);
        mini.ends_at = Some(ends_at(event, self.reliance.rate));
        match past {
            Some(mut past) => {
                // A filter on states may have hidden how it came here.
                if !self.reliance.gapless && Some(past.state) != left {
                    (past.state, past.since) = (mini.state, None);
                }
                mini.goes_on(past);
            }
            None => self.tally.connections += 1,
        }
        let mut links = way(mini.state, stop);
        if links.iter().any(|link| link.to == TcpState::Closed) {
            // A socket that ended in between is another one's past.
            links.clear();
            (mini.state, mini.since) = (stop, None);
        }
        for link in links {
            let change = mini.change(key, event.at, link.to);
            let ends_at = mini.ends_at.filter(|_| link.to == event.state);
            mini.life.infers(event.at, link);
            self.tell_inferred(Change { ends_at, ..change }, link, out);
            (mini.state, mini.since) = (link.to, None);
        }
        if mini.state != event.state {
            let change = mini.change(key, event.at, event.state);
            if !reported {
                self.tally.inferred += 1;
                let link = MissedChange { from: mini.state, to: event.state, gap: false };
                mini.life.inferred.push(link);
            }
            let inferred = !reported;
            out(TrackedEvent::Change(Change { ends_at: mini.ends_at, inferred, ..change }));
            mini.enter(event.state, event.at);
        } else if event.state == TcpState::TimeWait {
            mini.since = Some(event.at);
        }
        if mini.state == TcpState::FinWait2 {
            mini.silent_until = self.doubt(key, event);
            if reported && waited {
                out(TrackedEvent::Restart(Restart {
                    at: event.at,
                    subject: mini.subject(key),
                    state: mini.state,
                    in_state: mini.since.map(|since| event.at.since(since)),
                    ends_at: mini.ends_at,
                    starts: true,
                    inferred: false,
                }));
            }
        }
        self.keep_mini(*key, mini);
    }

    /// What is known of the connection before its timewait socket. A full socket stays in its table if
    /// there is no room for the mini-socket, so that its last report is known for what it is.
    fn past_of(&mut self, key: &MiniKey, event: &MiniEvent) -> Option<Past> {
        let socket = event.socket?;
        if let Some(mut full) = self.sockets.remove(&socket).filter(|full| !full.replaced) {
            let past = full.past();
            if self.minis.len() >= MAX_SOCKETS {
                full.replaced = true;
                self.sockets.insert(socket, full);
            }
            return Some(past);
        }
        Some(self.take_half_open(key)?.past())
    }

    /// A full socket that is known has become a timewait socket, but that was missed: its timer was
    /// started when it had its whole time before it.
    pub(super) fn infer_takeover(
        &mut self,
        key: &MiniKey,
        event: &MiniEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let here = self.minis.get(key).map(|mini| mini.kind);
        let known = event.socket.is_some_and(|socket| self.sockets.contains_key(&socket));
        let missed = event.kind == MiniKind::TimeWait
            && self.reliance.gapless
            && here != Some(MiniKind::TimeWait)
            && (known || here == Some(MiniKind::Request));
        if !missed {
            return;
        }
        let rate = self.reliance.rate;
        let started = match event.state {
            TcpState::TimeWait => Jiffies(time_wait_began(event.due.0, rate.tick_ns())),
            _ => event.tick,
        };
        let at = rate.moment(started, (event.tick, event.at)).min(event.at);
        let start = MiniEvent {
            at,
            tick: started,
            timer: TimerEvent::Start,
            ended_by: None,
            ..event.clone()
        };
        self.took_over(key, &start, false, out);
    }
}

/// The state of the full socket when the timewait socket took over: one of the two in which the kernel
/// calls `tcp_time_wait` (`net/ipv4/tcp_input.c`, `tcp.c`, `tcp_timer.c`).
fn left_state(start: &MiniEvent, past: Option<&Past>) -> Option<TcpState> {
    let may_be = |state: &TcpState| matches!(state, TcpState::FinWait2 | TcpState::Closing);
    let waits = (start.state == TcpState::FinWait2).then_some(TcpState::FinWait2);
    let known = || past.map(|past| past.state).filter(may_be);
    start.replaces.filter(may_be).or(waits).or_else(known)
}
