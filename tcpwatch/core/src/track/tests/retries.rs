//! Retransmissions, as `tcp_retransmit_skb` and `tcp_retransmit_synack` report them.

use super::*;
use crate::timing::Then;

/// 204 ms and 1 s in ticks.
const RTO: u32 = 51;
const SECOND: u32 = 250;

fn again(at: u64, state: TcpState, segment: SegmentKind, trigger: Trigger) -> RetransmitEvent {
    RetransmitEvent {
        at: ms(at),
        socket: Some(Cookie(1)),
        netns: NETNS,
        ends: client_ends(),
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
    }
}

fn syn(at: u64, in_a_row: u8) -> Event {
    let trigger = Trigger::Timeout { in_a_row, rto: SECOND };
    Event::Retransmit(again(at, SynSent, SegmentKind::Syn, trigger))
}

fn data(at: u64, trigger: Trigger) -> Event {
    Event::Retransmit(again(at, Established, SegmentKind::Data, trigger))
}

fn timeout(in_a_row: u8) -> Trigger {
    Trigger::Timeout { in_a_row, rto: RTO << (in_a_row - 1) }
}

fn syn_ack(at: u64, trigger: Trigger) -> RetransmitEvent {
    let event = again(at, SynRecv, SegmentKind::SynAck, trigger);
    RetransmitEvent { socket: None, ends: server_ends(), ..event }
}

fn connect() -> Event {
    let event = StateEvent { process: process(42, Via::Connect), ..state(0, 1, Closed, SynSent) };
    Event::State(event)
}

fn connected() -> [Event; 2] {
    [connect(), Event::State(state(1, 1, SynSent, Established))]
}

fn retries(yielded: &[TrackedEvent]) -> Vec<&TrackedRetransmit> {
    yielded
        .iter()
        .filter_map(|one| match one {
            TrackedEvent::Retransmit(again) => Some(again),
            _ => None,
        })
        .collect()
}

/// What comes next, in how many milliseconds at the earliest.
fn next(retry: &TrackedRetransmit) -> Option<(Then, u128)> {
    retry.next.map(|next| (next.then, next.wait.promise.as_millis()))
}

#[test]
fn a_syn_is_sent_again_first_after_the_time_in_syn_sent_and_then_after_the_attempt_before() {
    let yielded = tell(&mut tracker(), [connect(), syn(1030, 1), syn(2050, 2), syn(3090, 3)]);
    assert_eq!(lines(&yielded)[1..], ["syn 1 1030", "syn 2 1020", "syn 3 1040"]);
    for retry in retries(&yielded) {
        assert_eq!(retry.expected, Some(Duration::from_secs(1)));
        assert_eq!(retry.subject.process, process(42, Via::Connect));
        assert_eq!(retry.subject.direction, Some(Direction::Outgoing));
        assert_eq!(retry.most, Some(10), "6 retries and 4 linear timeouts");
        assert!(!retry.early && retry.sent);
    }
}

#[test]
fn the_sysctls_of_the_namespace_tell_when_the_last_syn_is_sent() {
    let mut tracker = tracker();
    let sysctls = Sysctls { syn_retries: 2, syn_linear_timeouts: 0, ..Sysctls::default() };
    tracker.learn_sysctls(Netns(8), Sysctls::default());
    tracker.learn_sysctls(NETNS, sysctls);
    let yielded = tell(&mut tracker, [connect(), syn(1030, 1), syn(3060, 2)]);
    let told: Vec<_> =
        retries(&yielded).into_iter().map(|retry| (retry.most, next(retry))).collect();
    let expected = [(Some(2), Some((Then::Attempt, 2000))), (Some(2), Some((Then::GivesUp, 4000)))];
    assert_eq!(told, expected);
}

#[test]
fn the_sockets_own_number_of_retries_comes_before_the_sysctl() {
    let mut event =
        again(1030, SynSent, SegmentKind::Syn, Trigger::Timeout { in_a_row: 1, rto: SECOND });
    event.syn_retries = Some(1);
    let yielded = tell(&mut tracker(), [connect(), Event::Retransmit(event)]);
    assert_eq!(
        retries(&yielded)[0].most,
        Some(2),
        "one retry, and as many linear timeouts as its time allows"
    );
}

