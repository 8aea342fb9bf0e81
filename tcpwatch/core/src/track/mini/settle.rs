//! Events of timers that the next one explains.

use std::{collections::VecDeque, time::Duration};

use tcpwatch_common::mini_clock::DECIDED_WITHIN_NS;

use super::MiniKey;
use crate::{
    event::{EarlyEnd, Jiffies, KernelTime, MiniEvent, MiniKind, TcpState, TimerEvent},
    track::{TrackedEvent, Tracker},
};

/// How long an event waits for what explains it.
pub(in crate::track) const SETTLE: Duration = Duration::from_nanos(DECIDED_WITHIN_NS);

/// An event that waits for its explanation.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct OpenEvent {
    pub(in crate::track) sight: Sight,
    pub(in crate::track) timer: TimerEvent,
    pub(in crate::track) ended_by: Option<EarlyEnd>,
    /// A half-open connection had a listener when its timer fired.
    pub(super) listens: bool,
}

/// What an event showed of a mini-socket besides what happened to its timer.
#[derive(Clone, Copy, Debug)]
pub(in crate::track) struct Sight {
    pub(in crate::track) at: KernelTime,
    pub(super) tick: Jiffies,
    pub(super) state: TcpState,
    pub(super) due: Jiffies,
}

impl From<&MiniEvent> for Sight {
    fn from(event: &MiniEvent) -> Self {
        Self { at: event.at, tick: event.tick, state: event.state, due: event.due }
    }
}

/// Mini-sockets with an open event, oldest first.
#[derive(Debug, Default)]
pub(in crate::track) struct Settling(pub(super) VecDeque<(KernelTime, MiniKey)>);

impl Settling {
    /// What has waited long enough at `now`.
    pub(in crate::track) fn due(
        &self,
        now: KernelTime,
    ) -> impl Iterator<Item = &(KernelTime, MiniKey)> {
        self.0.iter().take_while(move |(opened, _)| now.since(*opened) >= SETTLE)
    }
}

impl Tracker {
    /// Ends what has waited long enough at `now` without an explanation.
    pub fn settle(&mut self, now: KernelTime, out: &mut impl FnMut(TrackedEvent)) {
        while let Some((opened, key)) = self.settling.0.front().copied() {
            if now.since(opened) < SETTLE {
                return;
            }
            self.settling.0.pop_front();
            let still_open = self
                .minis
                .get(&key)
                .and_then(|mini| mini.open)
                .is_some_and(|open| open.sight.at == opened);
            if still_open {
                self.settle_alone(&key, opened, out);
            }
        }
    }

    /// Something waits for an explanation until this moment.
    #[must_use]
    pub fn settles_at(&self) -> Option<KernelTime> {
        self.settling.0.front().map(|(opened, _)| opened.after(SETTLE))
    }

    /// Remembers an event that the next one explains.
    pub(super) fn await_explanation(
        &mut self,
        key: &MiniKey,
        event: &MiniEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let Some(mini) = self.minis.get_mut(key) else {
            self.met_stopped(key, event);
            return;
        };
        let MiniEvent { timer, ended_by, .. } = *event;
        // Asked now: the listener may close before the end is settled.
        let listens = event.listens.unwrap_or_else(|| {
            (mini.kind, timer) == (MiniKind::Request, TimerEvent::Expire)
                && self.listeners.find(key.netns, &key.ends.local).is_some()
        });
        mini.open = Some(OpenEvent { sight: event.into(), timer, ended_by, listens });
        mini.seen = event.at;
        match event.ended_by {
            // tcp_timewait_state_process() and tcp_check_req() also move a timer, for which a start
            // follows; an accepted socket follows its request.
            None | Some(EarlyEnd::ResetReceived | EarlyEnd::Accepted) => {
                self.settling.0.push_back((event.at, *key));
            }
            Some(_) => self.end(key, event.at, out),
        }
    }
}
