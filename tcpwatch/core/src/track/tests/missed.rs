//! What follows from a record when others before it are missing, and what does not.

use super::*;

fn told(events: impl IntoIterator<Item = Event>) -> Vec<String> {
    lines(&tell(&mut tracker(), events))
}

fn connect(at: u64, port: u16) -> Event {
    let mut event = state(at, 1, Closed, SynSent);
    event.ends.local.port = port;
    event.process = process(42, Via::Connect);
    Event::State(event)
}

#[test]
fn an_inferred_chain_has_every_link_that_is_certain() {
    let [until_established, last] = [
        vec![connect(0, 0), Event::State(state(1, 1, SynSent, Established))],
        vec![Event::State(state(9, 1, FinWait2, Closed))],
    ];
    let yielded = told(until_established.into_iter().chain(last));
    assert_eq!(
        yielded[2..4],
        ["ESTABLISHED FIN_WAIT_1 - inferred", "FIN_WAIT_1 FIN_WAIT_2 - inferred"]
    );
}

#[test]
fn a_time_wait_after_fin_wait_1_is_not_said_to_come_from_either_state_between() {
    let due = Jiffies(tick(120).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.pop();
    events.push(Event::Mini(timewait(120, TimerEvent::Start, TimeWait, due)));
    assert_eq!(told(events.clone())[3..], ["FIN_WAIT_1 TIME_WAIT - inferred gap"]);

    // The last report of the full socket tells.
    let Some(Event::Mini(start)) = events.pop() else { unreachable!("a timer") };
    for (replaces, between) in [(FinWait2, "FIN_WAIT_2"), (TcpState::Closing, "CLOSING")] {
        let start = MiniEvent { replaces: Some(replaces), ..start.clone() };
        let yielded = told(events.iter().cloned().chain([Event::Mini(start)]));
        let links = [format!("FIN_WAIT_1 {between} - inferred"), format!("{between} TIME_WAIT -")];
        assert_eq!(yielded[3..], links);
    }
}

#[test]
fn a_life_names_the_changes_that_were_missed() {
    let mut tracker = Tracker::new(Reliance { lives: true, ..RELIANCE });
    let events = [
        connect(0, 0),
        Event::State(state(1, 1, SynSent, Established)),
        Event::State(state(9, 1, LastAck, Closed)),
    ];
    let yielded = tell(&mut tracker, events);
    let Some(TrackedEvent::Connection(life)) = yielded.last() else {
        panic!("a life: {yielded:?}")
    };
    let links: Vec<_> = life.inferred.iter().map(|link| (link.from, link.to, link.gap)).collect();
    assert_eq!(links, [(Established, CloseWait, false), (CloseWait, LastAck, false)]);
    assert_eq!(life.closed_by, Some(ClosedBy::Remote));
}

#[test]
fn a_socket_whose_end_was_missed_and_that_connects_again_is_two_connections() {
    let mut tracker = Tracker::new(Reliance { lives: true, ..RELIANCE });
    let mut established = state(20, 1, SynSent, Established);
    established.ends.local.port = CLIENT + 2;
    let yielded = tell(
        &mut tracker,
        [
            connect(0, 0),
            Event::State(state(1, 1, SynSent, Established)),
            connect(19, 0),
            Event::State(established),
        ],
    );
    assert_eq!(
        lines(&yielded)[2..],
        [
            "ESTABLISHED CLOSED - unknown inferred gap",
            "life unknown",
            "CLOSED SYN_SENT -",
            "SYN_SENT ESTABLISHED 1"
        ]
    );
    let ports: Vec<u16> = yielded.iter().map(|one| one.subject().ends.local.port).collect();
    assert_eq!(ports[2..], [CLIENT, CLIENT, 0, CLIENT + 2]);
    assert_eq!(tracker.tally().connections, 2);
}

#[test]
fn other_ends_are_another_connection_although_the_state_fits() {
    let mut ended = StateEvent { error: 111, ..state(20, 1, SynSent, Closed) };
    ended.ends.local.port = CLIENT + 2;
    let yielded = told([connect(0, CLIENT), Event::State(ended)]);
    assert_eq!(
        yielded[1..],
        [
            "SYN_SENT CLOSED - unknown inferred gap",
            "CLOSED SYN_SENT - inferred",
            "SYN_SENT CLOSED - refused"
        ]
    );
}

#[test]
fn a_connect_that_waits_is_known_by_its_cookie_and_gets_its_port_from_the_kernels_list() {
    let mut tracker = tracker();
    tell(&mut tracker, [connect(0, 0)]);
    let known = KnownSocket {
        socket: Cookie(1),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: SynSent,
        kind: KnownKind::Full,
        timer_left: None,
        quiet: None,
        queue_full: false,
        seen: ms(5000),
        inode: 5,
        owner: None,
    };
    let mut yielded = Vec::new();
    tracker
        .reconcile(&Census::new((ms(5000), ms(5001)), [NETNS], [known]), |one| yielded.push(one));
    assert!(yielded.is_empty(), "{yielded:?}");
    assert_eq!(tracker.open(), 1);
    tracker.reconcile(&nothing_left(6000), |one| yielded.push(one));
    assert_eq!(lines(&yielded), ["SYN_SENT CLOSED - unknown inferred gap"]);
    assert_eq!(yielded[0].subject().ends, client_ends());
}

#[test]
fn a_socket_that_may_not_be_in_the_kernels_list_yet_is_looked_for_later() {
    let mut tracker = tracker();
    tell(&mut tracker, [connect(0, 0)]);
    let again = tracker.reconcile(&nothing_left(10), |yielded| panic!("{yielded:?}"));
    assert_eq!(again, Some(ms(1000)));
    let mut yielded = Vec::new();
    assert_eq!(tracker.reconcile(&nothing_left(1001), |one| yielded.push(one)), None);
    assert_eq!(yielded.len(), 1);
}

#[test]
fn the_last_report_of_a_full_socket_is_no_end_while_its_heirs_beginning_may_be_lost() {
    let mut tracker = tracker();
    tell(&mut tracker, client_until_fin_wait_2());
    tracker.lost(ms(119));
    let closed = StateEvent { peer_finished: true, ..state(120, 1, FinWait2, Closed) };
    assert!(tracker.relies_on_silence(&Event::State(closed.clone())));
    assert!(tell(&mut tracker, [Event::State(closed)]).is_empty());
    assert_eq!((tracker.open(), tracker.tally().doubtful), (1, 1));
    let due = Jiffies(tick(120).0 + 15_000);
    let ends = [TimerEvent::Cancel, TimerEvent::Expire]
        .map(|timer| Event::Mini(timewait(61_000, timer, TimeWait, due)));
    assert_eq!(
        lines(&tell(&mut tracker, ends)),
        ["FIN_WAIT_2 TIME_WAIT 10 inferred", "TIME_WAIT CLOSED 60880 timer"]
    );
}

#[test]
fn a_timer_that_stops_is_no_end_while_its_new_start_may_be_lost() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let until_expired = [
        request(0, TimerEvent::Start),
        request(1000, TimerEvent::Cancel),
        request(1000, TimerEvent::Expire),
    ];
    for event in until_expired {
        tracker.apply(&Event::Mini(event), |_| {});
    }
    assert!(tracker.settles_alone(ms(1021)));
    tracker.lost(ms(1021));
    tracker.settle(ms(1021), &mut |yielded| panic!("{yielded:?}"));
    assert_eq!(tracker.open(), 1);
    let mut yielded = Vec::new();
    tracker.reconcile(&nothing_left(2000), |one| yielded.push(one));
    assert_eq!(
        lines(&yielded)[1..],
        ["SYN_RECV CLOSED - unknown inferred gap"],
        "after its listener"
    );
}

#[test]
fn a_half_open_connection_that_was_accepted_unseen_goes_on_in_its_socket() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let accepted =
        MiniEvent { ended_by: Some(EarlyEnd::Accepted), ..request(40, TimerEvent::Cancel) };
    let yielded = tell(&mut tracker, [request(10, TimerEvent::Start), accepted].map(Event::Mini));
    assert_eq!(lines(&yielded), ["LISTEN SYN_RECV -"]);
    let yielded = tell(&mut tracker, [Event::State(state(90, 2, CloseWait, LastAck))]);
    assert_eq!(lines(&yielded), ["SYN_RECV CLOSE_WAIT - inferred gap", "CLOSE_WAIT LAST_ACK -"]);
    assert_eq!(tracker.tally().connections, 1, "request and socket are one connection");
}