#[test]
fn a_tail_loss_probe_is_the_first_attempt_and_timeouts_count_on() {
    let probe = data(100, Trigger::Early { rto: RTO });
    let events = [probe, data(304, timeout(1)), data(712, timeout(2)), data(1528, timeout(3))];
    let yielded = tell(&mut tracker(), connected().into_iter().chain(events));
    assert_eq!(lines(&yielded)[2..], ["data 1 -", "data 2 204", "data 3 408", "data 4 816"]);
    let told = retries(&yielded);
    assert_eq!(
        told.iter().map(|retry| retry.early).collect::<Vec<_>>(),
        [true, false, false, false]
    );
    assert_eq!(told[0].expected, None);
    assert_eq!(told[3].expected, Some(Duration::from_millis(816)));
    assert_eq!(next(told[0]), Some((Then::Attempt, 204)));
    assert_eq!(next(told[3]), Some((Then::Attempt, 1632)));
    assert!(
        told.iter().all(|retry| retry.most.is_none()),
        "the end of a schedule of data is a time"
    );
}

#[test]
fn an_answer_ends_a_run_and_the_next_one_begins_anew() {
    let events = [data(204, timeout(1)), data(612, timeout(2)), data(60_000, timeout(1))];
    let yielded = tell(&mut tracker(), connected().into_iter().chain(events));
    assert_eq!(lines(&yielded)[2..], ["data 1 -", "data 2 408", "data 1 -"], "another segment");
}

#[test]
fn a_probe_that_was_answered_is_no_part_of_a_later_run() {
    let events = [data(100, Trigger::Early { rto: RTO }), data(60_000, timeout(1))];
    let yielded = tell(&mut tracker(), connected().into_iter().chain(events));
    assert_eq!(lines(&yielded)[2..], ["data 1 -", "data 1 -"]);
}

#[test]
fn a_run_goes_on_when_the_application_closes_meanwhile() {
    let probe = data(100, Trigger::Early { rto: RTO });
    let close = Event::State(state(500, 1, Established, FinWait1));
    let last = again(712, FinWait1, SegmentKind::Data, timeout(2));
    let events = [probe, data(304, timeout(1)), close, Event::Retransmit(last)];
    let yielded = tell(&mut tracker(), connected().into_iter().chain(events));
    let told: Vec<String> = retries(&yielded)
        .into_iter()
        .map(|retry| format!("{} {}", retry.attempt, whole_ms(retry.since_last)))
        .collect();
    assert_eq!(told, ["1 -", "2 204", "3 408"]);
}

#[test]
fn a_fin_that_crossed_with_the_peers_was_sent_before_closing() {
    let closing = [
        Event::State(state(100, 1, Established, FinWait1)),
        Event::State(state(200, 1, FinWait1, TcpState::Closing)),
        Event::Retransmit(again(304, TcpState::Closing, SegmentKind::Fin, timeout(1))),
    ];
    let yielded = tell(&mut tracker(), connected().into_iter().chain(closing));
    assert_eq!(lines(&yielded)[4..], ["fin 1 -"], "not since CLOSING");
}

#[test]
fn an_attempt_whose_forerunner_was_missed_has_the_kernels_number_and_no_invented_wait() {
    let events = [data(204, timeout(1)), data(1428, timeout(3))];
    let yielded = tell(&mut tracker(), connected().into_iter().chain(events));
    assert_eq!(lines(&yielded)[2..], ["data 1 -", "data 3 -"]);
}

#[test]
fn a_fin_is_sent_again_after_the_time_in_its_state() {
    let fin = again(304, FinWait1, SegmentKind::Fin, timeout(1));
    let closing = [
        Event::State(state(100, 1, Established, FinWait1)),
        Event::Retransmit(RetransmitEvent { orphan: true, ..fin }),
    ];
    let yielded = tell(&mut tracker(), connected().into_iter().chain(closing));
    assert_eq!(lines(&yielded)[3..], ["fin 1 204"]);
}

#[test]
fn a_syn_ack_by_timer_and_one_for_the_syn_that_came_at_the_same_time_are_one_attempt() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let timer = |in_a_row| Trigger::RequestTimeout { in_a_row };
    let yielded = tell(
        &mut tracker,
        [
            Event::Mini(request(0, TimerEvent::Start)),
            Event::Retransmit(syn_ack(1010, timer(1))),
            Event::Retransmit(syn_ack(1030, Trigger::SynCameAgain)),
            Event::Retransmit(syn_ack(3050, timer(2))),
            Event::Retransmit(syn_ack(3551, Trigger::SynCameAgain)),
        ],
    );
    assert_eq!(lines(&yielded)[1..], ["syn_ack 1 1010", "syn_ack 2 2040", "syn_ack 3 501"]);
    let told = retries(&yielded);
    assert_eq!(told.iter().map(|retry| retry.early).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(told[1].expected, Some(Duration::from_secs(2)));
    assert!(told.iter().all(|retry| retry.subject.process == process(80, Via::Listen)));
    assert!(told.iter().all(|retry| retry.subject.direction == Some(Direction::Incoming)));
}

