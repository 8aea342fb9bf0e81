//! When sockets that stay in a state are asked about, and how many of one kind; time is the events' own.

use super::*;
use crate::event::{QueueEvent, QueueReading, SocketTimer, SocketTimerKind, TcpInfo, Waiter};

fn watching() -> Tracker {
    let mut tracker = tracker();
    tracker.look_after_sockets();
    tracker
}

fn apply_all(tracker: &mut Tracker, events: &[StateEvent]) {
    for event in events {
        tracker.apply(&Event::State(event.clone()), |_| {});
    }
}

/// The cookies of the sockets that are asked about at this millisecond.
fn asked(tracker: &mut Tracker, at: u64) -> Vec<u64> {
    let sights = tracker.look_at_sockets(ms(at), 1000, |_| true);
    assert_eq!(sights.others, [], "at {at}");
    sights
        .questions
        .into_iter()
        .filter_map(|question| question.socket)
        .map(|socket| socket.0)
        .collect()
}

/// An accepted connection whose peer has sent its FIN at this millisecond.
fn left_open(at: u64, socket: u64, pid: u32) -> [StateEvent; 2] {
    let owner =
        StateEvent { process: process(pid, Via::Io), ..state(at, socket, Established, CloseWait) };
    [state(at.saturating_sub(1), socket, SynRecv, Established), owner]
}

fn waiter(at: u64, socket: u64, state: TcpState) -> Waiter {
    Waiter {
        known: KnownSocket {
            socket: Cookie(socket),
            netns: NETNS,
            ends: if socket == 1 { client_ends() } else { server_ends() },
            state,
            kind: KnownKind::Full,
            timer_left: None,
            seen: ms(at),
            quiet: None,
            queue_full: false,
            inode: 77,
            cgroup: None,
            owner: None,
        },
        timer: None,
        receive_queue: 0,
        send_queue: 0,
        tcp: None,
    }
}

#[test]
fn a_socket_that_stays_is_asked_about_at_each_moment_and_not_between() {
    let mut tracker = watching();
    apply_all(&mut tracker, &left_open(5, 2, 4711));
    let mut moments = Vec::new();
    for at in (0..4_000_000).step_by(500) {
        let at = at + 5;
        if asked(&mut tracker, at) == [2] {
            moments.push((at - 5) / 1000);
        }
    }
    assert_eq!(moments, [1, 10, 60, 600, 3600]);
    assert_eq!(tracker.looks_at(), None, "nothing is left to be done");
}

#[test]
fn a_socket_that_moves_on_is_asked_about_in_its_new_state_alone() {
    let mut tracker = watching();
    apply_all(&mut tracker, &left_open(0, 2, 4711));
    apply_all(&mut tracker, &[state(900, 2, CloseWait, LastAck)]);
    assert_eq!(asked(&mut tracker, 1899), [0; 0]);
    assert_eq!(asked(&mut tracker, 1900), [2], "a second after it has entered LAST_ACK");
    apply_all(&mut tracker, &[state(2000, 2, LastAck, Closed)]);
    assert_eq!(asked(&mut tracker, 4_000_000), [0; 0]);
}

#[test]
fn a_socket_with_a_late_look_is_asked_about_soon_after_its_next_state() {
    let mut tracker = watching();
    apply_all(&mut tracker, &left_open(0, 2, 4711));
    for at in [1000, 10_000, 60_000] {
        assert_eq!(asked(&mut tracker, at), [2], "the next look is minutes away");
    }
    apply_all(&mut tracker, &[state(70_000, 2, CloseWait, LastAck)]);
    assert_eq!(asked(&mut tracker, 71_000), [2]);
    assert_eq!(asked(&mut tracker, 600_000), [2], "ten seconds in LAST_ACK, and not CLOSE_WAIT's");
}

