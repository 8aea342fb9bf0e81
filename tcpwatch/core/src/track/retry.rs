//! Retransmissions: from the kernel's report of one to its place in the schedule.

use std::time::Duration;

use super::{Life, Subject, TrackedEvent, TrackedRetransmit, Tracker, key};
use crate::{
    event::{Direction, KernelTime, RetransmitEvent, SegmentKind, TcpState, Trigger},
    timing::{self, Next, RtoOptions, Schedule, SynOptions, Sysctls, wheel::TickRate},
};

/// A run of retransmissions without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    segment: SegmentKind,
    /// Sequence number, if it is known.
    seq: Option<u32>,
    at: KernelTime,
    /// Timeouts in a row; of a half-open connection, runs of its timer.
    in_a_row: u8,
    /// A tail loss probe was first.
    probed: bool,
    /// The latest attempt, from 1.
    number: u32,
}

/// A SYN that comes again within this time of the SYN+ACK adds nothing: both crossed. The kernel
/// itself answers repeated SYNs no faster (`tcp_invalid_ratelimit`, 500 ms).
const CROSSED: Duration = Duration::from_millis(500);

impl Retry {
    /// The run that this retransmission continues or begins; `None` if it is the same attempt, sent
    /// twice.
    fn next(before: Option<Self>, event: &RetransmitEvent, rate: TickRate) -> Option<Self> {
        let before = before.filter(|before| before.segment == event.segment);
        let (segment, at) = (event.segment, event.at);
        let seq = event.times.map(|times| times.seq);
        Some(match event.trigger {
            // The kernel counts; a tail loss probe came first and is not in its count. One whole
            // timeout begins with it, so that a probe long before was answered.
            Trigger::Timeout { in_a_row, rto } => {
                let reach = rate.duration(2 * u64::from(rto));
                let goes_on = |before: &Self| {
                    before.in_a_row + 1 == in_a_row && (in_a_row > 1 || at.since(before.at) < reach)
                };
                let probed = before.is_some_and(|before| before.probed && goes_on(&before));
                let number = u32::from(in_a_row) + u32::from(probed);
                Self { segment, seq, at, in_a_row, probed, number }
            }
            Trigger::Early { .. } => {
                Self { segment, seq, at, in_a_row: 0, probed: true, number: 1 }
            }
            Trigger::RequestTimeout { .. } | Trigger::SynCameAgain => {
                let crossed = before.is_some_and(|before| at.since(before.at) < CROSSED);
                if crossed && event.trigger == Trigger::SynCameAgain {
                    return None;
                }
                let number = before.map_or(0, |before| before.number) + 1;
                let in_a_row = match event.trigger {
                    Trigger::RequestTimeout { in_a_row } => in_a_row,
                    _ => before.map_or(0, |before| before.in_a_row),
                };
                Self { segment, seq, at, in_a_row, probed: false, number }
            }
        })
    }
}

impl Tracker {
    pub(super) fn apply_retransmit(
        &mut self,
        event: &RetransmitEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let rate = self.reliance.rate;
        let sysctls = self.sysctls.get(&event.netns).copied().unwrap_or_default();
        let key = key(event.netns, event.ends);
        let full = event.socket.and_then(|socket| Some((socket, self.sockets.get_mut(&socket)?)));
        let (subject, since, life) = if let Some((socket, full)) = full {
            // SYN_SENT was entered before a local port was chosen.
            full.ends = event.ends;
            let subject = full.subject(socket);
            (subject, full.since.filter(|_| full.state == event.state), Some(&mut full.life))
        } else if let Some(mini) = self.minis.get_mut(&key) {
            let subject = mini.subject(&key);
            (subject, mini.since, Some(&mut mini.life))
        } else {
            (stranger(event), None, None)
        };
        let mut nowhere = Box::default();
        let life: &mut Life = life.map_or(&mut nowhere, |life| life);
        let before = life.retry;
        let Some(retry) = Retry::next(before, event, rate) else { return };
        life.retry = Some(retry);
        let queue = life.met.take_latest(event.at);
        life.count(event);
        let last = last_sent(event, (before, &retry), since);
        life.note_first_syn(event, since);
        let schedule = schedule(event, &sysctls, rate);
        out(TrackedEvent::Retransmit(TrackedRetransmit {
            at: event.at,
            subject,
            state: event.state,
            segment: event.segment,
            attempt: retry.number,
            early: matches!(event.trigger, Trigger::Early { .. } | Trigger::SynCameAgain),
            since_last: last.map(|last| event.at.since(last)),
            expected: expected(event, (before, last), rate),
            next: next(event, &schedule, rate),
            most: (event.segment == SegmentKind::Syn)
                .then(|| u32::try_from(schedule.attempts.len()).unwrap_or(u32::MAX)),
            sent: event.sent,
            queue,
        }));
    }
}

/// A socket that is not known: it was there before, or a filter hides how it came.
const fn stranger(event: &RetransmitEvent) -> Subject {
    let direction = match event.segment {
        SegmentKind::Syn => Some(Direction::Outgoing),
        SegmentKind::SynAck => Some(Direction::Incoming),
        SegmentKind::Fin | SegmentKind::Data => None,
    };
    Subject {
        socket: event.socket,
        netns: event.netns,
        ends: event.ends,
        cgroup: event.cgroup,
        direction,
        process: None,
        inherited: false,
    }
}

