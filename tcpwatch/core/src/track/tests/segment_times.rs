//! The times of a segment that is sent again, and what was expected of them.

use super::*;
use crate::event::SegmentTimes;

/// 204 ms in ticks of 4 ms.
const RTO: u32 = 51;
/// The kernel's tick at 0 ms.
const TICK: u64 = 1_000_000;

fn again(at: u64, segment: SegmentKind, in_a_row: u8, times: Option<(Option<u64>, u64)>) -> Event {
    Event::Retransmit(RetransmitEvent {
        at: ms(at),
        socket: Some(Cookie(1)),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        state: if segment == SegmentKind::Syn { SynSent } else { Established },
        segment,
        trigger: Trigger::Timeout { in_a_row, rto: RTO << (in_a_row - 1) },
        user_timeout: None,
        syn_retries: None,
        orphan: false,
        sent: true,
        counted: false,
        timer: None,
        times: times.map(|(sent, due)| SegmentTimes {
            sent_before: sent.map(ms),
            due: Jiffies(TICK + due / 4),
            tick: Jiffies(TICK + at / 4),
            seq: 7,
        }),
    })
}

fn told(event: Event) -> TrackedRetransmit {
    let connect = [
        Event::State(state(0, 1, Closed, SynSent)),
        Event::State(state(1, 1, SynSent, Established)),
    ];
    let events = match &event {
        Event::Retransmit(again) if again.segment == SegmentKind::Syn => connect[..1].to_vec(),
        _ => connect.to_vec(),
    };
    let yielded = tell(&mut tracker(), events.into_iter().chain([event]));
    let Some(TrackedEvent::Retransmit(again)) = yielded.last() else {
        panic!("a retry: {yielded:?}")
    };
    again.clone()
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn data_are_counted_from_their_own_sending() {
    let again = told(again(1300, SegmentKind::Data, 1, Some((Some(1090), 1296))));
    assert_eq!((again.since_last, again.expected), (Some(millis(210)), Some(millis(204))));
}

#[test]
fn a_timer_that_another_segment_moved_is_expected_when_it_was_due() {
    let again = told(again(1300, SegmentKind::Data, 1, Some((Some(1000), 1296))));
    assert_eq!((again.since_last, again.expected), (Some(millis(300)), Some(millis(296))));
}

#[test]
fn a_syn_that_is_sent_at_once_after_a_challenge_was_not_expected_later() {
    let again = told(again(16, SegmentKind::Syn, 1, Some((Some(0), 8))));
    assert_eq!((again.since_last, again.expected), (Some(millis(16)), Some(millis(8))));
}

#[test]
fn a_syn_that_was_sent_long_after_connect_is_counted_from_its_sending() {
    let again = told(again(710, SegmentKind::Syn, 1, Some((Some(500), 704))));
    assert_eq!((again.since_last, again.expected), (Some(millis(210)), Some(millis(204))));
}

#[test]
fn a_segment_whose_sending_is_not_known_has_no_time_since() {
    let again = told(again(1300, SegmentKind::Data, 1, Some((None, 1296))));
    assert_eq!((again.since_last, again.expected), (None, Some(millis(204))));
}
