//! TIME_WAIT and FIN_WAIT_2 after the application has gone, from the timers of timewait sockets.

use super::*;

#[test]
fn time_wait_begins_with_its_timer_and_ends_with_it_and_keeps_its_owner() {
    let mut tracker = tracker();
    let due = Jiffies(tick(120).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(120, TimerEvent::Start, TimeWait, due)));
    events.push(burial(120));
    events.push(Event::Mini(timewait(61_000, TimerEvent::Cancel, TimeWait, due)));
    events.push(Event::Mini(timewait(61_000, TimerEvent::Expire, TimeWait, due)));
    let yielded = tell(&mut tracker, events);
    assert_eq!(
        lines(&yielded),
        [
            "CLOSED SYN_SENT -",
            "SYN_SENT ESTABLISHED 1",
            "ESTABLISHED FIN_WAIT_1 99",
            "FIN_WAIT_1 FIN_WAIT_2 10",
            "FIN_WAIT_2 TIME_WAIT 10",
            "TIME_WAIT CLOSED 60880 timer",
        ]
    );
    assert!(yielded.iter().all(|one| one.subject().process == process(42, Via::Connect)));
    let entered = changes(&yielded)[4];
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
    let yielded = tell(&mut tracker(), events);
    assert_eq!(lines(&yielded)[4..], ["FIN_WAIT_2 TIME_WAIT 1000"]);
}

#[test]
fn an_orphans_end_is_told_when_it_enters_fin_wait_2() {
    let mut events = client_until_fin_wait_2();
    let Some(Event::State(entered)) = events.last_mut() else { panic!("the last change") };
    entered.timer = Some((tick(110), Jiffies(tick(110).0 + 750)));
    let yielded = tell(&mut tracker(), events);
    let lasts = changes(&yielded)[3].ends_at.unwrap().since(ms(110));
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
    let yielded = tell(&mut tracker(), events);
    assert_eq!(lines(&yielded)[4..], ["FIN_WAIT_2 CLOSED 3090 timer"]);
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
    let yielded = tell(&mut tracker(), events);
    assert_eq!(lines(&yielded)[5..], ["TIME_WAIT again 9000", "TIME_WAIT CLOSED 69890 timer"]);
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
    let yielded = tell(&mut tracker, events);
    let told = lines(&yielded);
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
    let yielded = tell(&mut tracker(), events);
    let expected = ["FIN_WAIT_2 TIME_WAIT 198 inferred", "TIME_WAIT CLOSED 1192 reused"];
    assert_eq!(lines(&yielded)[4..], expected);
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
fn what_nobody_could_be_asked_is_asked_again_a_second_later() {
    let mut tracker = tracker();
    let due = Jiffies(tick(110).0 + 15_000);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(timewait(110, TimerEvent::Start, FinWait2, due)));
    tell(&mut tracker, events);
    let question = (NETNS, client_ends());
    assert_eq!(tracker.questions(ms(113), 64), [question]);
    let comes_anyway = tracker.asks_at();
    tracker.unanswered(question, ms(113));
    assert_eq!(tracker.asks_at(), comes_anyway, "not more often while the kernel may be silent");
    assert_eq!(tracker.questions(ms(9000), 64), [question]);
    assert_eq!(tracker.asks_at(), None);
    tracker.unanswered(question, ms(9000));
    let again = tracker.asks_at().unwrap();
    assert!(again >= ms(10_000), "{again:?}");
    assert_eq!(tracker.questions(again, 64), [question]);
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
        cgroup: None,
        state: TimeWait,
        kind: KnownKind::TimeWait,
        timer_left: Some(Duration::from_millis(59_980)),
        seen: ms(140),
        quiet: None,
        queue_full: false,
        inode: 0,
        owner: None,
    };
    let mut yielded = Vec::new();
    tracker.answer(&known, |one| yielded.push(one));
    tracker.answer(&known, |one| yielded.push(one));
    assert_eq!(lines(&yielded), ["FIN_WAIT_2 TIME_WAIT 10"], "told once");
    assert_eq!(changes(&yielded)[0].at, ms(120));
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
    let yielded = tell(&mut tracker(), events);
    assert_eq!(lines(&yielded)[4..], ["FIN_WAIT_2 CLOSED 10 time_wait_overflow"]);
}

#[test]
fn a_socket_that_wants_no_fin_wait_2_resets() {
    let mut events = client_until_fin_wait_2();
    let end = StateEvent { orphaned: true, no_fin_wait: true, ..state(120, 1, FinWait2, Closed) };
    events.push(Event::State(end));
    let yielded = tell(&mut tracker(), events);
    assert_eq!(lines(&yielded)[4..], ["FIN_WAIT_2 CLOSED 10 reset_sent"]);
}

#[test]
fn an_orphan_that_waited_without_a_mini_socket_ends_with_the_reset_it_sent() {
    let mut events = client_until_fin_wait_2();
    events.push(Event::Reset(ResetEvent {
        at: ms(120),
        socket: Some(Cookie(1)),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: Some(FinWait2),
        direction: ResetDirection::Sent,
        answers_no_syn: false,
        why: None,
    }));
    events.push(burial(120));
    let yielded = tell(&mut tracker(), events);
    assert_eq!(lines(&yielded)[5..], ["FIN_WAIT_2 CLOSED 10 reset_sent"]);
}

#[test]
fn without_the_timers_a_received_fin_still_tells_time_wait() {
    let mut tracker = Tracker::new(Reliance { minis: false, ..RELIANCE });
    let mut events = client_until_fin_wait_2();
    events
        .push(Event::State(StateEvent { peer_finished: true, ..state(120, 1, FinWait2, Closed) }));
    assert_eq!(lines(&tell(&mut tracker, events))[4..], ["FIN_WAIT_2 TIME_WAIT 10"]);
}

#[test]
fn without_the_timers_an_orphan_in_fin_wait_2_is_not_shown_closed() {
    let mut tracker = Tracker::new(Reliance { minis: false, ..RELIANCE });
    let mut events = client_until_fin_wait_2();
    events.push(burial(120));
    assert_eq!(lines(&tell(&mut tracker, events)).len(), 4);
}

#[test]
fn timer_events_are_not_told_if_a_hook_on_them_is_missing() {
    let mut tracker = Tracker::new(Reliance { minis: false, ..RELIANCE });
    let yielded = tell(&mut tracker, [Event::Mini(request(10, TimerEvent::Start))]);
    assert!(yielded.is_empty(), "{yielded:?}");
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
        let yielded = tell(&mut tracker(), events);
        assert_eq!(*lines(&yielded).last().unwrap(), format!("{state} CLOSED 390 {reason}"));
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
    let next = MiniEvent {
        socket: Some(Cookie(3)),
        replaces: Some(FinWait2),
        ..timewait(1501, TimerEvent::Start, TimeWait, due)
    };
    events.push(Event::Mini(next));
    let yielded = tell(&mut tracker(), events);
    assert_eq!(lines(&yielded)[5..], ["TIME_WAIT CLOSED 1390 reused", "FIN_WAIT_2 TIME_WAIT -"]);
    assert_eq!(yielded[6].subject().socket, Some(Cookie(3)));
}
