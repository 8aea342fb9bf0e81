//! Changes of full sockets, as `inet_sock_set_state` reports them, and what of them is missing.

use super::*;

#[test]
fn on_loopback_the_clients_process_never_owns_the_servers_socket() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let mut close = state(100, 2, CloseWait, LastAck);
    close.process = process(81, Via::Close);
    let mut events = client_until_fin_wait_2();
    events.push(Event::State(state(1, 2, Listen, SynRecv)));
    events.push(Event::State(state(1, 2, SynRecv, Established)));
    events.push(Event::State(state(50, 2, Established, CloseWait)));
    events.push(Event::State(close));
    for yielded in tell(&mut tracker, events) {
        let TrackedEvent::Change(change) = &yielded else { panic!("{yielded:?}") };
        let expected = match (change.subject.socket, change.to) {
            (Some(Cookie(1)), _) => 42,
            (_, LastAck) => 81,
            _ => 80,
        };
        assert_eq!(change.subject.process.and_then(|process| process.pid), Some(expected));
    }
}

#[test]
fn a_gap_in_the_chain_of_states_is_inferred_and_counted() {
    let mut tracker = tracker();
    let yielded = tell(
        &mut tracker,
        [
            Event::State(state(0, 1, Closed, SynSent)),
            Event::State(state(9, 1, Established, FinWait1)),
        ],
    );
    assert_eq!(
        lines(&yielded),
        ["CLOSED SYN_SENT -", "SYN_SENT ESTABLISHED - inferred gap", "ESTABLISHED FIN_WAIT_1 -"]
    );
    assert_eq!(tracker.tally().inferred, 1);
}

#[test]
fn a_filter_by_state_leaves_gaps_that_are_no_losses() {
    let mut tracker = Tracker::new(Reliance { gapless: false, ..RELIANCE });
    let yielded = tell(
        &mut tracker,
        [
            Event::State(state(0, 1, Closed, SynSent)),
            Event::State(state(9, 1, Established, CloseWait)),
            Event::State(state(20, 1, CloseWait, LastAck)),
        ],
    );
    let expected = ["CLOSED SYN_SENT -", "ESTABLISHED CLOSE_WAIT -", "CLOSE_WAIT LAST_ACK 11"];
    assert_eq!(lines(&yielded), expected);
}

#[test]
fn a_change_that_raced_with_the_snapshot_is_no_gap() {
    let mut tracker = tracker();
    tracker.learn(&[KnownSocket {
        socket: Cookie(1),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: FinWait1,
        kind: KnownKind::Full,
        timer_left: None,
        seen: ms(20),
        quiet: None,
        queue_full: false,
        inode: 5,
        owner: process(42, Via::Fd),
    }]);
    let yielded = tell(
        &mut tracker,
        [
            Event::State(state(10, 1, Established, FinWait1)),
            Event::State(state(30, 1, FinWait1, FinWait2)),
        ],
    );
    assert_eq!(lines(&yielded), ["ESTABLISHED FIN_WAIT_1 -", "FIN_WAIT_1 FIN_WAIT_2 20"]);
    assert_eq!(tracker.tally().inferred, 0);
    assert_eq!(yielded[0].subject().process, process(42, Via::Fd));
}

#[test]
fn the_kernels_error_tells_how_a_connection_ended() {
    for (from, error, reason) in [
        (SynSent, libc::ECONNREFUSED, "refused"),
        (SynSent, libc::ETIMEDOUT, "timed_out"),
        (SynSent, libc::EHOSTUNREACH, "unreachable"),
        (SynSent, 0, "normal"),
        (Established, libc::ECONNRESET, "reset_received"),
        (Established, libc::ECONNABORTED, "killed"),
        (Established, 0, "reset_sent"),
        (CloseWait, libc::EPIPE, "reset_received"),
        (LastAck, 0, "normal"),
        (Listen, 0, "normal"),
    ] {
        let error = u16::try_from(error).unwrap();
        let event = StateEvent { error, ..state(5, 1, from, Closed) };
        let yielded = tell(&mut tracker(), [Event::State(event)]);
        assert_eq!(lines(&yielded), [format!("{from} CLOSED - {reason}")]);
    }
}

#[test]
fn listeners_that_share_a_port_and_have_different_owners_leave_the_owner_open() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let mut second = state(0, 10, Closed, Listen);
    second.process = process(90, Via::Listen);
    tracker.apply(&Event::State(second), |_| {});
    let yielded = tell(&mut tracker, [Event::State(state(1, 2, Listen, SynRecv))]);
    assert_eq!(yielded[0].subject().process, None);
}

#[test]
fn a_socket_that_vanished_without_a_word_is_closed_by_comparison() {
    let mut tracker = tracker();
    tell(&mut tracker, client_until_fin_wait_2());
    let mut yielded = Vec::new();
    let elsewhere = Census::new((ms(200), ms(201)), [Netns(8)], []);
    tracker.reconcile(&elsewhere, |one| yielded.push(one));
    assert!(yielded.is_empty(), "its namespace was not looked at");
    tracker.reconcile(&nothing_left(200), |one| yielded.push(one));
    assert_eq!(lines(&yielded), ["FIN_WAIT_2 CLOSED - unknown inferred gap"]);
    assert_eq!(tracker.open(), 0);
}

#[test]
fn a_flood_of_half_open_connections_fills_the_table_and_no_more_and_is_counted() {
    let mut tracker = tracker();
    let flood = u32::try_from(MAX_SOCKETS).unwrap() + 1000;
    for number in 0..flood {
        let mut event = request(0, TimerEvent::Start);
        event.ends.remote.address = number.to_be_bytes().into();
        tracker.apply(&Event::Mini(event), |_| {});
    }
    assert_eq!(tracker.open(), MAX_SOCKETS);
    assert_eq!(tracker.tally().table_full, 1000);
}
