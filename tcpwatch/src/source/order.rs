//! Puts the events of different CPUs into the order of the kernel's clock.
//!
//! A record's time is read a moment before its place in the ring is reserved; another CPU, or an
//! interrupt on the same one, can reserve in between. So an event is held back until it is
//! [`WINDOW`] old. An event that comes later than that is let through at once and counted.

use std::{collections::VecDeque, time::Duration};

use crate::event::{
    Event, Jiffies, KernelTime, MiniKind, ResetDirection, RetransmitEvent, StateEvent, TcpState,
    TimerEvent, Trigger,
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
        // Nearly sorted: the place is almost always the end.
        let place = self.held.iter().rposition(|earlier| earlier.at() <= at).map_or(0, |i| i + 1);
        self.held.insert(place, event);
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

    /// Adds what the kernel tells only with the socket's next event.
    fn complete(&self, event: &mut Event) {
        match event {
            Event::State(change) => match change.to {
                TcpState::SynSent if change.ends.local.port == 0 => self.complete_ends(change),
                TcpState::FinWait2 => change.timer = self.timer_of(change),
                TcpState::Closed => change.reset_sent = self.sends_reset(change),
                _ => {}
            },
            Event::Retransmit(again) => again.timer = self.next_timer(again),
            Event::Mini(_) | Event::Reset(_) | Event::Error(_) => {}
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

    /// SYN_SENT is entered before a local port is chosen (`tcp_v4_connect`).
    fn complete_ends(&self, change: &mut StateEvent) {
        let next = self.soon_after(change.at).find_map(|later| {
            let Event::State(later) = later else { return None };
            (later.socket == change.socket).then_some(later.ends)
        });
        if let Some(ends) = next {
            change.ends = ends;
        }
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

    /// An orphan that enters FIN_WAIT_2 becomes a mini-socket at once, and that has a timer.
    fn timer_of(&self, change: &StateEvent) -> Option<(Jiffies, Jiffies)> {
        self.soon_after(change.at).find_map(|later| {
            let Event::Mini(mini) = later else { return None };
            let taken_over = mini.socket == Some(change.socket)
                && mini.timer == TimerEvent::Start
                && mini.state == TcpState::FinWait2;
            taken_over.then_some((mini.tick, mini.due))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decode::{Names, decode},
        event::{Cookie, Netns, ResetEvent},
    };

    /// A change of the socket with this cookie, in the bytes of the ring.
    fn change(at_us: u64, cookie: u64, new: u8, local_port: u16) -> Event {
        let mut bytes = [0; 64];
        bytes[0..8].copy_from_slice(&(at_us * 1000).to_ne_bytes());
        bytes[8..16].copy_from_slice(&cookie.to_ne_bytes());
        bytes[20] = 1;
        bytes[22..24].copy_from_slice(&local_port.to_ne_bytes());
        bytes[33] = new;
        decode(&bytes, &Names::default()).unwrap()
    }

    fn moments(order: &mut Order, now_us: u64) -> Vec<u64> {
        std::iter::from_fn(|| order.pop(KernelTime(now_us * 1000)))
            .map(|event| event.at().0 / 1000)
            .collect()
    }

    #[test]
    fn events_of_different_cpus_come_out_in_the_kernels_order() {
        let mut order = Order::default();
        for at in [10, 30, 20, 5] {
            order.push(change(at, at, 1, 1));
        }
        assert_eq!(moments(&mut order, 1025), [5, 10, 20], "what is younger is held back");
        assert_eq!(moments(&mut order, 2000), [30]);
        assert_eq!(order.late(), 0);
    }

    #[test]
    fn an_event_that_comes_too_late_is_let_through_and_counted() {
        let mut order = Order::default();
        order.push(change(3000, 1, 1, 1));
        assert_eq!(moments(&mut order, 5000), [3000]);
        order.push(change(2000, 2, 1, 1));
        assert_eq!(moments(&mut order, 5000), [2000]);
        assert_eq!(order.late(), 1);
    }

    #[test]
    fn a_connect_gets_its_port_from_the_sockets_next_event() {
        let mut order = Order::default();
        order.push(change(10, 7, 2, 0));
        order.push(change(11, 8, 1, 99));
        order.push(change(12, 7, 1, 40_000));
        let Some(Event::State(connect)) = order.pop(KernelTime(2_000_000)) else {
            panic!("the connect comes first")
        };
        assert_eq!(connect.ends.local.port, 40_000);
    }

    #[test]
    fn a_reset_that_is_answered_with_a_reset_was_not_received() {
        let reset = |at_us: u64, direction, cookie| {
            let Event::State(StateEvent { ends, .. }) = change(0, 1, 1, 99) else { panic!() };
            Event::Reset(ResetEvent {
                at: KernelTime(at_us * 1000),
                socket: Some(Cookie(cookie)),
                netns: Netns(1),
                ends,
                state: None,
                direction,
                why: None,
            })
        };
        let mut order = Order::default();
        order.push(reset(10, ResetDirection::Received, 7));
        order.push(reset(11, ResetDirection::Received, 8));
        order.push(reset(20, ResetDirection::Sent, 7));
        order.push(reset(5000, ResetDirection::Sent, 8));
        assert_eq!(moments(&mut order, 10_000), [11, 20, 5000]);
    }
}
