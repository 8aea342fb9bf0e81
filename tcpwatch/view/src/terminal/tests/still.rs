//! Sockets that stay in a state, from made-up events.

use tcpwatch_core::{
    event::TcpState,
    timing::Window,
    track::{AcceptQueue, GivesUp, Others, Still, StillFull, Wait, WaitsFor, WindowProbes},
};

use super::*;

const NOTHING: Wait = Wait {
    waits_for: None,
    orphan: false,
    unsent: Some(0),
    unacknowledged: Some(0),
    unread: Some(0),
    end_read: None,
    window: Some(65_536),
    retransmits: None,
    probes: None,
    next_in: None,
    gives_up: GivesUp::Unknown,
    ends_at: None,
    end_estimated: false,
};

fn gives_up_in(milliseconds: u64) -> GivesUp {
    let (promise, latest) = (ms(milliseconds), ms(milliseconds * 9 / 8));
    GivesUp::In(Window { promise, latest })
}

/// What stands behind the owner.
#[track_caller]
fn shown(state: TcpState, wait: Wait) -> String {
    shown_with(state, wait, None)
}

#[track_caller]
fn shown_with(state: TcpState, wait: Wait, queue: Option<StillFull>) -> String {
    let subject = subject(Direction::Incoming);
    let at_least = None;
    let still =
        Still { at: at(2000), subject, state, in_state: Some(ms(1000)), at_least, wait, queue };
    let line = line(&TrackedEvent::Still(Box::new(still)), 400, true);
    let (before, after) = line.split_once("nc 2410 \u{b7} ").expect("the owner, and more");
    assert!(before.contains(&format!("{state}, still")) && before.ends_with(" 1.00 s  "), "{line}");
    after.to_owned()
}

#[test]
fn a_line_is_never_too_long_to_say_for_what_a_socket_waits() {
    let window = Wait {
        waits_for: Some(WaitsFor::Window),
        unsent: Some(143_360),
        window: Some(0),
        probes: Some(WindowProbes { sent: 2, or_more: false, unanswered: 1 }),
        next_in: Some(ms(812)),
        gives_up: gives_up_in(328_692),
        ..NOTHING
    };
    assert_eq!(
        shown(TcpState::FinWait1, window),
        "waits for the peer's window (zero window) \u{b7} 143,360 bytes unsent \u{b7} 2 window probes, the last \
         not answered \u{b7} next in 812 ms \u{b7} gives up in about 5m28s"
    );
    let probes = Some(WindowProbes { sent: 15, or_more: true, unanswered: 0 });
    let held = Wait { probes, window: Some(100), gives_up: GivesUp::Never, ..window };
    assert_eq!(
        shown(TcpState::FinWait1, held),
        "waits for the peer's window (100 bytes) \u{b7} 143,360 bytes unsent \u{b7} 15 or more window probes, all \
         answered \u{b7} next in 812 ms \u{b7} goes on for ever while the peer answers"
    );
}

#[test]
fn what_waits_for_an_acknowledgment_says_of_what() {
    let fin = Wait {
        waits_for: Some(WaitsFor::Acknowledgment),
        retransmits: Some(2),
        next_in: Some(ms(0)),
        gives_up: gives_up_in(103_268),
        ..NOTHING
    };
    assert_eq!(
        shown(TcpState::LastAck, fin),
        "waits for the ACK of its FIN \u{b7} 2 timeouts \u{b7} next now \u{b7} gives up in about 1m43s"
    );
    let data = Wait { unacknowledged: Some(1), retransmits: Some(0), ..fin };
    assert!(
        shown(TcpState::Closing, data)
            .starts_with("waits for the ACK of 1 byte and its FIN \u{b7} next")
    );
    let more = Wait { unsent: Some(5), ..data };
    assert!(
        shown(TcpState::FinWait1, more)
            .starts_with("waits for the ACK of 1 byte \u{b7} 5 bytes unsent \u{b7} ")
    );
}

