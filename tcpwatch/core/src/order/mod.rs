//! Puts the events of different CPUs into the order of the kernel's clock.
//!
//! A record's time is read a moment before its place in the ring is reserved; another CPU, or an
//! interrupt on the same one, can reserve in between. So an event is held back until it is
//! [`WINDOW`] old. An event that comes later than that is let through at once and counted.

use std::{collections::VecDeque, time::Duration};

use crate::event::{
    Event, Jiffies, KernelTime, MiniEvent, MiniKind, ResetDirection, RetransmitEvent, StateEvent,
    TcpState, TimerEvent, Trigger,
};

/// How long an event is held back. Three programs that connect as fast as they can on two CPUs made
/// 1,804 inversions in 959,145 records, the largest of 57 us; a virtual CPU can be stopped for longer.
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
        // Nearly sorted: the place is almost always the end, where `insert` would cost twice as much.
        match self.held.iter().rev().take_while(|earlier| earlier.at() > at).count() {
            0 => self.held.push_back(event),
            later => self.held.insert(self.held.len() - later, event),
        }
    }

    /// The next event that is old enough at `now`, completed from what is known by then.
    pub fn pop(&mut self, now: KernelTime) -> Option<Event> {
        loop {
            let at = self.held.front()?.at();
            if now.since(at) < WINDOW {
                return None;
            }
            let mut event = self.held.pop_front()?;
            self.released_up_to = self.released_up_to.max(Some(at));
            if !self.is_own_reset(&event) {
                self.complete(&mut event);
                return Some(event);
            }
        }
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

    /// Adds what the kernel reports only with the socket's next event.
    fn complete(&self, event: &mut Event) {
        match event {
            Event::State(change) => match change.to {
                TcpState::SynSent | TcpState::Listen if change.ends.local.port == 0 => {
                    self.complete_ends(change);
                }
                TcpState::FinWait2 => change.timer = self.timer_of(change),
                TcpState::Closed => change.reset_sent = self.sends_reset(change),
                _ => {}
            },
            Event::Retransmit(again) => again.timer = self.next_timer(again),
            Event::Mini(mini) => mini.replaces = self.replaced_in(mini),
            _ => {}
        }
    }

    /// What happened within the window; a backlog holds much more.
    fn soon_after(&self, at: KernelTime) -> impl Iterator<Item = &Event> {
        let end = at.after(WINDOW);
        self.held.iter().take_while(move |later| later.at() <= end)
    }

    /// An orphan that data come for is ended as by a reset that came, and then sends one itself
    /// (`tcp_rcv_state_process` in `net/ipv4/tcp_input.c`). A reset is never answered with another.
    fn is_own_reset(&self, event: &Event) -> bool {
        let Event::Reset(reset) = event else { return false };
        reset.direction == ResetDirection::Received
            && self.soon_after(reset.at).any(|later| {
                matches!(later, Event::Reset(sent)
                if sent.direction == ResetDirection::Sent
                    && sent.socket.is_some()
                    && (sent.netns, sent.socket) == (reset.netns, reset.socket))
            })
    }

    /// SYN_SENT and LISTEN are entered before a local port is chosen (`tcp_v4_connect`,
    /// `inet_csk_listen_start`).
    fn complete_ends(&self, change: &mut StateEvent) {
        // A listener without a port is rare enough to look at all that is there.
        let until = match change.to {
            TcpState::Listen => KernelTime(u64::MAX),
            _ => change.at.after(WINDOW),
        };
        let mut held = self.held.iter().take_while(|later| later.at() <= until);
        let next = held.find_map(|later| {
            let Event::State(later) = later else { return None };
            (later.socket == change.socket).then_some((later.from, later.ends))
        });
        if let Some((_, ends)) = next.filter(|(from, _)| *from == change.to) {
            change.ends = ends;
        }
    }

    /// A timewait socket takes over, and then the full socket is closed (`tcp_time_wait` in
    /// `net/ipv4/tcp_minisocks.c`). The socket's next event shows it.
    fn replaced_in(&self, mini: &MiniEvent) -> Option<TcpState> {
        if (mini.kind, mini.timer) != (MiniKind::TimeWait, TimerEvent::Start) {
            return None;
        }
        let next = self.soon_after(mini.at).find_map(|later| match later {
            Event::State(change) if mini.socket == Some(change.socket) => Some(change),
            _ => None,
        })?;
        let closes = matches!(next.from, TcpState::FinWait2 | TcpState::Closing)
            && next.to == TcpState::Closed;
        closes.then_some(next.from)
    }

    /// A socket that is closed with a reset sends it afterwards (`tcp_send_active_reset` in
    /// `__tcp_close`, `tcp_v4_send_reset` in `tcp_v4_do_rcv`).
    fn sends_reset(&self, change: &StateEvent) -> bool {
        let never = match change.from {
            TcpState::Listen | TcpState::SynSent | TcpState::TimeWait => true,
            TcpState::LastAck | TcpState::FinWait2 | TcpState::Closing => {
                change.error == 0 && change.peer_finished
            }
            _ => false,
        };
        !never
            && self.soon_after(change.at).any(|later| {
                matches!(later, Event::Reset(reset)
                if reset.direction == ResetDirection::Sent
                    && (reset.netns, reset.ends) == (change.netns, change.ends))
            })
    }

    /// The timer of a half-open connection is armed anew after its SYN+ACK was sent again, and once
    /// more if a SYN came at the same time.
    fn next_timer(&self, again: &RetransmitEvent) -> Option<(Jiffies, Jiffies)> {
        if !matches!(again.trigger, Trigger::RequestTimeout { .. } | Trigger::SynCameAgain) {
            return None;
        }
        let starts = self.soon_after(again.at).filter_map(|later| {
            let Event::Mini(mini) = later else { return None };
            let armed = mini.kind == MiniKind::Request
                && mini.timer == TimerEvent::Start
                && (mini.netns, mini.ends) == (again.netns, again.ends);
            armed.then_some((mini.tick, mini.due))
        });
        starts.last()
    }

    /// An orphan that enters FIN_WAIT_2 becomes a mini-socket at once, and that has a timer. The
    /// socket's next event shows it; looking further would cost most where most happens.
    fn timer_of(&self, change: &StateEvent) -> Option<(Jiffies, Jiffies)> {
        let next = self.soon_after(change.at).find(|later| match later {
            Event::Mini(mini) => mini.socket == Some(change.socket),
            Event::State(later) => later.socket == change.socket,
            _ => false,
        })?;
        let Event::Mini(mini) = next else { return None };
        let is_born = mini.timer == TimerEvent::Start && mini.state == TcpState::FinWait2;
        is_born.then_some((mini.tick, mini.due))
    }
}

#[cfg(test)]
mod tests;
