//! Retries, resets and errors, from made-up events.

use std::net::Ipv4Addr;

use tcpwatch_core::{
    event::{About, ErrorEvent, QueueReading, ResetDirection, SegmentKind, TcpState},
    timing::{Next, Then, Window},
    track::{Dropped, TrackedReset, TrackedRetransmit},
};

use super::*;

fn next(then: Then, milliseconds: u64) -> Next {
    let (promise, latest) = (ms(milliseconds), ms(milliseconds * 9 / 8));
    Next { wait: Window { promise, latest }, then }
}

/// The third SYN of a connect.
fn syn() -> TrackedRetransmit {
    TrackedRetransmit {
        at: at(3090),
        subject: subject(Direction::Outgoing),
        state: TcpState::SynSent,
        segment: SegmentKind::Syn,
        attempt: 3,
        early: false,
        since_last: Some(ms(1030)),
        expected: Some(ms(1000)),
        next: Some(next(Then::Attempt, 1000)),
        most: Some(10),
        sent: true,
        queue: None,
    }
}

fn syn_ack() -> TrackedRetransmit {
    TrackedRetransmit {
        subject: Subject { inherited: true, ..subject(Direction::Incoming) },
        state: TcpState::SynRecv,
        segment: SegmentKind::SynAck,
        attempt: 1,
        most: None,
        next: Some(next(Then::Attempt, 2000)),
        ..syn()
    }
}

fn data() -> TrackedRetransmit {
    TrackedRetransmit {
        state: TcpState::Established,
        segment: SegmentKind::Data,
        attempt: 12,
        since_last: Some(ms(104_448)),
        expected: Some(ms(104_448)),
        most: None,
        next: Some(next(Then::Either, 120_000)),
        ..syn()
    }
}

fn shown(again: TrackedRetransmit) -> String {
    line(&TrackedEvent::Retransmit(again), 200, true)
}

#[test]
fn a_syn_retry_says_which_of_how_many_what_was_expected_and_what_comes_next() {
    let told = shown(syn());
    assert_eq!(
        told,
        "       3.0900 192.168.2.105:43068 → 192.168.2.100:11111 \
         SYN retry 3 of 10          1.03 s  expected 1 s · next in 1 s · nc 2410"
    );
    let last = TrackedRetransmit { attempt: 10, next: Some(next(Then::GivesUp, 64_000)), ..syn() };
    let told = shown(last);
    assert!(
        told.ends_with(
            "SYN retry 10 of 10         1.03 s  expected 1 s · gives up in 64 s · nc 2410"
        ),
        "{told}"
    );
}

#[test]
fn a_syn_ack_retry_says_whether_the_syn_came_again() {
    assert_eq!(
        shown(syn_ack()),
        "       3.0900 192.168.2.105:43068 ← 192.168.2.100:11111 \
         SYN+ACK retry 1            1.03 s  expected 1 s · next in 2 s · nc 2410 (listener)"
    );
    let early = TrackedRetransmit { early: true, expected: None, next: None, ..syn_ack() };
    let told = shown(early);
    assert!(
        told.ends_with(
            "SYN+ACK retry 1            1.03 s  the SYN came again · nc 2410 (listener)"
        ),
        "{told}"
    );
}

#[test]
fn a_probe_of_a_fin_has_its_state_and_no_expectation() {
    let probe = TrackedRetransmit {
        state: TcpState::FinWait1,
        segment: SegmentKind::Fin,
        attempt: 1,
        early: true,
        since_last: Some(ms(3)),
        expected: None,
        most: None,
        next: Some(next(Then::Attempt, 204)),
        ..syn()
    };
    assert_eq!(
        shown(probe),
        "       3.0900 192.168.2.105:43068 → 192.168.2.100:11111 \
         FIN retry 1, FIN_WAIT_1   3.00 ms  before its timeout · next in 204 ms · nc 2410"
    );
}

#[test]
fn data_that_never_left_is_told() {
    let refused = TrackedRetransmit { sent: false, since_last: None, ..data() };
    assert_eq!(
        shown(refused),
        "       3.0900 192.168.2.105:43068 → 192.168.2.100:11111 \
         data retry 12 ESTABLISHED       -  expected 1m44s · next in 2m00s or end · refused below TCP · nc 2410"
    );
}

