//! Retransmissions against their schedule: each in its window, neither too few nor too many, and the end after the
//! last.

use std::time::Duration;

use tcpwatch_core::{
    event::{KernelTime, SegmentKind, TcpState},
    timing::{AttemptKind, Schedule, Window},
    track::TrackedEvent,
};

use super::{Judge, allowed, first_rto, lives::SocketHistory};
use crate::{
    host::Host,
    scenario::{
        Expectation, Expression,
        expectation::Retries,
        expression::{EvaluateError, EvaluationContext},
    },
    verdict::Verdict,
};

impl Judge<'_> {
    pub(super) fn retries(
        &self,
        expect: &Expectation,
        retries: &Retries,
    ) -> Result<Vec<Verdict>, EvaluateError> {
        let (host, word) = (expect.host, name(retries.segment));
        let of_life = |life: &&SocketHistory<'_>| times(life, retries.segment).next().is_some();
        let life = self.connections(expect).find(of_life);
        let mut verdicts = Vec::new();
        if let Some(count) = &retries.count {
            let all: usize =
                self.connections(expect).map(|life| times(life, retries.segment).count()).sum();
            let wanted = count.number(&self.context(host, life.and_then(first_rto)))?;
            verdicts.push(Verdict {
                what: format!("{host} sends {word} again"),
                expected: format!("{wanted} times"),
                measured: format!("{all} times"),
                times: None,
                because: None,
                holds: u64::try_from(all) == Ok(wanted),
            });
        }
        if let Some(schedule) = &retries.schedule {
            match life.or_else(|| self.connections(expect).next()) {
                Some(life) => verdicts.extend(self.schedule(host, retries, schedule, life)?),
                None => verdicts.push(missing(
                    format!("{host} sends {word} again"),
                    schedule.to_string(),
                    "there was no connection",
                )),
            }
        }
        if verdicts.is_empty() {
            verdicts.push(Verdict {
                what: format!("{host} sends {word} again"),
                expected: "at least once".to_owned(),
                measured: if life.is_some() { "yes" } else { "never" }.to_owned(),
                times: None,
                because: None,
                holds: life.is_some(),
            });
        }
        Ok(verdicts)
    }

    fn schedule(
        &self,
        host: Host,
        retries: &Retries,
        expression: &Expression,
        life: &SocketHistory<'_>,
    ) -> Result<Vec<Verdict>, EvaluateError> {
        let context = self.context(host, first_rto(life));
        let schedule = expression.schedule(&context)?;
        let row = ScheduleVerdicts { judge: self, host, expression, context: &context };
        let seen: Vec<KernelTime> = times(life, retries.segment).collect();
        let mut last = self.first_sent(host, life, retries.segment);
        let most = retries.first.unwrap_or(usize::MAX);

        let mut verdicts = Vec::new();
        for (number, attempt) in (1..).zip(&schedule.attempts).take(most) {
            let what = retry(retries.segment, attempt.kind, number);
            match seen.get(number - 1) {
                Some(at) => {
                    let gap = last.map(|last| at.since(last));
                    verdicts.push(row.verdict(&what, attempt.gap, gap, "it was sent"));
                    last = Some(*at);
                }
                // A kernel whose timers were late may give up here.
                None if !attempt.certain => break,
                None => verdicts.push(row.verdict(&what, attempt.gap, None, "not sent")),
            }
        }
        if retries.first.is_none() {
            verdicts.extend(row.too_many(&schedule, retries.segment, &seen));
            verdicts.push(row.end(&schedule, seen.len(), last, life));
        }
        Ok(verdicts)
    }

    /// When the segment was first sent.
    fn first_sent(
        &self,
        host: Host,
        life: &SocketHistory<'_>,
        segment: SegmentKind,
    ) -> Option<KernelTime> {
        let entered = |states: &[TcpState]| {
            life.stays.iter().find(|spell| states.contains(&spell.state))?.from
        };
        match segment {
            SegmentKind::Syn => entered(&[TcpState::SynSent]),
            SegmentKind::SynAck => entered(&[TcpState::SynRecv]),
            SegmentKind::Fin => entered(&[TcpState::FinWait1, TcpState::LastAck]),
            SegmentKind::Data => self.first_data(host, times(life, segment).next()?),
        }
    }
}

/// The context of all verdicts on one schedule.
struct ScheduleVerdicts<'j> {
    judge: &'j Judge<'j>,
    host: Host,
    expression: &'j Expression,
    context: &'j EvaluationContext<'j>,
}

impl ScheduleVerdicts<'_> {
    fn verdict(
        &self,
        what: &str,
        gap: Window,
        measured: Option<Duration>,
        otherwise: &str,
    ) -> Verdict {
        let what = format!("{}: {what}", self.host);
        let because = allowed::because(self.expression, self.context, gap);
        let Some(measured) = measured else {
            let verdict = missing(what, allowed::in_words(gap), otherwise);
            return Verdict { because, ..verdict };
        };
        self.judge.tolerance.verdict(what, gap, 1, measured, because)
    }

    /// A verdict on attempts beyond the schedule.
    fn too_many(
        &self,
        schedule: &Schedule,
        segment: SegmentKind,
        seen: &[KernelTime],
    ) -> Option<Verdict> {
        let more = seen.len().checked_sub(schedule.attempts.len()).filter(|more| *more > 0)?;
        let what = format!("{}: {}", self.host, retry(segment, AttemptKind::Timer, seen.len()));
        Some(missing(what, "none".to_owned(), &format!("{more} more than expected")))
    }

    /// The verdict on the end after the last attempt.
    fn end(
        &self,
        schedule: &Schedule,
        attempts: usize,
        last: Option<KernelTime>,
        life: &SocketHistory<'_>,
    ) -> Verdict {
        let closed = life.stays.iter().rev().find(|spell| spell.state == TcpState::Closed);
        let closed = closed.and_then(|spell| spell.from).filter(|at| Some(*at) >= last);
        let measured = last.zip(closed).map(|(last, closed)| closed.since(last));
        let what = format!("gives up after retry {attempts}");
        let otherwise =
            if closed.is_none() { "not given up" } else { "its beginning is not known" };
        match schedule.after(attempts.min(schedule.attempts.len())) {
            Some(next) => self.verdict(&what, next.wait, measured, otherwise),
            None => missing(what, "never".to_owned(), otherwise),
        }
    }
}

/// The times of the segment's retransmissions, in order.
fn times(life: &SocketHistory<'_>, segment: SegmentKind) -> impl Iterator<Item = KernelTime> {
    life.events.iter().filter_map(move |(at, tracked)| match tracked {
        TrackedEvent::Retransmit(again) if again.segment == segment => Some(*at),
        _ => None,
    })
}

const fn name(segment: SegmentKind) -> &'static str {
    match segment {
        SegmentKind::Syn => "SYN",
        SegmentKind::SynAck => "SYN+ACK",
        SegmentKind::Fin => "FIN",
        SegmentKind::Data => "data",
    }
}

fn retry(segment: SegmentKind, kind: AttemptKind, number: usize) -> String {
    let probe = if kind == AttemptKind::Probe { ", a tail loss probe" } else { "" };
    format!("{} retry {number}{probe}", name(segment))
}

fn missing(what: String, expected: String, measured: &str) -> Verdict {
    let measured = measured.to_owned();
    Verdict { what, expected, measured, times: None, because: None, holds: false }
}
