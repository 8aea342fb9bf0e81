//! What the tracker makes of sequences of events, as the kernel was seen to send them.

use std::time::Duration;

use super::*;
use crate::event::{
    Direction, EarlyEnd, Endpoint, Endpoints, Jiffies, MiniEvent, MiniKind, Process, StateEvent,
    TimerEvent, Via, process::Comm,
};
use TcpState::{
    CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent, TimeWait,
};

const CLIENT: u16 = 40_000;
const SERVER: u16 = 80;
const NETNS: Netns = Netns(7);
const RATE: TickRate = TickRate(250);
/// Tick 1,000,000 is at 0 s of the test's clock.
const TICK_ZERO: u64 = 1_000_000;

fn ms(milliseconds: u64) -> KernelTime {
    KernelTime(1_000_000_000_000 + milliseconds * 1_000_000)
}

fn tick(milliseconds: u64) -> Jiffies {
    Jiffies(TICK_ZERO + milliseconds / 4)
}

fn end(port: u16) -> Endpoint {
    Endpoint { address: [127, 0, 0, 1].into(), port }
}

fn client_ends() -> Endpoints {
    Endpoints { local: end(CLIENT), remote: end(SERVER) }
}

fn server_ends() -> Endpoints {
    Endpoints { local: end(SERVER), remote: end(CLIENT) }
}

#[expect(clippy::unnecessary_wraps, reason = "owners are optional wherever this is compared")]
fn process(pid: u32, via: Via) -> Option<Process> {
    Some(Process { pid, comm: Comm::from_text("test"), via })
}

/// A state change of socket `socket`.
fn state(at: u64, socket: u64, from: TcpState, to: TcpState) -> StateEvent {
    StateEvent {
        at: ms(at),
        socket: Cookie(socket),
        netns: NETNS,
        ends: if socket == 1 { client_ends() } else { server_ends() },
        from,
        to,
        error: 0,
        orphaned: false,
        peer_finished: false,
        process: None,
        no_fin_wait: false,
        fast_open: false,
        timer: None,
        kept_back: false,
    }
}

/// A timer event of the client's timewait socket.
fn timewait(at: u64, timer: TimerEvent, state: TcpState, due: Jiffies) -> MiniEvent {
    MiniEvent {
        at: ms(at),
        socket: Some(Cookie(1)),
        netns: NETNS,
        ends: client_ends(),
        kind: MiniKind::TimeWait,
        state,
        timer,
        due,
        tick: tick(at),
        ended_by: None,
    }
}

/// A timer event of the server's request socket.
fn request(at: u64, timer: TimerEvent) -> MiniEvent {
    MiniEvent {
        socket: None,
        ends: server_ends(),
        kind: MiniKind::Request,
        ..timewait(at, timer, SynRecv, tick(at + 1000))
    }
}

fn tracker() -> Tracker {
    Tracker::new(Reliance { gapless: true, minis: true, rate: RATE })
}

fn listening(tracker: &mut Tracker, pid: u32) {
    let mut event = state(0, 9, Closed, Listen);
    event.ends.remote = Endpoint { address: [0, 0, 0, 0].into(), port: 0 };
    event.process = process(pid, Via::Listen);
    tracker.apply(&Event::State(event), |_| {});
}

/// Applies events and settles everything.
fn tell(tracker: &mut Tracker, events: impl IntoIterator<Item = Event>) -> Vec<News> {
    let mut news = Vec::new();
    for event in events {
        tracker.apply(&event, |one| news.push(one));
    }
    tracker.settle(KernelTime(u64::MAX), &mut |one| news.push(one));
    news
}

fn changes(news: &[News]) -> Vec<&Change> {
    news.iter()
        .filter_map(|one| match one {
            News::Change(change) => Some(change),
            News::Restart(_) => None,
        })
        .collect()
}