/// When the segment was sent last before, by the kernel or by what was seen.
fn last_sent(
    event: &RetransmitEvent,
    (before, retry): (Option<Retry>, &Retry),
    since: Option<KernelTime>,
) -> Option<KernelTime> {
    let told = event.times.and_then(|times| times.sent_before);
    let again = before
        .filter(|before| before.segment == event.segment && before.seq == retry.seq)
        .filter(|before| before.number + 1 == retry.number);
    // The first transmission was when the state was entered; data may have been sent any time, and a FIN
    // that is still under way in CLOSING was sent in FIN_WAIT_1.
    let with_state = match event.segment {
        SegmentKind::Syn | SegmentKind::SynAck => true,
        SegmentKind::Fin => event.state != TcpState::Closing,
        SegmentKind::Data => false,
    };
    let first = since.filter(|_| with_state && retry.number == 1);
    let seen = again.map(|before| before.at).or(first);
    match (told, seen) {
        // The same sending: its line has the moment of the event, which is a little later.
        (Some(told), Some(seen)) if seen.since(told).max(told.since(seen)) < ONE_SENDING => {
            seen.into()
        }
        (Some(told), _) => Some(told),
        // Without the kernel's word a FIN may have waited behind data.
        (None, Some(_))
            if event.segment == SegmentKind::Fin && again.is_none() && event.times.is_some() =>
        {
            None
        }
        (None, seen) => seen,
    }
}

/// The kernel takes no longer to send a segment.
const ONE_SENDING: Duration = Duration::from_millis(1);

/// How long after the `last` sending the kernel meant to send it again.
fn expected(
    event: &RetransmitEvent,
    (before, last): (Option<Retry>, Option<KernelTime>),
    rate: TickRate,
) -> Option<Duration> {
    match event.trigger {
        Trigger::Timeout { rto, .. } => {
            let rto = rate.duration(rto.into());
            let Some((times, last)) = event.times.zip(last) else { return Some(rto) };
            // The timer need not have been armed for a whole timeout when the segment was sent.
            let waited = rate.moment(times.due, (times.tick, event.at)).since(last);
            Some(if waited.abs_diff(rto) <= rate.duration(SAME) { rto } else { waited })
        }
        Trigger::RequestTimeout { in_a_row } => {
            // Runs of the timer that sent nothing count (`TCP_DEFER_ACCEPT`).
            let before = match (before, last) {
                (Some(before), _) if before.segment == SegmentKind::SynAck => before.in_a_row,
                (None, Some(_)) => 0,
                _ => in_a_row.saturating_sub(1),
            };
            Some((before..in_a_row).map(request_timeout).sum())
        }
        Trigger::Early { .. } | Trigger::SynCameAgain => None,
    }
}

/// Ticks by which two times are still the same: either is true to one.
const SAME: u64 = 2;

/// `TCP_RTO_MAX` in `include/net/tcp.h`: the longest run of the timer of a half-open connection.
const LONGEST: Duration = Duration::from_mins(2);

/// How long the timer of a half-open connection runs after so many runs (`reqsk_timer_handler` in
/// `net/ipv4/inet_connection_sock.c`).
fn request_timeout(runs: u8) -> Duration {
    Duration::from_secs(1 << u32::from(runs).min(7)).min(LONGEST)
}

/// Everything that the kernel sends again from the first transmission on.
fn schedule(event: &RetransmitEvent, sysctls: &Sysctls, rate: TickRate) -> Schedule {
    let user_timeout = event.user_timeout;
    let (in_a_row, rto) = match (event.state, event.trigger) {
        (TcpState::SynSent, _) => {
            let options = SynOptions { retries: event.syn_retries, user_timeout };
            return timing::syn(sysctls, options, rate);
        }
        // Both sides connected at the same time: a SYN without linear timeouts.
        (TcpState::SynRecv, Trigger::Timeout { .. } | Trigger::Early { .. }) => {
            let sysctls = Sysctls { syn_linear_timeouts: 0, ..*sysctls };
            let options = SynOptions { retries: event.syn_retries, user_timeout };
            return timing::syn(&sysctls, options, rate);
        }
        (_, Trigger::RequestTimeout { .. } | Trigger::SynCameAgain) => {
            return timing::syn_ack(sysctls, event.syn_retries, rate);
        }
        (_, Trigger::Timeout { in_a_row, rto }) => (in_a_row, rto),
        // A whole timeout begins with it.
        (_, Trigger::Early { rto }) => (0, rto),
    };
    let doubled = u32::from(in_a_row.saturating_sub(1)).min(31);
    let options = RtoOptions {
        first_rto: rate.duration(u64::from(rto) >> doubled),
        orphan: event.orphan,
        probe_first: None,
        user_timeout,
    };
    timing::unacknowledged(sysctls, options, rate)
}

/// What comes next if no answer does.
fn next(event: &RetransmitEvent, schedule: &Schedule, rate: TickRate) -> Option<Next> {
    let in_a_row = match event.trigger {
        Trigger::Timeout { in_a_row, .. } | Trigger::RequestTimeout { in_a_row } => in_a_row,
        Trigger::Early { .. } | Trigger::SynCameAgain => 0,
    };
    let planned = schedule.after(in_a_row.into())?;
    let Some((armed, due)) = event.timer else { return Some(planned) };
    // Told by the timer itself, which a SYN that came again has moved.
    let wait = timing::Window {
        promise: rate.duration(due.0.saturating_sub(armed.0)),
        latest: rate.fires_at((armed, event.at), due).since(event.at),
    };
    Some(Next { wait, ..planned })
}