#[test]
fn an_established_connection_and_one_in_time_wait_are_left_alone() {
    let mut tracker = watching();
    apply_all(&mut tracker, &[state(0, 1, Closed, SynSent), state(1, 1, SynSent, Established)]);
    let start = timewait(2, TimerEvent::Start, TimeWait, tick(60_002));
    tracker.apply(&Event::Mini(start), |_| {});
    assert_eq!(asked(&mut tracker, 4_000_000), [0; 0]);
}

#[test]
fn nothing_is_asked_about_unless_it_is_wanted() {
    let mut tracker = tracker();
    apply_all(&mut tracker, &left_open(0, 2, 4711));
    assert_eq!(tracker.looks_at(), None);
    let mut tracker = watching();
    apply_all(&mut tracker, &left_open(0, 2, 4711));
    assert_eq!(tracker.look_at_sockets(ms(1000), 10, |_| false), Sights::default());
}

#[test]
fn above_twenty_of_one_kind_the_others_are_counted() {
    let mut tracker = watching();
    for socket in 10..1234 {
        apply_all(&mut tracker, &left_open(0, socket, 4711));
    }
    apply_all(&mut tracker, &left_open(0, 5000, 1));
    let questions = asked(&mut tracker, 1000);
    assert_eq!(questions.len(), 20 + 1, "the one of another process is of another kind");
    assert!(questions.contains(&5000));
    assert_eq!(asked(&mut tracker, 1999), [0; 0], "more may come");
    let Sights { questions, others } = tracker.look_at_sockets(ms(2000), 1000, |_| true);
    assert_eq!(questions, []);
    let [all] = others.as_slice() else { panic!("{others:?}") };
    assert_eq!((all.count, all.state, all.at), (1204, CloseWait, ms(2000)));
    assert_eq!(all.after, Duration::from_secs(1));
    assert_eq!(all.process.and_then(|owner| owner.pid), Some(4711));
    assert_eq!(asked(&mut tracker, 9999), [0; 0]);
}

#[test]
fn after_a_loss_a_count_is_marked_until_it_is_of_later_changes_only() {
    let mut tracker = watching();
    for socket in 10..40 {
        apply_all(&mut tracker, &left_open(0, socket, 4711));
        apply_all(&mut tracker, &left_open(5000, 100 + socket, 4711));
    }
    tracker.lost(ms(3000));
    let mut doubts = Vec::new();
    for at in [2000, 7000] {
        let sights = tracker.look_at_sockets(ms(at), 1000, |_| true);
        doubts.extend(sights.others.iter().map(|others| (others.count, others.doubtful)));
    }
    assert_eq!(doubts, [(10, true), (10, false)]);
}

#[test]
fn a_round_lasts_for_a_second_from_its_first_socket() {
    let mut tracker = watching();
    for socket in 10..35 {
        apply_all(&mut tracker, &left_open(100 * socket, socket, 4711));
    }
    let questions: Vec<_> = (1900..9000).flat_map(|at| asked(&mut tracker, at)).collect();
    assert_eq!(questions, (10..35).collect::<Vec<_>>(), "ten a second are below twenty");
}

#[test]
fn whoever_looks_late_counts_the_same() {
    let mut tracker = watching();
    for socket in 0..120 {
        apply_all(&mut tracker, &left_open(20 * socket, 10 + socket, 4711));
    }
    let sights = tracker.look_at_sockets(ms(9999), 1000, |_| true);
    let counts: Vec<_> = sights.others.iter().map(|others| (others.at, others.count)).collect();
    assert_eq!(
        counts,
        [(ms(2000), 30), (ms(3000), 30)],
        "fifty a second, twenty of them asked about"
    );
    assert_eq!(sights.questions.len(), 60);
}

#[test]
fn looks_that_sockets_leave_behind_are_dropped() {
    let mut tracker = watching();
    for socket in 10..10_000 {
        apply_all(&mut tracker, &left_open(0, socket, 4711));
        apply_all(
            &mut tracker,
            &[state(1, socket, CloseWait, LastAck), state(2, socket, LastAck, Closed)],
        );
    }
    assert_eq!(asked(&mut tracker, 3), [0; 0]);
    assert_eq!(tracker.looks_at(), None);
}