/// `FROM TO after-ms reason`
fn lines(news: &[News]) -> Vec<String> {
    news.iter()
        .map(|one| {
            let after = |after: Option<Duration>| {
                after.map_or("-".to_owned(), |after| after.as_millis().to_string())
            };
            match one {
                News::Change(change) => {
                    let mut line =
                        format!("{} {} {}", change.from, change.to, after(change.in_state));
                    if let Some(reason) = change.reason {
                        line = format!("{line} {}", reason.word());
                    }
                    if change.inferred {
                        line += " inferred";
                    }
                    line
                }
                News::Restart(restart) => {
                    let word = if restart.inferred { " inferred" } else { "" };
                    format!("{} again {}{word}", restart.state, after(restart.in_state))
                }
            }
        })
        .collect()
}

/// The client connects at 0 ms, closes at 100 ms; its FIN is acknowledged at 110 ms.
fn client_until_fin_wait_2() -> Vec<Event> {
    let mut connect = state(0, 1, Closed, SynSent);
    connect.process = process(42, Via::Connect);
    vec![
        Event::State(connect),
        Event::State(state(1, 1, SynSent, Established)),
        Event::State(state(100, 1, Established, FinWait1)),
        Event::State(state(110, 1, FinWait1, FinWait2)),
    ]
}

fn burial(at: u64) -> Event {
    Event::State(StateEvent { orphaned: true, ..state(at, 1, FinWait2, Closed) })
}

#[test]
fn time_wait_begins_with_its_timer_and_ends_with_it_and_keeps_its_owner() {
    let mut tracker = tracker();
    let due = Jiffies(tick(120).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(120, TimerEvent::Start, TimeWait, due)));
    events.push(burial(120));
    events.push(Event::Mini(timewait(61_000, TimerEvent::Cancel, TimeWait, due)));
    events.push(Event::Mini(timewait(61_000, TimerEvent::Expire, TimeWait, due)));
    let news = tell(&mut tracker, events);
    assert_eq!(
        lines(&news),
        [
            "CLOSED SYN_SENT -",
            "SYN_SENT ESTABLISHED 1",
            "ESTABLISHED FIN_WAIT_1 99",
            "FIN_WAIT_1 FIN_WAIT_2 10",
            "FIN_WAIT_2 TIME_WAIT 10",
            "TIME_WAIT CLOSED 60880 timer",
        ]
    );
    assert!(news.iter().all(|one| one.subject().process == process(42, Via::Connect)));
    let entered = changes(&news)[4];
    let ends_at = entered.ends_at.unwrap().since(ms(120));
    assert!((Duration::from_mins(1)..=Duration::from_millis(62_052)).contains(&ends_at));
    assert_eq!(tracker.open(), 0);
}

#[test]
fn an_orphan_stays_in_fin_wait_2_until_the_late_fin() {
    let due = Jiffies(tick(110).0 + 750);
    let fresh = Jiffies(tick(1110).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    events.push(burial(110));
    events.push(Event::Mini(timewait(1110, TimerEvent::Cancel, FinWait2, due)));
    events.push(Event::Mini(timewait(1110, TimerEvent::Start, TimeWait, fresh)));
    let news = tell(&mut tracker(), events);
    assert_eq!(lines(&news)[4..], ["FIN_WAIT_2 TIME_WAIT 1000"]);
}

#[test]
fn an_orphans_end_is_told_when_it_enters_fin_wait_2() {
    let mut events = client_until_fin_wait_2();
    let Some(Event::State(entered)) = events.last_mut() else { panic!("the last change") };
    entered.timer = Some((tick(110), Jiffies(tick(110).0 + 750)));
    let news = tell(&mut tracker(), events);
    let lasts = changes(&news)[3].ends_at.unwrap().since(ms(110));
    assert!((Duration::from_secs(3)..Duration::from_millis(3260)).contains(&lasts), "{lasts:?}");
}

#[test]
fn an_orphan_without_a_fin_ends_by_the_timer() {
    let due = Jiffies(tick(110).0 + 750);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    events.push(burial(110));
    events.push(Event::Mini(timewait(3200, TimerEvent::Cancel, FinWait2, due)));
    events.push(Event::Mini(timewait(3200, TimerEvent::Expire, FinWait2, due)));
    let news = tell(&mut tracker(), events);
    assert_eq!(lines(&news)[4..], ["FIN_WAIT_2 CLOSED 3090 timer"]);
}

#[test]
fn a_timer_that_is_moved_in_time_wait_is_told_and_does_not_restart_the_states_clock() {
    let (first, second) = (Jiffies(tick(110).0 + 15_000), Jiffies(tick(9110).0 + 15_000));
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, TimeWait, first)));
    events.push(Event::Mini(timewait(9110, TimerEvent::Cancel, TimeWait, first)));
    events.push(Event::Mini(timewait(9110, TimerEvent::Start, TimeWait, second)));
    events.push(Event::Mini(timewait(70_000, TimerEvent::Cancel, TimeWait, second)));
    events.push(Event::Mini(timewait(70_000, TimerEvent::Expire, TimeWait, second)));
    let news = tell(&mut tracker(), events);
    assert_eq!(lines(&news)[5..], ["TIME_WAIT again 9000", "TIME_WAIT CLOSED 69890 timer"]);
}

