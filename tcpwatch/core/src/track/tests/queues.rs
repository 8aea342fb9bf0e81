//! Listeners' queues, as the kernel side reads them.

use super::*;
use crate::event::{QueueEvent, QueueReading};

fn full() -> QueueReading {
    QueueReading {
        listener: Some(Cookie(9)),
        bound_to: end(SERVER),
        waiting: 129,
        most: 128,
        half_open: 3,
        dropped: 17,
        ack_dropped: true,
        accepted: false,
    }
}

/// Read when the last but one connection that fits was accepted.
fn last_place() -> QueueReading {
    QueueReading { waiting: 128, ack_dropped: false, accepted: true, ..full() }
}

fn read(at: u64, queue: QueueReading) -> Event {
    Event::Queue(QueueEvent { at: ms(at), socket: None, netns: NETNS, ends: server_ends(), queue })
}

fn again(at: u64, in_a_row: u8) -> Event {
    Event::Retransmit(RetransmitEvent {
        at: ms(at),
        socket: None,
        netns: NETNS,
        ends: server_ends(),
        cgroup: None,
        state: SynRecv,
        segment: SegmentKind::SynAck,
        trigger: Trigger::RequestTimeout { in_a_row },
        user_timeout: None,
        syn_retries: None,
        orphan: false,
        sent: true,
        counted: false,
        timer: None,
        times: None,
    })
}

/// What each event says of queues.
fn queues(yielded: &[TrackedEvent]) -> Vec<Option<QueueReading>> {
    let queue = |one: &TrackedEvent| match one {
        TrackedEvent::Change(change) => change.queue.as_deref().copied(),
        TrackedEvent::Retransmit(again) => again.queue.as_deref().copied(),
        TrackedEvent::Connection(connection) => connection.queue.as_deref().copied(),
        _ => None,
    };
    yielded.iter().map(queue).collect()
}

#[test]
fn a_reading_is_on_the_line_of_its_moment_once_and_the_fullest_is_in_the_life() {
    let mut tracker = Tracker::new(Reliance { lives: true, ..RELIANCE });
    let emptier = QueueReading { waiting: 40, ..full() };
    let yielded = tell(
        &mut tracker,
        [
            Event::Mini(request(0, TimerEvent::Start)),
            read(1000, full()),
            again(1000, 1),
            // Nothing was read this time.
            again(3000, 2),
            read(7000, emptier),
            Event::Mini(request(7000, TimerEvent::Expire)),
        ],
    );
    let said = ["LISTEN SYN_RECV -", "syn_ack 1 1000", "syn_ack 2 2000"];
    assert_eq!(lines(&yielded)[..3], said);
    assert_eq!(queues(&yielded), [None, Some(full()), None, Some(emptier), Some(full())]);
}

#[test]
fn a_reading_on_accepting_is_on_the_line_to_established_whenever_the_socket_is_first_told_of() {
    for told_in_syn_recv in [true, false] {
        let mut tracker = tracker();
        let mut events = vec![Event::Mini(request(10, TimerEvent::Start))];
        if told_in_syn_recv {
            events.push(Event::State(state(40, 2, Listen, SynRecv)));
        }
        events.push(read(40, last_place()));
        events.push(Event::Mini(request(40, TimerEvent::Cancel)));
        events.push(Event::State(state(40, 2, SynRecv, Established)));
        events.push(Event::State(state(41, 2, Established, CloseWait)));
        let yielded = tell(&mut tracker, events);
        assert_eq!(queues(&yielded), [None, Some(last_place()), None], "{told_in_syn_recv}");
    }
}

#[test]
fn a_reading_long_before_is_not_of_the_moment() {
    let mut tracker = tracker();
    let events = [Event::Mini(request(0, TimerEvent::Start)), read(900, full()), again(1000, 1)];
    assert_eq!(queues(&tell(&mut tracker, events)), [None, None]);
}

#[test]
fn what_a_listener_dropped_is_told_with_the_next_syn_and_once() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let syn = |at, port, listener_dropped| {
        let mut start = request(at, TimerEvent::Start);
        start.ends.remote.port = port;
        Event::Mini(MiniEvent { listener: Some(Cookie(9)), listener_dropped, ..start })
    };
    let yielded = tell(
        &mut tracker,
        [
            syn(0, 1000, 5),
            syn(20, 1001, 5),
            // The timer of the first is started again: no SYN comes through.
            syn(1020, 1000, 7),
            syn(2020, 1002, 8),
            syn(2030, 1003, 8),
            // Read on another processor a moment before.
            syn(2030, 1004, 7),
        ],
    );
    let dropped: Vec<_> = changes(&yielded)
        .into_iter()
        .filter(|change| change.to == SynRecv)
        .map(|change| change.dropped.map(|dropped| (dropped.segments, dropped.within.as_millis())))
        .collect();
    assert_eq!(dropped, [None, None, Some((3, 2000)), None, None]);
}
