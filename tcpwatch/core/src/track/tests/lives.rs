//! Lives of connections, told once when the last trace is gone, from all events together.

use super::*;
use crate::event::SocketTotals;
use TcpState::Closing;

fn life_tracker() -> Tracker {
    Tracker::new(Reliance { lives: true, ..RELIANCE })
}

fn lives(yielded: &[TrackedEvent]) -> Vec<&Connection> {
    yielded
        .iter()
        .filter_map(|one| match one {
            TrackedEvent::Connection(connection) => Some(&**connection),
            _ => None,
        })
        .collect()
}

/// `END by WHO opened MS lasted MS handshake MS: STATE MS, STATE MS`.
fn life(connection: &Connection) -> String {
    let Connection { end, closed_by, opened, lasted, handshake, spent, .. } = connection;
    let opened = opened.map(|opened| opened.since(ms(0)));
    let states: Vec<String> =
        spent.iter().map(|(state, time)| format!("{state} {}", time.as_millis())).collect();
    format!(
        "{} by {} opened {} lasted {} handshake {}: {}",
        end.word(),
        closed_by.map_or("-", ClosedBy::word),
        whole_ms(opened),
        whole_ms(*lasted),
        whole_ms(*handshake),
        states.join(", ")
    )
}

/// The one life of these events, which is the last that is told.
fn only_life(tracker: &mut Tracker, events: impl IntoIterator<Item = Event>) -> Connection {
    let yielded = tell(tracker, events);
    let told = lives(&yielded);
    let [connection] = told.as_slice() else { panic!("one life: {:?}", lines(&yielded)) };
    assert!(matches!(yielded.last(), Some(TrackedEvent::Connection(_))), "{:?}", lines(&yielded));
    assert_eq!(tracker.open(), 0);
    (*connection).clone()
}

fn lived(events: impl IntoIterator<Item = Event>) -> String {
    life(&only_life(&mut life_tracker(), events))
}

fn timer_ends(at: u64, state: TcpState, due: Jiffies) -> [Event; 2] {
    [TimerEvent::Cancel, TimerEvent::Expire]
        .map(|timer| Event::Mini(timewait(at, timer, state, due)))
}

fn with_error(event: StateEvent, error: i32) -> Event {
    Event::State(StateEvent { error: u16::try_from(error).unwrap(), ..event })
}

fn totals() -> SocketTotals {
    SocketTotals {
        sent: 5,
        syn_counted: false,
        undelivered: Some(0),
        received: 7,
        retransmits: 0,
        srtt: None,
        min_rtt: None,
    }
}

/// The client connects at 0 ms.
fn connected() -> Vec<Event> {
    client_until_fin_wait_2().into_iter().take(2).collect()
}

