//! The order of records, in the bytes of the ring and as events.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::{
    decode::{Names, decode},
    event::{Cookie, Endpoint, Endpoints, Netns, ResetEvent, SegmentKind},
};

/// A change of the socket with this cookie, in the bytes of the ring.
fn change(at_us: u64, cookie: u64, new: u8, local_port: u16) -> Event {
    let mut bytes = [0; 64];
    bytes[0..8].copy_from_slice(&(at_us * 1000).to_ne_bytes());
    bytes[8..16].copy_from_slice(&cookie.to_ne_bytes());
    bytes[16] = 1;
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
    let Event::State(next) = change(12, 7, 1, 40_000) else { unreachable!("a change") };
    order.push(Event::State(StateEvent { from: TcpState::SynSent, ..next }));
    let Some(Event::State(connect)) = order.pop(KernelTime(2_000_000)) else {
        panic!("the connect comes first")
    };
    assert_eq!(connect.ends.local.port, 40_000);
}

const ENDS: Endpoints = Endpoints {
    local: Endpoint { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 80 },
    remote: Endpoint { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 40_000 },
};
const OTHER: Endpoints = Endpoints { local: ENDS.remote, remote: ENDS.local };

fn us(microseconds: u64) -> KernelTime {
    KernelTime(microseconds * 1000)
}

/// The socket is closed at 10 us.
fn closed(from: TcpState) -> StateEvent {
    let Event::State(event) = change(10, 7, 7, 80) else { unreachable!("a change") };
    StateEvent { from, ends: ENDS, ..event }
}

/// It sends a reset.
fn reset(at_us: u64) -> ResetEvent {
    ResetEvent {
        at: us(at_us),
        socket: None,
        netns: Netns(1),
        ends: ENDS,
        cgroup: None,
        state: None,
        direction: ResetDirection::Sent,
        answers_no_syn: false,
        why: None,
    }
}

/// What comes first once everything is old enough.
fn first(events: impl IntoIterator<Item = Event>) -> Event {
    let mut order = Order::default();
    for event in events {
        order.push(event);
    }
    order.pop(us(1_000_000)).expect("it is old enough")
}

fn sends_reset(closed: StateEvent, reset: ResetEvent) -> bool {
    let Event::State(change) = first([Event::State(closed), Event::Reset(reset)]) else {
        panic!("the change comes first")
    };
    change.reset_sent
}

#[test]
fn a_reset_that_is_sent_right_after_the_end_belongs_to_it() {
    let established = || closed(TcpState::Established);
    assert!(sends_reset(established(), reset(30)));
    assert!(sends_reset(established(), reset(1000)));
    for (other, why) in [
        (reset(1500), "too late"),
        (ResetEvent { direction: ResetDirection::Received, ..reset(30) }, "the peer's"),
        (ResetEvent { ends: OTHER, ..reset(30) }, "the other end's"),
        (ResetEvent { netns: Netns(2), ..reset(30) }, "of another namespace"),
    ] {
        assert!(!sends_reset(established(), other), "{why}");
    }
}

#[test]
fn an_end_that_never_resets_takes_no_reset_of_its_four_tuple() {
    for (from, error, peer_finished, sends) in [
        (TcpState::Listen, 0, false, false),
        (TcpState::SynSent, 111, false, false),
        (TcpState::TimeWait, 0, false, false),
        (TcpState::LastAck, 0, true, false),
        (TcpState::FinWait2, 0, true, false),
        (TcpState::Closing, 0, true, false),
        (TcpState::LastAck, 104, true, true),
        (TcpState::FinWait2, 0, false, true),
        (TcpState::FinWait1, 0, false, true),
        (TcpState::CloseWait, 0, true, true),
        (TcpState::SynRecv, 0, false, true),
    ] {
        let end = StateEvent { error, peer_finished, ..closed(from) };
        assert_eq!(sends_reset(end, reset(30)), sends, "{from} {error} {peer_finished}");
    }
}

#[test]
fn a_reset_that_is_followed_by_the_sockets_own_was_not_received() {
    let received = |at_us, cookie| ResetEvent {
        direction: ResetDirection::Received,
        socket: Some(Cookie(cookie)),
        ..reset(at_us)
    };
    let sent = |at_us, cookie| ResetEvent { socket: Some(Cookie(cookie)), ..reset(at_us) };
    let mut order = Order::default();
    for event in [received(10, 7), received(11, 8), sent(20, 7), reset(21), sent(5000, 8)] {
        order.push(Event::Reset(event));
    }
    assert_eq!(moments(&mut order, 10_000), [11, 20, 21, 5000]);
}

fn syn_ack(trigger: Trigger) -> Event {
    Event::Retransmit(RetransmitEvent {
        at: us(10),
        socket: None,
        netns: Netns(1),
        ends: ENDS,
        cgroup: None,
        state: TcpState::SynRecv,
        segment: SegmentKind::SynAck,
        trigger,
        user_timeout: None,
        syn_retries: None,
        orphan: false,
        sent: true,
        counted: false,
        timer: None,
        times: None,
    })
}

/// A timer is armed in tick 5, to be due in tick `due`.
fn armed(at_us: u64, due: u64) -> MiniEvent {
    MiniEvent {
        listener: None,
        listener_dropped: 0,
        at: us(at_us),
        socket: None,
        netns: Netns(1),
        ends: ENDS,
        cgroup: None,
        kind: MiniKind::Request,
        state: TcpState::SynRecv,
        timer: TimerEvent::Start,
        due: Jiffies(due),
        tick: Jiffies(5),
        ended_by: None,
        listens: None,
        not_fired: false,
        replaces: None,
    }
}

/// The timer that is reported for a SYN+ACK, armed and due.
fn timer(trigger: Trigger, minis: impl IntoIterator<Item = MiniEvent>) -> Option<(u64, u64)> {
    let minis = minis.into_iter().map(Event::Mini);
    let Event::Retransmit(again) = first([syn_ack(trigger)].into_iter().chain(minis)) else {
        panic!("the SYN+ACK comes first")
    };
    again.timer.map(|(armed, due)| (armed.0, due.0))
}

#[test]
fn a_syn_ack_gets_the_timer_that_is_armed_last_after_it() {
    for trigger in [Trigger::RequestTimeout { in_a_row: 1 }, Trigger::SynCameAgain] {
        assert_eq!(timer(trigger, [armed(20, 505)]), Some((5, 505)));
        let cancel = MiniEvent { timer: TimerEvent::Cancel, ..armed(30, 505) };
        let moved = [armed(20, 505), cancel, armed(40, 1005)];
        assert_eq!(timer(trigger, moved), Some((5, 1005)), "a SYN has moved it");
        for (other, why) in [
            (armed(2000, 505), "too late"),
            (MiniEvent { timer: TimerEvent::Expire, ..armed(20, 505) }, "not armed"),
            (MiniEvent { kind: MiniKind::TimeWait, ..armed(20, 505) }, "a timewait socket"),
            (MiniEvent { ends: OTHER, ..armed(20, 505) }, "another connection"),
            (MiniEvent { netns: Netns(2), ..armed(20, 505) }, "another namespace"),
        ] {
            assert_eq!(timer(trigger, [other]), None, "{why}");
        }
    }
}

#[test]
fn a_full_sockets_retry_takes_no_timer_of_a_half_open_connection() {
    for trigger in [Trigger::Timeout { in_a_row: 1, rto: 51 }, Trigger::Early { rto: 51 }] {
        assert_eq!(timer(trigger, [armed(20, 505)]), None);
    }
}
