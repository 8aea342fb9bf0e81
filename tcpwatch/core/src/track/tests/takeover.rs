//! A timewait socket whose birth was missed, from a later event of its timer.

use super::*;

/// The timer of the client's socket ends it in `state`, due so that the state began at 120 ms.
fn timer_ends(at: u64, state: TcpState) -> [Event; 2] {
    let due = Jiffies(tick(120).0 + 15_000);
    [TimerEvent::Cancel, TimerEvent::Expire]
        .map(|timer| Event::Mini(timewait(at, timer, state, due)))
}

#[test]
fn a_missed_time_wait_is_inferred_with_its_beginning_before_its_end() {
    let mut tracker = tracker();
    let mut events = client_until_fin_wait_2();
    events.extend(timer_ends(61_000, TimeWait));
    let yielded = tell(&mut tracker, events);
    let expected = ["FIN_WAIT_2 TIME_WAIT 10 inferred", "TIME_WAIT CLOSED 60880 timer"];
    assert_eq!(lines(&yielded)[4..], expected);
    assert_eq!(changes(&yielded)[4].at, ms(120));
    assert!(yielded.iter().all(|one| one.subject().process == process(42, Via::Connect)));
    assert_eq!(tracker.tally(), Tally { connections: 1, inferred: 1, ..Tally::default() });
    assert_eq!(tracker.open(), 0);
}

#[test]
fn a_missed_time_wait_that_ends_early_has_its_reason() {
    let due = Jiffies(tick(120).0 + 15_000);
    let cancel = timewait(1120, TimerEvent::Cancel, TimeWait, due);
    let mut events = client_until_fin_wait_2();
    events.push(Event::Mini(MiniEvent { ended_by: Some(EarlyEnd::Connect), ..cancel }));
    let yielded = tell(&mut tracker(), events);
    let expected = ["FIN_WAIT_2 TIME_WAIT 10 inferred", "TIME_WAIT CLOSED 1000 reused"];
    assert_eq!(lines(&yielded)[4..], expected);
}

#[test]
fn a_mini_socket_that_still_waits_for_the_fin_goes_on_where_the_full_one_was() {
    let mut tracker = tracker();
    let mut events = client_until_fin_wait_2();
    events.extend(timer_ends(60_200, FinWait2));
    assert_eq!(lines(&tell(&mut tracker, events))[4..], ["FIN_WAIT_2 CLOSED 60090 timer"]);
    assert_eq!(tracker.tally().inferred, 0, "no change was missed");
}

#[test]
fn the_missed_burial_of_the_full_socket_brings_no_second_end() {
    let mut events = client_until_fin_wait_2();
    let [cancel, expire] = timer_ends(61_000, TimeWait);
    events.extend([cancel, expire]);
    let mut tracker = Tracker::new(Reliance { lives: true, ..RELIANCE });
    let yielded = tell(&mut tracker, events);
    let told = lines(&yielded);
    assert_eq!(told.iter().filter(|line| line.starts_with("life")).count(), 1, "{told:?}");
    assert_eq!(told.last().unwrap(), "life normal");
}

#[test]
fn where_a_filter_leaves_gaps_nothing_is_inferred() {
    let mut tracker = Tracker::new(Reliance { gapless: false, ..RELIANCE });
    let mut events = client_until_fin_wait_2();
    events.extend(timer_ends(61_000, TimeWait));
    assert_eq!(lines(&tell(&mut tracker, events)).len(), 4);
    assert_eq!(tracker.tally().inferred, 0);
}

#[test]
fn a_timer_of_an_unknown_socket_tells_nothing() {
    let yielded = tell(&mut tracker(), timer_ends(61_000, TimeWait));
    assert!(yielded.is_empty(), "{yielded:?}");
}