#[test]
fn a_move_inside_the_bucket_is_put_right_at_the_end() {
    let due = Jiffies(tick(110).0 + 15_000);
    // The FIN came 200 ms later; the kernel only rewrote `expires`, which tells it to a tick.
    let rewritten = Jiffies(tick(310).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    events.push(Event::Mini(timewait(61_000, TimerEvent::Cancel, TimeWait, rewritten)));
    events.push(Event::Mini(timewait(61_000, TimerEvent::Expire, TimeWait, rewritten)));
    let mut tracker = tracker();
    let news = tell(&mut tracker, events);
    let told = lines(&news);
    assert_eq!(told[4..], ["FIN_WAIT_2 TIME_WAIT 198 inferred", "TIME_WAIT CLOSED 60692 timer"]);
    assert_eq!(tracker.tally().inferred, 0, "the kernel was silent, nothing was lost");
}

#[test]
fn a_move_inside_the_bucket_is_put_right_when_the_four_tuple_is_reused() {
    let due = Jiffies(tick(110).0 + 15_000);
    let rewritten = Jiffies(tick(310).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    let cancel = timewait(1500, TimerEvent::Cancel, TimeWait, rewritten);
    events.push(Event::Mini(MiniEvent { ended_by: Some(EarlyEnd::Connect), ..cancel }));
    let news = tell(&mut tracker(), events);
    let expected = ["FIN_WAIT_2 TIME_WAIT 198 inferred", "TIME_WAIT CLOSED 1192 reused"];
    assert_eq!(lines(&news)[4..], expected);
}

#[test]
fn the_kernel_is_asked_while_its_timer_may_be_silent_and_not_longer() {
    let mut tracker = tracker();
    let due = Jiffies(tick(110).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    tell(&mut tracker, events);
    assert_eq!(tracker.asks_at(), Some(ms(112)));
    assert_eq!(tracker.questions(ms(113), 64), [(NETNS, client_ends())]);
    assert!(tracker.questions(ms(113), 64).is_empty(), "not twice at once");
    let mut last = ms(113);
    while let Some(at) = tracker.asks_at() {
        assert_eq!(tracker.questions(at, 64), [(NETNS, client_ends())]);
        last = at;
    }
    let silent = last.since(ms(110));
    let bucket = Duration::from_millis(2048);
    assert!(silent <= bucket + Duration::from_millis(8), "once more after it, at {silent:?}");
}

#[test]
fn a_question_that_is_late_is_still_asked() {
    let mut tracker = tracker();
    let due = Jiffies(tick(110).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    tell(&mut tracker, events);
    assert_eq!(tracker.questions(ms(9000), 64), [(NETNS, client_ends())]);
}

#[test]
fn a_short_fin_timeout_needs_no_questions() {
    let mut tracker = tracker();
    let due = Jiffies(tick(110).0 + 750);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    tell(&mut tracker, events);
    assert_eq!(tracker.asks_at(), None);
}

#[test]
fn an_answer_tells_when_time_wait_was_entered() {
    let mut tracker = tracker();
    let due = Jiffies(tick(110).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    tell(&mut tracker, events);
    let known = KnownSocket {
        socket: Cookie(1),
        netns: NETNS,
        ends: client_ends(),
        state: TimeWait,
        kind: KnownKind::TimeWait,
        timer_left: Some(Duration::from_millis(59_980)),
        seen: ms(140),
        inode: 0,
        owner: None,
    };
    let mut news = Vec::new();
    tracker.answer(&known, |one| news.push(one));
    tracker.answer(&known, |one| news.push(one));
    assert_eq!(lines(&news), ["FIN_WAIT_2 TIME_WAIT 10"], "told once");
    assert_eq!(news[0].at(), ms(120));
    let late = Jiffies(due.0 + 2);
    let end = [TimerEvent::Cancel, TimerEvent::Expire]
        .map(|timer| Event::Mini(timewait(60_900, timer, TimeWait, late)));
    assert_eq!(lines(&tell(&mut tracker, end)), ["TIME_WAIT CLOSED 60780 timer"]);
}

#[test]
fn a_full_socket_that_closes_without_a_mini_socket_had_no_room_for_time_wait() {
    let mut events = client_until_fin_wait_2();
    let end = StateEvent { peer_finished: true, ..state(120, 1, FinWait2, Closed) };
    events.push(Event::State(end));
    let news = tell(&mut tracker(), events);
    assert_eq!(lines(&news)[4..], ["FIN_WAIT_2 CLOSED 10 time_wait_overflow"]);
}

#[test]
fn a_socket_that_wants_no_fin_wait_2_resets() {
    let mut events = client_until_fin_wait_2();
    let end = StateEvent { orphaned: true, no_fin_wait: true, ..state(120, 1, FinWait2, Closed) };
    events.push(Event::State(end));
    let news = tell(&mut tracker(), events);
    assert_eq!(lines(&news)[4..], ["FIN_WAIT_2 CLOSED 10 reset_sent"]);
}

#[test]
fn without_the_timers_a_received_fin_still_tells_time_wait() {
    let mut tracker = Tracker::new(Reliance { gapless: true, minis: false, rate: RATE });
    let mut events = client_until_fin_wait_2();
    events
        .push(Event::State(StateEvent { peer_finished: true, ..state(120, 1, FinWait2, Closed) }));
    assert_eq!(lines(&tell(&mut tracker, events))[4..], ["FIN_WAIT_2 TIME_WAIT 10"]);
}

#[test]
fn without_the_timers_an_orphan_in_fin_wait_2_is_not_shown_closed() {
    let mut tracker = Tracker::new(Reliance { gapless: true, minis: false, rate: RATE });
    let mut events = client_until_fin_wait_2();
    events.push(burial(120));
    assert_eq!(lines(&tell(&mut tracker, events)).len(), 4);
}

#[test]
fn timer_events_are_not_told_if_a_hook_on_them_is_missing() {
    let mut tracker = Tracker::new(Reliance { gapless: true, minis: false, rate: RATE });
    let news = tell(&mut tracker, [Event::Mini(request(10, TimerEvent::Start))]);
    assert!(news.is_empty(), "{news:?}");
}

#[test]
fn what_ended_time_wait_early_is_its_reason() {
    for (cause, state, reason) in [
        (EarlyEnd::ResetReceived, TimeWait, "reset_received"),
        (EarlyEnd::SegmentReceived, TimeWait, "reused"),
        (EarlyEnd::SegmentReceived, FinWait2, "reset_sent"),
        (EarlyEnd::Connect, TimeWait, "reused"),
        (EarlyEnd::Killed, TimeWait, "killed"),
        (EarlyEnd::NetnsGone, TimeWait, "netns_gone"),
    ] {
        let due = Jiffies(tick(110).0 + 15_000);
        let mut events = client_until_fin_wait_2();
        events.push(Event::Mini(timewait(110, TimerEvent::Start, state, due)));
        let cancel = timewait(500, TimerEvent::Cancel, state, due);
        events.push(Event::Mini(MiniEvent { ended_by: Some(cause), ..cancel }));
        let news = tell(&mut tracker(), events);
        assert_eq!(*lines(&news).last().unwrap(), format!("{state} CLOSED 390 {reason}"));
    }
}

#[test]
fn a_four_tuple_that_is_reused_at_once_is_two_lives() {
    let due = Jiffies(tick(110).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, TimeWait, due)));
    events.push(burial(110));
    let cancel = timewait(1500, TimerEvent::Cancel, TimeWait, due);
    events.push(Event::Mini(MiniEvent { ended_by: Some(EarlyEnd::Connect), ..cancel }));
    // The next connection on the same four-tuple lives for less than a millisecond.
    let next =
        MiniEvent { socket: Some(Cookie(3)), ..timewait(1501, TimerEvent::Start, TimeWait, due) };
    events.push(Event::Mini(next));
    let news = tell(&mut tracker(), events);
    assert_eq!(lines(&news)[5..], ["TIME_WAIT CLOSED 1390 reused", "FIN_WAIT_2 TIME_WAIT -"]);
    assert_eq!(news[6].subject().socket, Some(Cookie(3)));
}

#[test]
fn a_half_open_connection_begins_with_the_syn_and_has_its_listeners_owner() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let news = tell(
        &mut tracker,
        [
            Event::Mini(request(10, TimerEvent::Start)),
            Event::State(state(40, 2, Listen, SynRecv)),
            Event::Mini(request(40, TimerEvent::Cancel)),
            Event::State(state(40, 2, SynRecv, Established)),
        ],
    );
    assert_eq!(lines(&news), ["LISTEN SYN_RECV -", "SYN_RECV ESTABLISHED 30"]);
    assert!(news.iter().all(|one| one.subject().process == process(80, Via::Listen)));
    assert!(news.iter().all(|one| one.subject().direction == Some(Direction::Incoming)));
    assert_eq!(tracker.tally().connections, 1, "request and socket are one connection");
}

#[test]
fn an_accepted_socket_that_is_met_on_leaving_syn_recv_was_half_open_since_its_syn() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let news = tell(
        &mut tracker,
        [
            Event::Mini(request(10, TimerEvent::Start)),
            Event::Mini(request(40, TimerEvent::Cancel)),
            Event::State(state(40, 2, SynRecv, Established)),
        ],
    );
    assert_eq!(lines(&news), ["LISTEN SYN_RECV -", "SYN_RECV ESTABLISHED 30"]);
    assert_eq!(tracker.tally().connections, 1, "request and socket are one connection");
}

#[test]
fn a_handshake_without_a_request_socket_was_a_fast_open_or_a_syn_cookie() {
    for (fast_open, handshake, half_open) in [
        (true, Handshake::FastOpen, Some(Duration::from_millis(30))),
        (false, Handshake::SynCookie, None),
    ] {
        let done = StateEvent { fast_open, ..state(40, 2, SynRecv, Established) };
        let begun = state(10, 2, Listen, SynRecv);
        let news = tell(&mut tracker(), [Event::State(begun), Event::State(done)]);
        let change = changes(&news)[1];
        assert_eq!((change.handshake, change.in_state), (Some(handshake), half_open));
    }
}

#[test]
fn a_repeated_syn_or_syn_ack_does_not_end_a_half_open_connection() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let news = tell(
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
    assert_eq!(lines(&news), ["LISTEN SYN_RECV -", "SYN_RECV CLOSED 4000 timed_out"]);
}

#[test]
fn a_half_open_connection_whose_listener_is_gone_ends_for_that() {
    let news = tell(
        &mut tracker(),
        [
            Event::Mini(request(0, TimerEvent::Start)),
            Event::Mini(request(1000, TimerEvent::Cancel)),
            Event::Mini(request(1000, TimerEvent::Expire)),
        ],
    );
    assert_eq!(lines(&news)[1..], ["SYN_RECV CLOSED 1000 listener_closed"]);
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
    for news in tell(&mut tracker, events) {
        let expected = if news.subject().socket == Some(Cookie(1)) { 42 } else { 80 };
        assert_eq!(news.subject().process.map(|process| process.pid), Some(expected));
    }
}

#[test]
fn a_gap_in_the_chain_of_states_is_inferred_and_counted() {
    let mut tracker = tracker();
    let news = tell(
        &mut tracker,
        [
            Event::State(state(0, 1, Closed, SynSent)),
            Event::State(state(9, 1, Established, FinWait1)),
        ],
    );
    assert_eq!(
        lines(&news),
        ["CLOSED SYN_SENT -", "SYN_SENT ESTABLISHED - inferred", "ESTABLISHED FIN_WAIT_1 -"]
    );
    assert_eq!(tracker.tally().inferred, 1);
}

#[test]
fn a_filter_by_state_leaves_gaps_that_are_no_losses() {
    let mut tracker = Tracker::new(Reliance { gapless: false, minis: true, rate: RATE });
    let news = tell(
        &mut tracker,
        [
            Event::State(state(0, 1, Closed, SynSent)),
            Event::State(state(9, 1, Established, CloseWait)),
            Event::State(state(20, 1, CloseWait, LastAck)),
        ],
    );
    let expected = ["CLOSED SYN_SENT -", "ESTABLISHED CLOSE_WAIT -", "CLOSE_WAIT LAST_ACK 11"];
    assert_eq!(lines(&news), expected);
}

#[test]
fn a_change_that_raced_with_the_snapshot_is_no_gap() {
    let mut tracker = tracker();
    tracker.learn(&[KnownSocket {
        socket: Cookie(1),
        netns: NETNS,
        ends: client_ends(),
        state: FinWait1,
        kind: KnownKind::Full,
        timer_left: None,
        seen: ms(20),
        inode: 5,
        owner: process(42, Via::Procfs),
    }]);
    let news = tell(
        &mut tracker,
        [
            Event::State(state(10, 1, Established, FinWait1)),
            Event::State(state(30, 1, FinWait1, FinWait2)),
        ],
    );
    assert_eq!(lines(&news), ["ESTABLISHED FIN_WAIT_1 -", "FIN_WAIT_1 FIN_WAIT_2 20"]);
    assert_eq!(tracker.tally().inferred, 0);
    assert_eq!(news[0].subject().process, process(42, Via::Procfs));
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
        let news = tell(&mut tracker(), [Event::State(event)]);
        assert_eq!(lines(&news), [format!("{from} CLOSED - {reason}")]);
    }
}

#[test]
fn listeners_that_share_a_port_and_have_different_owners_leave_the_owner_open() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let mut second = state(0, 10, Closed, Listen);
    second.process = process(90, Via::Listen);
    tracker.apply(&Event::State(second), |_| {});
    let news = tell(&mut tracker, [Event::State(state(1, 2, Listen, SynRecv))]);
    assert_eq!(news[0].subject().process, None);
}

#[test]
fn a_socket_that_vanished_without_a_word_is_closed_by_comparison() {
    let mut tracker = tracker();
    tell(&mut tracker, client_until_fin_wait_2());
    let mut news = Vec::new();
    tracker.reconcile(ms(200), |_| None, |one| news.push(one));
    assert!(news.is_empty(), "its namespace was not looked at");
    tracker.reconcile(ms(200), |_| Some(false), |one| news.push(one));
    assert_eq!(lines(&news), ["FIN_WAIT_2 CLOSED 90 unknown inferred"]);
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