#[test]
fn the_timer_of_a_half_open_connection_says_when_the_next_syn_ack_is_due() {
    let yielded = tell(
        &mut tracker(),
        [
            Event::Mini(request(0, TimerEvent::Start)),
            Event::Retransmit(RetransmitEvent {
                timer: Some((tick(400), tick(3400))),
                ..syn_ack(400, Trigger::SynCameAgain)
            }),
        ],
    );
    let retry = retries(&yielded)[0];
    assert_eq!(next(retry), Some((Then::Attempt, 3000)), "not the second of the schedule");
    let latest = retry.next.unwrap().wait.latest;
    assert!((3004..3300).contains(&latest.as_millis()), "{latest:?}");
}

#[test]
fn after_its_last_syn_ack_the_listener_gives_up() {
    let mut tracker = tracker();
    tracker.learn_sysctls(NETNS, Sysctls { synack_retries: 1, ..Sysctls::default() });
    let timer = Trigger::RequestTimeout { in_a_row: 1 };
    let events = [
        Event::Mini(request(0, TimerEvent::Start)),
        Event::Retransmit(RetransmitEvent {
            timer: Some((tick(1000), tick(3000))),
            ..syn_ack(1000, timer)
        }),
    ];
    let yielded = tell(&mut tracker, events);
    assert_eq!(next(retries(&yielded)[0]), Some((Then::GivesUp, 2000)));
    let own = RetransmitEvent { syn_retries: Some(3), ..syn_ack(1000, timer) };
    let yielded = tell(&mut tracker, [Event::Retransmit(own)]);
    assert_eq!(
        next(retries(&yielded)[0]),
        Some((Then::Attempt, 2000)),
        "the listener's TCP_SYNCNT"
    );
}

#[test]
fn a_retry_of_an_unknown_socket_has_the_kernels_number_and_says_who_connected_if_it_can() {
    for (segment, trigger, line, direction) in [
        (SegmentKind::Syn, timeout(3), "syn 3 -", Some(Direction::Outgoing)),
        (
            SegmentKind::SynAck,
            Trigger::RequestTimeout { in_a_row: 1 },
            "syn_ack 1 -",
            Some(Direction::Incoming),
        ),
        (SegmentKind::Fin, timeout(2), "fin 2 -", None),
        (SegmentKind::Data, Trigger::Early { rto: RTO }, "data 1 -", None),
    ] {
        let event = again(9000, SynSent, segment, trigger);
        let yielded = tell(&mut tracker(), [Event::Retransmit(event)]);
        assert_eq!(lines(&yielded), [line]);
        assert_eq!(
            (yielded[0].subject().direction, yielded[0].subject().process),
            (direction, None)
        );
    }
}

#[test]
fn what_the_network_below_refused_is_told_as_not_sent() {
    let event = again(204, Established, SegmentKind::Data, timeout(1));
    let event = Event::Retransmit(RetransmitEvent { sent: false, ..event });
    assert!(!retries(&tell(&mut tracker(), [event]))[0].sent);
}

#[test]
fn a_connect_learns_its_port_from_its_first_retry() {
    let mut connect = state(0, 1, Closed, SynSent);
    connect.ends.local.port = 0;
    let end = StateEvent { error: 110, ..state(3000, 1, SynSent, Closed) };
    let yielded = tell(&mut tracker(), [Event::State(connect), syn(1030, 1), Event::State(end)]);
    let ports: Vec<u16> = yielded.iter().map(|one| one.subject().ends.local.port).collect();
    assert_eq!(ports, [0, CLIENT, CLIENT]);
}

#[test]
fn the_time_in_another_state_is_not_the_wait_before_a_retry() {
    let mut tracker = Tracker::new(Reliance { gapless: false, ..RELIANCE });
    let fin = Event::Retransmit(again(900, FinWait1, SegmentKind::Fin, timeout(1)));
    let yielded = tell(&mut tracker, connected().into_iter().chain([fin]));
    assert_eq!(lines(&yielded)[2..], ["fin 1 -"], "a filter has hidden FIN_WAIT_1");
}

#[test]
fn an_orphan_is_given_up_sooner() {
    let told = |orphan| {
        let mut tracker = tracker();
        let sysctls = Sysctls { orphan_retries: 1, ..Sysctls::default() };
        tracker.learn_sysctls(NETNS, sysctls);
        let event = again(612, FinWait1, SegmentKind::Fin, timeout(2));
        let event = Event::Retransmit(RetransmitEvent { orphan, ..event });
        next(retries(&tell(&mut tracker, [event]))[0]).map(|(then, _)| then)
    };
    assert_eq!((told(true), told(false)), (Some(Then::GivesUp), Some(Then::Attempt)));
}
