//! A timer is armed: a mini-socket begins, or its timer runs anew.

use tcpwatch_common::mini_clock::Anew;

use super::{KnownMini, MiniKey};
use crate::{
    event::{Direction, KernelTime, MiniEvent, MiniKind, TcpState},
    timing::wheel::TickRate,
    track::{Change, Life, MissedChange, Restart, TrackedEvent, Tracker},
};

impl Tracker {
    /// The timer of a mini-socket that is known is armed.
    pub(super) fn runs_anew(
        &mut self,
        key: &MiniKey,
        event: &MiniEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let Some(mini) = self.minis.get_mut(key) else { return };
        let was = mini.open.take();
        mini.due = Some(event.due);
        mini.ends_at = Some(ends_at(event, self.reliance.rate));
        mini.silent_until = None;
        mini.seen = event.at;
        mini.cgroup = mini.cgroup.or(event.cgroup);
        match Anew::of(mini.state.to_kernel(), event.state.to_kernel()) {
            Anew::SentAgain if was.is_none() => {
                // What stopped the timer was missed, or a whole connection: since when is not known.
                mini.since = None;
                *mini.life = Life::default();
            }
            Anew::SentAgain => {}
            // Made before the snapshot looked and reported after it: nothing new.
            Anew::TimeWait | Anew::Restarts if was.is_none() && mini.since.is_none() => {}
            Anew::TimeWait => {
                let change = mini.change(key, event.at, event.state);
                mini.enter(event.state, event.at);
                out(TrackedEvent::Change(Change { ends_at: mini.ends_at, ..change }));
            }
            Anew::Restarts => out(TrackedEvent::Restart(Restart {
                at: event.at,
                subject: mini.subject(key),
                state: mini.state,
                in_state: mini.since.map(|since| event.at.since(since)),
                ends_at: mini.ends_at,
                starts: false,
                inferred: false,
            })),
        }
    }

    /// A SYN has come for a listener.
    pub(super) fn syn_arrived(
        &mut self,
        key: &MiniKey,
        event: &MiniEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        self.tally.connections += 1;
        let owner = self.owner_of_listener(event);
        let dropped = self.dropped_before(event);
        let mut mini = KnownMini {
            due: Some(event.due),
            ends_at: Some(ends_at(event, self.reliance.rate)),
            cgroup: event.cgroup,
            direction: Some(Direction::Incoming),
            process: owner,
            inherited: owner.is_some(),
            life: Box::new(Life::begun(event.at)),
            ..KnownMini::unknown(MiniKind::Request, TcpState::Listen, event.at, event.socket)
        };
        let change = mini.change(key, event.at, TcpState::SynRecv);
        if self.is_old_request(key, event.at) {
            let link = MissedChange { from: TcpState::Listen, to: TcpState::SynRecv, gap: false };
            *mini.life = Life::default();
            mini.life.infers(event.at, link);
            mini.state = TcpState::SynRecv;
            self.tell_inferred(change, link, out);
        } else {
            out(TrackedEvent::Change(Change { dropped, ..change }));
            mini.enter(TcpState::SynRecv, event.at);
        }
        self.keep_mini(*key, mini);
    }
}

/// When the timer armed by this event will fire.
pub(super) fn ends_at(event: &MiniEvent, rate: TickRate) -> KernelTime {
    rate.fires_at((event.tick, event.at), event.due)
}
