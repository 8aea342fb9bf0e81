//! Timewait sockets in FIN_WAIT_2 that the kernel may move to TIME_WAIT without a word.
//!
//! The peer's FIN starts a fresh 60 s. While that falls into the same bucket of the timer wheel,
//! `__mod_timer` only rewrites `expires` and no tracepoint fires (`kernel/time/timer.c`). The time in
//! which that is possible is short and known beforehand: until the bucket of "60 s from now" is
//! another one. So long, the kernel is asked a few times, with growing pauses.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use tcpwatch_common::mini_clock::TIME_WAIT_SECONDS;

use super::{
    Change, TrackedEvent, Tracker,
    mini::{KnownMini, MiniKey, time_wait_since},
};
use crate::{
    event::{Endpoints, KernelTime, KnownSocket, MiniEvent, Netns, TcpState},
    timing::wheel,
};

/// Pause before the first question; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// Pause before a question that could not be asked: by then the namespaces are listed anew.
const NEXT_TRY: Duration = Duration::from_secs(1);

/// Questions to ask, the most urgent first.
#[derive(Debug, Default)]
pub(super) struct Doubts(BinaryHeap<Reverse<(KernelTime, Pause, MiniKey)>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pause(Duration);

impl Tracker {
    /// A timewait socket was born in FIN_WAIT_2: is there a time of silence?
    pub(super) fn doubt(&mut self, key: &MiniKey, event: &MiniEvent) -> Option<KernelTime> {
        let rate = self.reliance.rate;
        let fires = wheel::fires_at(event.tick, event.due).0;
        let other_bucket = fires.checked_sub(TIME_WAIT_SECONDS * rate.0)?;
        if other_bucket <= event.tick.0 {
            return None;
        }
        self.doubts.0.push(Reverse((event.at.after(FIRST_PAUSE), Pause(FIRST_PAUSE), *key)));
        Some(event.at.after(rate.duration(other_bucket - event.tick.0)))
    }

    /// When the next question is due.
    #[must_use]
    pub fn asks_at(&self) -> Option<KernelTime> {
        self.doubts.0.peek().map(|Reverse((at, ..))| *at)
    }

    /// The sockets to ask the kernel about at `now`, `most` at a time.
    pub fn questions(&mut self, now: KernelTime, most: usize) -> Vec<(Netns, Endpoints)> {
        let mut asked = Vec::new();
        while asked.len() < most
            && let Some(Reverse((at, pause, key))) = self.doubts.0.peek().copied()
            && at <= now
        {
            self.doubts.0.pop();
            let Some(silent_until) = self.minis.get(&key).and_then(|mini| mini.silent_until())
            else {
                continue;
            };
            // The last question comes after the silence and is never dropped for being late: the
            // answer is right for as long as the socket lives.
            if now <= silent_until {
                let pause = Pause(pause.0 * 2);
                let after = silent_until.after(self.reliance.rate.duration(2));
                self.doubts.0.push(Reverse((now.after(pause.0).min(after), pause, key)));
            }
            asked.push((key.netns, key.ends));
        }
        asked
    }

    /// Nobody could be asked about these at `now`: a namespace that was made a moment ago is not
    /// known yet. Asked again later, for as long as the socket lives.
    pub fn unanswered(&mut self, (netns, ends): (Netns, Endpoints), now: KernelTime) {
        let key = MiniKey { netns, ends };
        let silent_until = self.minis.get(&key).and_then(|mini| mini.silent_until());
        if let Some(silent_until) = silent_until.filter(|silent_until| now > *silent_until) {
            let pause = now.since(silent_until).max(NEXT_TRY);
            self.doubts.0.push(Reverse((now.after(pause), Pause(pause), key)));
        }
    }

    /// The kernel's answer: if the socket is in TIME_WAIT by now, the time that is left shows when
    /// it entered it, to a tick.
    pub fn answer(&mut self, known: &KnownSocket, mut out: impl FnMut(TrackedEvent)) {
        let key = MiniKey { netns: known.netns, ends: known.ends };
        let Some(entered) = time_wait_since(known) else { return };
        let asked = |mini: &&mut Box<KnownMini>| {
            mini.silent_until().is_some() && mini.is_known_as(known.socket)
        };
        let Some(mini) = self.minis.get_mut(&key).filter(asked) else { return };
        let entered = entered.max(mini.since.unwrap_or(entered));
        let change = mini.change(&key, entered, TcpState::TimeWait);
        let ends_at = mini.ends_at;
        mini.enter_unreported(TcpState::TimeWait, entered);
        out(TrackedEvent::Change(Change { ends_at, asked: true, ..change }));
    }
}