fn again(at: u64, state: TcpState, segment: SegmentKind, trigger: Trigger) -> Event {
    let (socket, ends) = match segment {
        SegmentKind::SynAck => (None, server_ends()),
        _ => (Some(Cookie(1)), client_ends()),
    };
    Event::Retransmit(RetransmitEvent {
        at: ms(at),
        socket,
        netns: NETNS,
        ends,
        cgroup: None,
        state,
        segment,
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

#[test]
fn a_clients_life_lasts_until_time_wait_begins_and_is_told_when_it_ends() {
    let due = Jiffies(tick(120).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(120, TimerEvent::Start, TimeWait, due)));
    let Event::State(burial) = burial(120) else { unreachable!("a change") };
    events.push(Event::State(StateEvent { totals: Some(Box::new(totals())), ..burial }));
    events.extend(timer_ends(61_000, TimeWait, due));
    let connection = only_life(&mut life_tracker(), events);
    assert_eq!(
        life(&connection),
        "normal by local opened 0 lasted 120 handshake 1: SYN_SENT 1, ESTABLISHED 99, \
         FIN_WAIT_1 10, FIN_WAIT_2 10, TIME_WAIT 60880"
    );
    assert_eq!((connection.at, connection.totals), (ms(61_000), Some(totals())));
    assert_eq!(connection.subject.process, process(42, Via::Connect));
    assert_eq!((connection.retransmits(), connection.syns()), (0, Some(1)));
}

#[test]
fn an_accepted_connections_life_begins_with_the_syn() {
    let mut tracker = life_tracker();
    listening(&mut tracker, 80);
    let end = StateEvent { totals: Some(Box::new(totals())), ..state(61, 2, LastAck, Closed) };
    let connection = only_life(
        &mut tracker,
        [
            Event::Mini(request(10, TimerEvent::Start)),
            again(30, SynRecv, SegmentKind::SynAck, Trigger::SynCameAgain),
            Event::State(state(40, 2, Listen, SynRecv)),
            Event::Mini(request(40, TimerEvent::Cancel)),
            Event::State(state(40, 2, SynRecv, Established)),
            Event::State(state(50, 2, Established, CloseWait)),
            Event::State(state(60, 2, CloseWait, LastAck)),
            Event::State(end),
        ],
    );
    assert_eq!(
        life(&connection),
        "normal by remote opened 10 lasted 51 handshake 30: SYN_RECV 30, ESTABLISHED 10, \
         CLOSE_WAIT 10, LAST_ACK 1"
    );
    assert_eq!(connection.retransmits(), 1, "the SYN+ACK of the half-open connection");
    assert_eq!((connection.totals, connection.syns()), (Some(totals()), None));
    assert_eq!(connection.subject.process, process(80, Via::Listen));
}

#[test]
fn an_attempt_that_fails_has_no_handshake_and_nobody_closed_it() {
    for (error, end) in [
        (libc::ECONNREFUSED, "refused"),
        (libc::EHOSTUNREACH, "unreachable"),
        (0, "canceled"),
        (libc::ETIMEDOUT, "timed_out"),
    ] {
        let connect = Event::State(state(0, 1, Closed, SynSent));
        let told = lived([connect, with_error(state(9, 1, SynSent, Closed), error)]);
        assert_eq!(told, format!("{end} by - opened 0 lasted 9 handshake -: SYN_SENT 9"));
    }
}

#[test]
fn a_connect_that_times_out_has_sent_one_syn_more_than_it_sent_again() {
    let syn = |at, in_a_row| {
        again(at, SynSent, SegmentKind::Syn, Trigger::Timeout { in_a_row, rto: 250 })
    };
    let events = [
        Event::State(state(0, 1, Closed, SynSent)),
        syn(1030, 1),
        syn(2060, 2),
        with_error(state(4100, 1, SynSent, Closed), libc::ETIMEDOUT),
    ];
    let connection = only_life(&mut life_tracker(), events);
    assert_eq!((connection.end, connection.syns()), (Reason::TimedOut, Some(3)));
    assert_eq!((connection.retransmits(), connection.again[0]), (2, (SegmentKind::Syn, 2)));
}

#[test]
fn a_half_open_connection_that_is_given_up_has_its_syn_acks() {
    let mut tracker = life_tracker();
    listening(&mut tracker, 80);
    let connection = only_life(
        &mut tracker,
        [
            Event::Mini(request(0, TimerEvent::Start)),
            Event::Mini(request(1000, TimerEvent::Cancel)),
            Event::Mini(request(1000, TimerEvent::Expire)),
            again(1000, SynRecv, SegmentKind::SynAck, Trigger::RequestTimeout { in_a_row: 1 }),
            Event::Mini(request(1000, TimerEvent::Start)),
            Event::Mini(request(3000, TimerEvent::Cancel)),
            Event::Mini(request(3000, TimerEvent::Expire)),
        ],
    );
    let expected = "half_open by - opened 0 lasted 3000 handshake -: SYN_RECV 3000";
    assert_eq!(life(&connection), expected);
    assert_eq!((connection.again[1], connection.totals), ((SegmentKind::SynAck, 1), None));
}

#[test]
fn an_orphan_whose_peer_never_closes_is_half_closed() {
    let due = Jiffies(tick(110).0 + 750);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    events.push(burial(110));
    events.extend(timer_ends(3200, FinWait2, due));
    assert_eq!(
        lived(events),
        "half_closed by local opened 0 lasted 3200 handshake 1: SYN_SENT 1, ESTABLISHED 99, \
         FIN_WAIT_1 10, FIN_WAIT_2 3090"
    );
}

#[test]
fn a_connection_that_is_killed_was_closed_by_neither_end() {
    let mut events = connected();
    events.push(with_error(state(50, 1, Established, Closed), libc::ECONNABORTED));
    assert_eq!(
        lived(events),
        "killed by - opened 0 lasted 50 handshake 1: SYN_SENT 1, ESTABLISHED 49"
    );
}

#[test]
fn fins_that_cross_are_of_both() {
    let due = Jiffies(tick(120).0 + 15_000);
    let mut events = connected();
    events.push(Event::State(state(100, 1, Established, FinWait1)));
    events.push(Event::State(state(110, 1, FinWait1, Closing)));
    events.push(Event::Mini(timewait(120, TimerEvent::Start, TimeWait, due)));
    events.push(Event::State(state(120, 1, Closing, Closed)));
    events.extend(timer_ends(61_000, TimeWait, due));
    assert_eq!(
        lived(events),
        "normal by both opened 0 lasted 120 handshake 1: SYN_SENT 1, ESTABLISHED 99, \
         FIN_WAIT_1 10, CLOSING 10, TIME_WAIT 60880"
    );
}

#[test]
fn a_reset_closes_a_connection_only_if_no_fin_did_before() {
    let mut events = connected();
    events.push(Event::Reset(ResetEvent {
        at: ms(50),
        socket: Some(Cookie(1)),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: Some(Established),
        direction: ResetDirection::Received,
        answers_no_syn: false,
        why: None,
    }));
    events.push(with_error(state(50, 1, Established, Closed), libc::ECONNRESET));
    let expected = "reset_received by reset opened 0 lasted 50 handshake 1: SYN_SENT 1, \
                    ESTABLISHED 49";
    assert_eq!(lived(events), expected);

    let mut events = connected();
    events.push(Event::State(state(50, 1, Established, CloseWait)));
    events.push(with_error(state(60, 1, CloseWait, Closed), libc::EPIPE));
    let expected = "reset_received by remote opened 0 lasted 60 handshake 1: SYN_SENT 1, \
                    ESTABLISHED 49, CLOSE_WAIT 10";
    assert_eq!(lived(events), expected);
}

#[test]
fn a_connection_older_than_the_run_has_no_invented_beginning() {
    let mut tracker = life_tracker();
    tracker.learn(&[KnownSocket {
        socket: Cookie(1),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: Established,
        kind: KnownKind::Full,
        timer_left: None,
        seen: ms(20),
        quiet: None,
        queue_full: false,
        inode: 5,
        owner: process(42, Via::Fd),
    }]);
    let connection = only_life(
        &mut tracker,
        [
            Event::State(state(50, 1, Established, CloseWait)),
            Event::State(state(60, 1, CloseWait, LastAck)),
            Event::State(state(61, 1, LastAck, Closed)),
        ],
    );
    assert_eq!(
        life(&connection),
        "normal by remote opened - lasted - handshake -: CLOSE_WAIT 10, LAST_ACK 1"
    );
    assert_eq!(connection.subject.process, process(42, Via::Fd));
}

#[test]
fn a_time_wait_whose_full_socket_was_never_seen_ends_a_life_of_its_own() {
    let due = Jiffies(tick(120).0 + 15_000);
    let start = Event::Mini(timewait(120, TimerEvent::Start, TimeWait, due));
    let events = [start].into_iter().chain(timer_ends(61_000, TimeWait, due));
    assert_eq!(lived(events), "normal by - opened - lasted - handshake -: TIME_WAIT 60880");
}

#[test]
fn a_life_whose_end_was_missed_is_told_by_comparison() {
    let mut tracker = life_tracker();
    tell(&mut tracker, client_until_fin_wait_2());
    listening(&mut tracker, 80);
    let mut yielded = Vec::new();
    tracker.reconcile(&nothing_left(200), |one| yielded.push(one));
    let told = lives(&yielded);
    let [connection] = told.as_slice() else { panic!("one life, and a listener: {yielded:?}") };
    assert_eq!(
        (connection.end, connection.at, connection.totals),
        (Reason::Unknown, ms(200), None)
    );
    assert_eq!(connection.spent.time_in(FinWait1), Some(Duration::from_millis(10)));
}

#[test]
fn a_half_open_connection_whose_end_was_missed_is_told_by_comparison() {
    let mut tracker = life_tracker();
    tell(&mut tracker, [Event::Mini(request(0, TimerEvent::Start))]);
    let mut yielded = Vec::new();
    tracker.reconcile(&nothing_left(200), |one| yielded.push(one));
    assert_eq!(lines(&yielded), ["SYN_RECV CLOSED - unknown inferred gap", "life unknown"]);
}

#[test]
fn a_listener_has_no_life() {
    let mut tracker = life_tracker();
    listening(&mut tracker, 80);
    let yielded = tell(&mut tracker, [Event::State(state(50, 9, Listen, Closed))]);
    assert_eq!(lines(&yielded), ["LISTEN CLOSED 50 normal"]);
}

#[test]
fn nobody_hears_of_lives_without_asking() {
    let mut events = connected();
    events.push(with_error(state(50, 1, Established, Closed), libc::ECONNRESET));
    assert!(lives(&tell(&mut tracker(), events)).is_empty());
}

#[test]
fn a_handshake_that_is_reset_was_closed_by_the_reset() {
    let cancel =
        MiniEvent { ended_by: Some(EarlyEnd::ResetReceived), ..request(300, TimerEvent::Cancel) };
    let told = lived([request(0, TimerEvent::Start), cancel].map(Event::Mini));
    let expected = "reset_received by reset opened 0 lasted 300 handshake -: SYN_RECV 300";
    assert_eq!(told, expected);
}

#[test]
fn a_handshake_whose_beginning_was_not_seen_has_no_length() {
    let mut tracker = life_tracker();
    tracker.learn(&[KnownSocket {
        socket: Cookie(1),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: SynSent,
        kind: KnownKind::Full,
        timer_left: None,
        seen: ms(0),
        quiet: None,
        queue_full: false,
        inode: 5,
        owner: None,
    }]);
    let events = [
        Event::State(state(1, 1, SynSent, Established)),
        Event::State(StateEvent { reset_sent: true, ..state(50, 1, Established, Closed) }),
    ];
    let expected = "reset_sent by reset opened - lasted - handshake -: ESTABLISHED 49";
    assert_eq!(life(&only_life(&mut tracker, events)), expected);
}

#[test]
fn what_was_not_sent_is_not_among_what_was_sent_again_even_if_the_kernel_counts_it() {
    let Event::Retransmit(sent) =
        again(300, Established, SegmentKind::Data, Trigger::Timeout { in_a_row: 1, rto: 50 })
    else {
        unreachable!("a retransmission")
    };
    let refused = RetransmitEvent { sent: false, counted: true, at: ms(500), ..sent.clone() };
    let no_route = RetransmitEvent { sent: false, counted: false, at: ms(900), ..sent.clone() };
    let mut events = connected();
    events.extend([sent, refused, no_route].map(Event::Retransmit));
    let counted = SocketTotals { retransmits: 2, ..totals() };
    let last = with_error(state(2000, 1, Established, Closed), libc::ETIMEDOUT);
    let Event::State(last) = last else { unreachable!("a change") };
    events.push(Event::State(StateEvent { totals: Some(Box::new(counted)), ..last }));
    let connection = only_life(&mut life_tracker(), events);
    assert_eq!((connection.retransmits(), connection.not_sent), (1, 2));
}

#[test]
fn the_state_in_which_an_old_socket_is_says_who_closed_first() {
    for (found, closed_by) in [
        (CloseWait, Some(ClosedBy::Remote)),
        (LastAck, Some(ClosedBy::Remote)),
        (FinWait1, Some(ClosedBy::Local)),
        (FinWait2, Some(ClosedBy::Local)),
        (Closing, Some(ClosedBy::Both)),
        (Established, Some(ClosedBy::Reset)),
    ] {
        let mut tracker = life_tracker();
        tracker.learn(&[KnownSocket {
            socket: Cookie(1),
            netns: NETNS,
            ends: client_ends(),
            cgroup: None,
            state: found,
            kind: KnownKind::Full,
            timer_left: None,
            seen: ms(0),
            quiet: None,
            queue_full: false,
            inode: 5,
            owner: None,
        }]);
        let reset = with_error(state(50, 1, found, Closed), libc::ECONNRESET);
        assert_eq!(only_life(&mut tracker, [reset]).closed_by, closed_by, "{found}");
    }
}