#[test]
fn a_retry_without_an_owner_ends_with_what_comes_next() {
    let stranger = Subject { process: None, ..subject(Direction::Outgoing) };
    let told = shown(TrackedRetransmit { subject: stranger, ..syn() });
    assert!(told.ends_with("next in 1 s"), "{told}");
    let nothing = TrackedRetransmit { subject: stranger, next: None, expected: None, ..syn() };
    assert_eq!(shown(nothing).trim_end().rsplit("  ").next(), Some("1.03 s"));
}

#[test]
fn no_retry_line_of_ipv4_is_longer_than_the_terminal() {
    let long = ends("192.168.122.177:43068", "192.168.122.100:11111");
    let owners = [(syn(), "nc 2410"), (syn_ack(), "nc 2410 (listener)"), (data(), "nc 2410")];
    for (again, owner) in owners {
        for (since_last, expected, next) in [
            (ms(1030), Some(ms(1000)), next(Then::Attempt, 2000)),
            (ms(1030), Some(ms(1636)), next(Then::Either, 13_100)),
            (ms(204), None, next(Then::Attempt, 816)),
            (ms(67_100), Some(ms(64_000)), next(Then::GivesUp, 64_000)),
        ] {
            for sent in [true, false] {
                let subject = Subject { ends: long, ..again.subject };
                let early = expected.is_none();
                let since_last = Some(since_last);
                let again = TrackedRetransmit {
                    subject,
                    early,
                    since_last,
                    expected,
                    next: Some(next),
                    sent,
                    ..again.clone()
                };
                let told = line(&TrackedEvent::Retransmit(again.clone()), 120, true);
                assert!(told.chars().count() <= 120, "{} columns: {told}", told.chars().count());
                let whole = line(&TrackedEvent::Retransmit(again), 120, false);
                assert!(whole.ends_with(owner), "nothing is cut in a file: {whole}");
            }
        }
    }
}

#[test]
fn columns_stay_where_they_are_for_every_number_of_attempts() {
    let column = |attempt| {
        let told = shown(TrackedRetransmit { attempt, ..data() });
        told.find("1m44s").expect("the time since the last")
    };
    assert_eq!(column(12), column(1));
}

fn reset(direction: ResetDirection, state: Option<TcpState>) -> TrackedReset {
    let subject = subject(Direction::Outgoing);
    TrackedReset { at: at(5), subject, state, direction, why: None }
}

#[test]
fn a_reset_says_which_way_it_went_and_why_where_that_is_known() {
    let sent = TrackedReset {
        why: Some("tcp_abort_on_close".into()),
        ..reset(ResetDirection::Sent, Some(TcpState::Established))
    };
    assert_eq!(
        line(&TrackedEvent::Reset(sent), 160, true),
        "       0.0050 192.168.2.105:43068 → 192.168.2.100:11111 \
         RST sent, ESTABLISHED           -  nc 2410 · tcp abort on close: closed with unread data"
    );
    let received = reset(ResetDirection::Received, Some(TcpState::CloseWait));
    assert_eq!(
        line(&TrackedEvent::Reset(received), 120, true),
        "       0.0050 192.168.2.105:43068 → 192.168.2.100:11111 \
         RST received, CLOSE_WAIT        -  nc 2410"
    );
}

#[test]
fn a_reset_without_a_socket_has_no_state_and_no_owner() {
    let subject =
        Subject { socket: None, direction: None, process: None, ..subject(Direction::Both) };
    let why = Some("no_socket".into());
    let reset = TrackedReset { subject, why, ..reset(ResetDirection::Sent, None) };
    assert_eq!(
        line(&TrackedEvent::Reset(reset), 160, true),
        "       0.0050 192.168.2.105:43068   192.168.2.100:11111 \
         RST sent                        -  - · no socket: the port is closed, or the connection is gone"
    );
}

#[test]
fn a_reason_that_this_version_does_not_know_is_the_kernels_word_alone() {
    let why = Some("tcp_of_tomorrow".into());
    let reset = TrackedReset { why, ..reset(ResetDirection::Sent, Some(TcpState::Closed)) };
    assert!(line(&TrackedEvent::Reset(reset), 120, true).ends_with("nc 2410 · tcp of tomorrow"));
}

