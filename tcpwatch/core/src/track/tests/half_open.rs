//! Half-open connections, from the timers of request sockets.

use super::*;

#[test]
fn a_half_open_connection_begins_with_the_syn_and_has_its_listeners_owner() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let yielded = tell(
        &mut tracker,
        [
            Event::Mini(request(10, TimerEvent::Start)),
            Event::State(state(40, 2, Listen, SynRecv)),
            Event::Mini(request(40, TimerEvent::Cancel)),
            Event::State(state(40, 2, SynRecv, Established)),
        ],
    );
    assert_eq!(lines(&yielded), ["LISTEN SYN_RECV -", "SYN_RECV ESTABLISHED 30"]);
    assert!(yielded.iter().all(|one| one.subject().process == process(80, Via::Listen)));
    assert!(yielded.iter().all(|one| one.subject().direction == Some(Direction::Incoming)));
    assert_eq!(tracker.tally().connections, 1, "request and socket are one connection");
}

#[test]
fn an_accepted_socket_that_is_met_on_leaving_syn_recv_was_half_open_since_its_syn() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let yielded = tell(
        &mut tracker,
        [
            Event::Mini(request(10, TimerEvent::Start)),
            Event::Mini(request(40, TimerEvent::Cancel)),
            Event::State(state(40, 2, SynRecv, Established)),
        ],
    );
    assert_eq!(lines(&yielded), ["LISTEN SYN_RECV -", "SYN_RECV ESTABLISHED 30"]);
    assert_eq!(tracker.tally().connections, 1, "request and socket are one connection");
}

#[test]
fn a_handshake_without_a_request_socket_is_named_only_if_the_record_says_which_it_was() {
    for (fast_open, syn_cookie, handshake, half_open) in [
        (true, false, Some(Handshake::FastOpen), Some(Duration::from_millis(30))),
        (false, true, Some(Handshake::SynCookie), None),
        // The beginning of the half-open connection was not seen.
        (false, false, None, None),
    ] {
        let done = StateEvent { fast_open, syn_cookie, ..state(40, 2, SynRecv, Established) };
        let begun = state(10, 2, Listen, SynRecv);
        let news = tell(&mut tracker(), [Event::State(begun), Event::State(done)]);
        let change = changes(&news)[1];
        assert_eq!((change.handshake, change.in_state), (handshake, half_open));
    }
}

#[test]
fn a_connection_that_was_half_open_was_not_opened_by_a_cookie_whatever_its_record_says() {
    let mut tracker = tracker();
    let events = [
        Event::Mini(request(10, TimerEvent::Start)),
        Event::Mini(request(40, TimerEvent::Cancel)),
        Event::State(StateEvent { syn_cookie: true, ..state(40, 2, SynRecv, Established) }),
    ];
    let news = tell(&mut tracker, events);
    let change = *changes(&news).last().expect("ESTABLISHED");
    assert_eq!((change.handshake, change.in_state), (None, Some(Duration::from_millis(30))));
}

#[test]
fn a_repeated_syn_or_syn_ack_does_not_end_a_half_open_connection() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let yielded = tell(
        &mut tracker,
        [
            Event::Mini(request(0, TimerEvent::Start)),
            // The SYN+ACK is sent again by the timer.
            Event::Mini(request(1000, TimerEvent::Cancel)),
            Event::Mini(request(1000, TimerEvent::Expire)),
            Event::Mini(request(1000, TimerEvent::Start)),
            // The client sends its SYN again.
            Event::Mini(request(2000, TimerEvent::Cancel)),
            Event::Mini(request(2000, TimerEvent::Start)),
            // Given up.
            Event::Mini(request(4000, TimerEvent::Cancel)),
            Event::Mini(request(4000, TimerEvent::Expire)),
        ],
    );
    assert_eq!(lines(&yielded), ["LISTEN SYN_RECV -", "SYN_RECV CLOSED 4000 timed_out"]);
}

#[test]
fn the_next_syn_right_after_the_last_timer_is_another_half_open_connection() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let begins = |at| Event::Mini(MiniEvent { not_fired: true, ..request(at, TimerEvent::Start) });
    let yielded = tell(
        &mut tracker,
        [
            begins(0),
            // The client sends its SYN again before the timer fires.
            Event::Mini(request(900, TimerEvent::Cancel)),
            begins(900),
            Event::Mini(request(3000, TimerEvent::Cancel)),
            Event::Mini(request(3000, TimerEvent::Expire)),
            begins(3005),
            Event::Mini(request(4005, TimerEvent::Cancel)),
            Event::Mini(request(4005, TimerEvent::Expire)),
        ],
    );
    let twice = ["LISTEN SYN_RECV -", "SYN_RECV CLOSED 3000 timed_out"];
    assert_eq!(lines(&yielded)[..2], twice);
    assert_eq!(lines(&yielded)[2..], ["LISTEN SYN_RECV -", "SYN_RECV CLOSED 1000 timed_out"]);
}

#[test]
fn a_listener_that_closes_right_after_the_last_timer_has_not_ended_a_half_open_connection() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let mut closes = state(4001, 9, Listen, Closed);
    closes.ends.remote = Endpoint { address: [0, 0, 0, 0].into(), port: 0 };
    let yielded = tell(
        &mut tracker,
        [
            Event::Mini(request(0, TimerEvent::Start)),
            Event::Mini(request(4000, TimerEvent::Cancel)),
            Event::Mini(request(4000, TimerEvent::Expire)),
            Event::State(closes),
        ],
    );
    let ends: Vec<_> = lines(&yielded).into_iter().filter(|line| line.contains("4000")).collect();
    assert_eq!(ends, ["SYN_RECV CLOSED 4000 timed_out"], "{yielded:?}");
}

#[test]
fn a_half_open_connection_whose_listener_is_gone_ends_for_that() {
    let yielded = tell(
        &mut tracker(),
        [
            Event::Mini(request(0, TimerEvent::Start)),
            Event::Mini(request(1000, TimerEvent::Cancel)),
            Event::Mini(request(1000, TimerEvent::Expire)),
        ],
    );
    assert_eq!(lines(&yielded)[1..], ["SYN_RECV CLOSED 1000 listener_closed"]);
}

#[test]
fn what_ended_a_half_open_connection_is_its_reason() {
    for (ended_by, reason) in [
        (Some(EarlyEnd::ResetReceived), "reset_received"),
        (Some(EarlyEnd::Killed), "killed"),
        (Some(EarlyEnd::SegmentReceived), "listener_closed"),
        (None, "unknown"),
    ] {
        let mut tracker = tracker();
        listening(&mut tracker, 80);
        let cancel = MiniEvent { ended_by, ..request(300, TimerEvent::Cancel) };
        let events = [request(0, TimerEvent::Start), cancel].map(Event::Mini);
        let expected = format!("SYN_RECV CLOSED 300 {reason}");
        assert_eq!(lines(&tell(&mut tracker, events))[1..], [expected]);
    }
}