#[test]
fn an_answer_about_another_state_or_another_socket_is_no_line() {
    let mut tracker = watching();
    apply_all(&mut tracker, &left_open(0, 2, 4711));
    assert!(!tracker.still(&waiter(1000, 2, LastAck), |yielded| panic!("{yielded:?}")));
    assert!(!tracker.still(&waiter(1000, 3, CloseWait), |yielded| panic!("{yielded:?}")));
    let mut lines = Vec::new();
    assert!(tracker.still(&waiter(1000, 2, CloseWait), |yielded| lines.push(yielded)));
    let [TrackedEvent::Still(still)] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(still.in_state, Some(Duration::from_secs(1)));
    assert_eq!(still.wait.waits_for, Some(WaitsFor::Close));
    assert_eq!(still.subject.process, process(4711, Via::Io));
}

#[test]
fn a_half_open_connection_that_stays_is_asked_about_by_its_ends_and_then_has_a_cookie() {
    let mut tracker = watching();
    tracker.apply(&Event::Mini(request(0, TimerEvent::Start)), |_| {});
    let questions = tracker.look_at_sockets(ms(1000), 10, |_| true).questions;
    let ends = server_ends();
    assert_eq!(questions, [StayQuestion { netns: NETNS, ends, socket: None }]);
    let timer = SocketTimer {
        kind: SocketTimerKind::Retransmit,
        left: Duration::from_millis(20),
        tries: 0,
    };
    let mut answer = waiter(1000, 2, SynRecv);
    (answer.known.kind, answer.timer) = (KnownKind::Request, Some(timer));
    let mut lines = Vec::new();
    tracker.learn_sysctls(NETNS, Sysctls::default());
    assert!(tracker.still(&answer, |yielded| lines.push(yielded)));
    let [TrackedEvent::Still(still)] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(still.wait.waits_for, Some(WaitsFor::HandshakeAck));
    assert_eq!(still.subject.socket, Some(Cookie(2)));
    let GivesUp::In(window) = still.wait.gives_up else { panic!("{still:?}") };
    assert_eq!(window.promise, Duration::from_millis(20 + 62_000), "63 s in all");
    let questions = tracker.look_at_sockets(ms(10_000), 10, |_| true).questions;
    assert_eq!(questions, [StayQuestion { netns: NETNS, ends, socket: Some(Cookie(2)) }]);
}

#[test]
fn of_a_socket_that_was_there_before_it_is_said_how_long_at_least() {
    let mut tracker = watching();
    tracker.learn(&[waiter(0, 2, CloseWait).known]);
    assert_eq!(asked(&mut tracker, 9999), [0; 0], "nothing new: it was known to be there");
    assert_eq!(asked(&mut tracker, 10_000), [2]);
    let mut answer = waiter(10_000, 2, CloseWait);
    answer.known.quiet = Some(Duration::from_mins(5));
    answer.tcp = Some(TcpInfo {
        rto: Duration::from_millis(204),
        backoff: 0,
        in_flight: 0,
        unsent: Some(0),
        window: Some(65_535),
        bytes_received: None,
        bytes_sent: None,
        rtt: None,
    });
    let mut lines = Vec::new();
    assert!(tracker.still(&answer, |yielded| lines.push(yielded)));
    let [TrackedEvent::Still(still)] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((still.in_state, still.at_least), (None, Some(Duration::from_mins(5))));
}

/// A connection takes the last place of a listener with a backlog of 1, socket 3, at this millisecond; or it is met
/// by a full queue.
fn queue_of_two(at: u64, waiting: u32, accepted: bool) -> Event {
    let bound_to = server_ends().local;
    Event::Queue(QueueEvent {
        at: ms(at),
        socket: None,
        netns: NETNS,
        ends: server_ends(),
        queue: QueueReading {
            listener: Some(Cookie(3)),
            bound_to,
            waiting,
            most: 1,
            half_open: 0,
            dropped: 0,
            ack_dropped: false,
            accepted,
        },
    })
}

