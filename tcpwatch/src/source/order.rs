//! Puts the events of different CPUs into the order of the kernel's clock.
//!
//! A record's time is read a moment before its place in the ring is reserved; another CPU, or an
//! interrupt on the same one, can reserve in between. So an event is held back until it is
//! [`WINDOW`] old. An event that comes later than that is let through at once and counted.

use std::{collections::VecDeque, time::Duration};

use crate::event::{Event, KernelTime, TcpState};

/// How long an event is held back. Inversions of up to some hundred microseconds were seen under
/// full load on two CPUs.
pub const WINDOW: Duration = Duration::from_millis(1);

/// Events on their way into order.
#[derive(Debug, Default)]
pub struct Order {
    held: VecDeque<Event>,
    released_up_to: Option<KernelTime>,
    late: u64,
}

impl Order {
    /// Takes an event in.
    pub fn push(&mut self, event: Event) {
        let at = event.at();
        let kept_back = matches!(&event, Event::State(change) if change.kept_back);
        if self.released_up_to.is_some_and(|released| at < released) && !kept_back {
            self.late += 1;
        }
        // Nearly sorted: the place is almost always the end.
        let place = self.held.iter().rposition(|earlier| earlier.at() <= at).map_or(0, |i| i + 1);
        self.held.insert(place, event);
    }

    /// The next event that is old enough at `now`, completed from what is known by then.
    pub fn pop(&mut self, now: KernelTime) -> Option<Event> {
        let at = self.held.front()?.at();
        if now.since(at) < WINDOW {
            return None;
        }
        let mut event = self.held.pop_front()?;
        self.released_up_to = self.released_up_to.max(Some(at));
        self.complete(&mut event);
        Some(event)
    }

    /// No event is held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The time of the newest event that is held back.
    #[must_use]
    pub fn newest(&self) -> Option<KernelTime> {
        self.held.back().map(Event::at)
    }

    /// Events that came too late to be put in order.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Two changes are reported before the kernel has filled in the socket: SYN_SENT before a local
    /// port is chosen (`tcp_v4_connect`), and SYN_RECV of an accepted socket before its addresses
    /// are copied (`inet_csk_clone_lock`, up to 6.12). The socket's next event has them.
    fn complete(&self, event: &mut Event) {
        let Event::State(change) = event else { return };
        let incomplete = match change.to {
            TcpState::SynSent => change.ends.local.port == 0,
            TcpState::SynRecv => change.ends.remote.port == 0,
            _ => false,
        };
        if !incomplete {
            return;
        }
        let next = self.held.iter().find_map(|later| {
            let Event::State(later) = later else { return None };
            (later.socket == change.socket).then_some(later.ends)
        });
        if let Some(ends) = next {
            change.ends = ends;
        }
    }
}