#[test]
fn close_wait_says_what_the_application_has_not_read() {
    let close = Wait { waits_for: Some(WaitsFor::Close), end_read: Some(false), ..NOTHING };
    let state = TcpState::CloseWait;
    for (wait, text) in [
        (Wait { unread: Some(1024), ..close }, "close() \u{b7} 1,024 bytes unread"),
        (close, "close() \u{b7} 0 bytes unread, but the peer's FIN not seen"),
        (
            Wait { end_read: Some(true), ..close },
            "close() \u{b7} all read, and the peer's FIN seen",
        ),
        (
            Wait { waits_for: Some(WaitsFor::Accept), unread: Some(2), ..close },
            "accept() \u{b7} 2 bytes unread",
        ),
    ] {
        assert_eq!(shown(state, wait), format!("waits for the application's {text}"));
    }
}

#[test]
fn a_listener_says_how_full_its_accept_queue_is_and_how_long() {
    let accept = Wait { waits_for: Some(WaitsFor::Accept), unread: None, ..NOTHING };
    let queue = AcceptQueue { waiting: 129, most: 128 };
    let queue = StillFull { queue, lasts: ms(10_000), or_longer: false };
    for (or_longer, text) in [(false, "for 10 s"), (true, "for 10 s or longer")] {
        assert_eq!(
            shown_with(TcpState::Listen, accept, Some(StillFull { or_longer, ..queue })),
            format!(
                "waits for the application's accept() \u{b7} accept queue full (129 of 128) {text}"
            )
        );
    }
}

#[test]
fn fin_wait_2_says_when_it_ends_or_that_nothing_ends_it() {
    let fin = Wait { waits_for: Some(WaitsFor::PeerFin), ..NOTHING };
    let state = TcpState::FinWait2;
    assert_eq!(
        shown(state, fin),
        "waits for the peer's FIN \u{b7} the application has not closed it: no timer"
    );
    let orphan = Wait { orphan: true, ends_at: Some(at(61_000)), ..fin };
    assert_eq!(shown(state, orphan), "waits for the peer's FIN \u{b7} ends 61.0");
    let long = Wait { end_estimated: true, ..orphan };
    assert_eq!(shown(state, long), "waits for the peer's FIN \u{b7} ends 61.0 (estimate)");
}

#[test]
fn a_handshake_says_how_often_it_was_tried() {
    for (waits_for, count, text) in [
        (WaitsFor::SynAck, 0, "an answer to its SYN"),
        (WaitsFor::SynAck, 1, "an answer to its SYN \u{b7} 1 timeout"),
        (WaitsFor::HandshakeAck, 3, "the last ACK of the handshake \u{b7} sent again 3 times"),
    ] {
        let wait = Wait { waits_for: Some(waits_for), retransmits: Some(count), ..NOTHING };
        assert_eq!(shown(TcpState::SynSent, wait), format!("waits for {text}"));
    }
    assert_eq!(shown(TcpState::SynRecv, NOTHING), "for what it waits is not known");
}

#[test]
fn others_of_one_kind_are_a_line_without_ends() {
    let subject = subject(Direction::Incoming);
    let others = Others {
        at: at(3000),
        count: 1204,
        state: TcpState::CloseWait,
        after: ms(10_000),
        netns: subject.netns,
        direction: subject.direction,
        cgroup: None,
        process: subject.process,
        inherited: true,
        doubtful: false,
    };
    let shown = |others| line(&TrackedEvent::Others(others), 120, true);
    assert_eq!(
        shown(others).trim_start(),
        "3.0000 and 1,204 more of nc 2410 (listener): CLOSE_WAIT, still, after 10 s"
    );
    let doubtful = Others { doubtful: true, ..others };
    assert!(shown(doubtful).ends_with("still, after 10 s (perhaps fewer: records were lost)"));
    let unknown = Others { process: None, inherited: false, count: 1, ..others };
    assert!(
        shown(unknown).ends_with("and 1 more of an unknown owner: CLOSE_WAIT, still, after 10 s")
    );
}