#[test]
fn a_word_that_is_not_ours_is_shown_without_what_a_terminal_obeys() {
    let why = Some("a\u{1b}[2J\nb\u{9b}\u{202e}".into());
    let process = Process::named(7, Comm::from_text("c\u{1b}]0;\u{7}\n"), Via::Close);
    let subject = Subject { process: Some(process), ..subject(Direction::Outgoing) };
    let reset =
        TrackedReset { subject, why, ..reset(ResetDirection::Sent, Some(TcpState::Closed)) };
    let told = line(&TrackedEvent::Reset(reset), 120, true);
    assert!(told.ends_with("c?]0;?? 7 · a?[2J?b??"), "{told}");
}

#[test]
fn an_error_is_told_in_the_systems_words() {
    let subject = subject(Direction::Outgoing);
    let Subject { netns, ends, cgroup, .. } = subject;
    let state = TcpState::Established;
    let (at, socket) = (at(134_930), Cookie(7));
    let event = ErrorEvent { at, socket, netns, ends, cgroup, state, error: 113 };
    let error = About { subject, event };
    assert_eq!(
        line(&TrackedEvent::Error(error), 120, true),
        "     134.9300 192.168.2.105:43068 → 192.168.2.100:11111 \
         error, ESTABLISHED              -  nc 2410 · No route to host"
    );
}

fn queue() -> QueueReading {
    QueueReading {
        listener: None,
        bound_to: Endpoint { address: Ipv4Addr::UNSPECIFIED.into(), port: 80 },
        waiting: 129,
        most: 128,
        half_open: 129,
        dropped: 17,
        ack_dropped: true,
        accepted: false,
    }
}

#[test]
fn a_queue_is_named_with_its_listener_and_how_full_it_was_read() {
    let told = |queue, width| {
        line(
            &TrackedEvent::Retransmit(TrackedRetransmit {
                queue: Some(Box::new(queue)),
                ..syn_ack()
            }),
            width,
            true,
        )
    };
    let end = |text: &str| text.split_once("next in 2 s").unwrap().1.to_owned();
    assert_eq!(
        end(&told(queue(), 300)),
        " · its ACK was dropped · accept queue of 0.0.0.0:80 full (129 of 128) · nc 2410 (listener)"
    );
    let narrow = told(queue(), 120);
    let (before, after) = narrow.split_once('\n').expect("no room");
    assert!(before.ends_with("192.168.2.105:43068 \u{2190} 192.168.2.100:11111"), "{narrow}");
    assert_eq!(
        after,
        "              SYN+ACK retry 1 1.03 s accept queue of 0.0.0.0:80 full (129 of 128)"
    );
    let crowded = QueueReading { waiting: 3, ack_dropped: false, ..queue() };
    assert_eq!(
        end(&told(crowded, 300)),
        " · SYN queue of 0.0.0.0:80 full (129 of 128) · nc 2410 (listener)"
    );
    let nearly = QueueReading { half_open: 128, ..crowded };
    assert_eq!(
        end(&told(nearly, 300)),
        " · SYN queue of 0.0.0.0:80 (128 of 128) · nc 2410 (listener)"
    );
}

#[test]
fn a_change_names_the_last_place_and_what_the_listener_dropped() {
    let queue = QueueReading { waiting: 128, ack_dropped: false, accepted: true, ..queue() };
    let subject = Subject { inherited: true, ..subject(Direction::Incoming) };
    let change = Change::plain(at(10), subject, (TcpState::SynRecv, None), TcpState::Established);
    let last = Change { queue: Some(Box::new(queue)), ..change.clone() };
    let told = line(&TrackedEvent::Change(last), 200, true);
    assert!(
        told.ends_with(" · last place in the accept queue of 0.0.0.0:80 (128 before it)"),
        "{told}"
    );
    for (segments, words) in [(1, "1 segment"), (3, "3 segments")] {
        let dropped = Some(Dropped { segments, within: ms(1020) });
        let told = line(&TrackedEvent::Change(Change { dropped, ..change.clone() }), 200, true);
        let end = format!(" · its listener dropped {words} in the 1.02 s before");
        assert!(told.ends_with(&end), "{told}");
    }
}