fn listens(tracker: &mut Tracker) {
    apply_all(tracker, &[StateEvent { ends: listening(), ..state(0, 3, Closed, Listen) }]);
}

fn listening() -> Endpoints {
    let nobody = Endpoint { address: [0, 0, 0, 0].into(), port: 0 };
    Endpoints { local: server_ends().local, remote: nobody }
}

/// The kernel's answer about that listener.
fn full(at: u64, waiting: u32) -> Waiter {
    let waiter = waiter(at, 3, Listen);
    let known = KnownSocket { ends: listening(), queue_full: waiting > 1, ..waiter.known };
    Waiter { known, receive_queue: waiting, send_queue: 1, ..waiter }
}

const TWO: AcceptQueue = AcceptQueue { waiting: 2, most: 1 };

fn told(tracker: &mut Tracker, answer: &Waiter) -> Option<Still> {
    let mut told = None;
    tracker.still(answer, |news| {
        if let TrackedEvent::Still(still) = news {
            told = Some(*still);
        }
    });
    told
}

#[test]
fn a_listener_is_asked_about_while_its_accept_queue_stays_full() {
    let mut tracker = watching();
    listens(&mut tracker);
    assert_eq!(tracker.looks_at(), None, "it has nothing to wait for");
    tracker.apply(&queue_of_two(500, 1, true), |_| {});
    // Another reading while it is full moves nothing.
    tracker.apply(&queue_of_two(900, 2, false), |_| {});
    assert_eq!(asked(&mut tracker, 1499), [0; 0]);
    assert_eq!(asked(&mut tracker, 1500), [3]);
    let still = told(&mut tracker, &full(1500, 2)).expect("it is still full");
    assert_eq!(
        (still.wait.waits_for, still.in_state),
        (Some(WaitsFor::Accept), Some(Duration::from_millis(1500)))
    );
    let queue = StillFull { queue: TWO, lasts: Duration::from_secs(1), or_longer: false };
    assert_eq!(still.queue, Some(queue));
    assert_eq!((still.wait.unread, still.wait.unsent), (None, None), "connections are no bytes");
    assert_eq!(asked(&mut tracker, 10_500), [3]);
    assert_eq!(told(&mut tracker, &full(10_500, 1)), None, "the application has accepted one");
    assert_eq!(asked(&mut tracker, 4_000_000), [0; 0]);
}

#[test]
fn an_accept_queue_that_was_filled_again_is_full_since_then() {
    let mut tracker = watching();
    listens(&mut tracker);
    tracker.apply(&queue_of_two(500, 1, true), |_| {});
    tracker.apply(&queue_of_two(1200, 1, true), |_| {});
    assert_eq!(asked(&mut tracker, 2199), [0; 0]);
    assert_eq!(asked(&mut tracker, 2200), [3]);
    let still = told(&mut tracker, &full(2200, 2)).expect("it is full");
    assert_eq!(still.queue.expect("full").lasts, Duration::from_secs(1));
}

#[test]
fn an_accept_queue_that_was_full_before_is_so_for_longer_perhaps() {
    let mut tracker = watching();
    tracker.learn(&[full(0, 2).known]);
    assert_eq!(asked(&mut tracker, 9999), [0; 0]);
    assert_eq!(asked(&mut tracker, 10_000), [3]);
    let queue = told(&mut tracker, &full(10_000, 2)).expect("it is still full").queue;
    let expected = StillFull { queue: TWO, lasts: Duration::from_secs(10), or_longer: true };
    assert_eq!(queue, Some(expected));
    tracker.learn(&[full(0, 1).known]);
    assert_eq!(told(&mut tracker, &full(11_000, 2)), None, "it was not full when it was looked at");
}
