//! Resets and errors, as `tcp_send_reset`, `tcp_receive_reset` and `inet_sk_error_report` report
//! them.

use super::*;
use crate::event::ErrorEvent;
use ResetDirection::{Received, Sent};

const CONNRESET: u16 = 104;

fn reset(at: u64, direction: ResetDirection, state: TcpState) -> ResetEvent {
    ResetEvent {
        at: ms(at),
        socket: Some(Cookie(1)),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: Some(state),
        direction,
        answers_no_syn: false,
        why: None,
    }
}

fn connected() -> Vec<Event> {
    client_until_fin_wait_2().into_iter().take(2).collect()
}

/// The client connects and then these happen.
fn after_connect(events: impl IntoIterator<Item = Event>) -> Vec<TrackedEvent> {
    let told = tell(&mut tracker(), connected().into_iter().chain(events));
    told.into_iter().skip(2).collect()
}

#[test]
fn a_reset_that_is_sent_right_after_the_end_is_its_reason_and_has_its_owner() {
    let end = StateEvent { reset_sent: true, ..state(50, 1, FinWait1, Closed) };
    let reset = ResetEvent { why: Some("tcp_abort_on_close".into()), ..reset(50, Sent, Closed) };
    let closing = Event::State(state(40, 1, Established, FinWait1));
    let yielded = after_connect([closing, Event::State(end), Event::Reset(reset)]);
    assert_eq!(
        lines(&yielded)[1..],
        ["FIN_WAIT_1 CLOSED 10 reset_sent", "sent closed tcp_abort_on_close"]
    );
    assert_eq!(yielded[2].subject(), yielded[1].subject(), "although the socket is gone");
    assert_eq!(yielded[2].subject().process, process(42, Via::Connect));
}

#[test]
fn data_after_close_are_told_as_what_the_reset_was_for() {
    let closing = Event::State(state(40, 1, Established, FinWait1));
    let waits = Event::State(state(45, 1, FinWait1, FinWait2));
    let orphaned = StateEvent { orphaned: true, ..state(50, 1, FinWait2, Closed) };
    for (reset_sent, expected) in [(true, Some("reset_sent")), (false, None)] {
        let end = Event::State(StateEvent { reset_sent, ..orphaned.clone() });
        let yielded = after_connect([closing.clone(), waits.clone(), end]);
        let late = changes(&yielded).into_iter().find(|change| change.late_data);
        let reason = late.and_then(|change| change.reason).map(Reason::word);
        assert_eq!(reason, expected);
    }
}

#[test]
fn a_reset_error_is_put_down_to_whoever_sent_the_reset() {
    for (received, reset_sent, reason) in [
        (false, true, "reset_sent"),
        (true, false, "reset_received"),
        (true, true, "reset_received"),
        (false, false, "reset_received"),
    ] {
        let before = received.then(|| Event::Reset(reset(50, Received, Established)));
        let end = StateEvent { error: CONNRESET, reset_sent, ..state(50, 1, Established, Closed) };
        let yielded = after_connect(before.into_iter().chain([Event::State(end)]));
        let expected = format!("ESTABLISHED CLOSED 49 {reason}");
        assert_eq!(lines(&yielded).last(), Some(&expected), "{received} {reset_sent}");
    }
}

#[test]
fn a_reset_that_is_received_is_told_before_the_end_it_makes() {
    let end = StateEvent { error: CONNRESET, ..state(50, 1, Established, Closed) };
    let report = ErrorEvent {
        at: ms(50),
        socket: Cookie(1),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: Closed,
        error: CONNRESET,
    };
    let received = Event::Reset(reset(50, Received, Established));
    let yielded = after_connect([received, Event::State(end), Event::Error(report)]);
    let expected =
        ["received established -", "ESTABLISHED CLOSED 49 reset_received", "error 104 CLOSED"];
    assert_eq!(lines(&yielded), expected);
    assert!(yielded.iter().all(|one| one.subject().process == process(42, Via::Connect)));
}

#[test]
fn a_reset_without_a_socket_is_nobodys() {
    let reset = ResetEvent { socket: None, state: None, ..reset(50, Sent, Closed) };
    let yielded = after_connect([Event::Reset(reset)]);
    assert_eq!(lines(&yielded), ["sent - -"]);
    let subject = yielded[0].subject();
    assert_eq!((subject.socket, subject.process, subject.direction), (None, None, None));
}

#[test]
fn a_reset_of_a_mini_socket_has_its_owner() {
    let due = Jiffies(tick(120).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(120, TimerEvent::Start, TimeWait, due)));
    events.push(burial(120));
    events.push(Event::Reset(ResetEvent { socket: None, ..reset(150, Sent, TimeWait) }));
    let yielded = tell(&mut tracker(), events);
    assert_eq!(lines(&yielded).last().unwrap(), "sent time_wait -");
    assert_eq!(yielded.last().unwrap().subject().process, process(42, Via::Connect));
}

#[test]
fn the_last_sockets_that_closed_badly_are_remembered_and_no_more() {
    let mut tracker = tracker();
    let most = u64::try_from(MAX_CLOSED).unwrap();
    for socket in 1..=most + 1 {
        let end = StateEvent {
            process: process(42, Via::Close),
            ..state(5, socket, Established, Closed)
        };
        tell(&mut tracker, [Event::State(StateEvent { reset_sent: true, ..end })]);
    }
    let mut owner = |socket| {
        let reset = ResetEvent { socket: Some(Cookie(socket)), ..reset(5, Sent, Closed) };
        tell(&mut tracker, [Event::Reset(reset)])[0].subject().process
    };
    assert_eq!(owner(1), None);
    assert_eq!(owner(2), process(42, Via::Close));
    assert_eq!(owner(most + 1), process(42, Via::Close));
}
