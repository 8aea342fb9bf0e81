//! Expectations other than times: paths, states that are never entered, calls, segments, resets.

use tcpwatch_core::{
    event::{KernelTime, ResetDirection, SegmentEvent, TcpFlags, TcpState, Way},
    track::{Handshake, TrackedEvent},
};

use super::{Judge, allowed};
use crate::{
    host::Host,
    scenario::{
        Expectation,
        expectation::{CallResult, Return, SegmentCount, Segments},
        expression::EvaluateError,
    },
    story::{MomentKind, SystemCall},
    verdict::Verdict,
};

impl Judge<'_> {
    pub(super) fn path(&self, expect: &Expectation, path: &[TcpState]) -> Verdict {
        self.states(expect, "goes through", path, |seen| seen == path)
    }

    pub(super) fn beginning(&self, expect: &Expectation, path: &[TcpState]) -> Verdict {
        self.states(expect, "goes first through", path, |seen| seen.starts_with(path))
    }

    fn states(
        &self,
        expect: &Expectation,
        goes: &str,
        path: &[TcpState],
        holds: impl FnOnce(&[TcpState]) -> bool,
    ) -> Verdict {
        let seen = self.connections(expect).next().map(super::lives::SocketHistory::states);
        let words = |states: &[TcpState]| {
            states.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ")
        };
        plain(
            format!("{} {goes}", expect.host),
            words(path),
            seen.as_deref().map_or("there was no connection".to_owned(), words),
            seen.as_deref().is_some_and(holds),
        )
    }

    pub(super) fn never(&self, expect: &Expectation, state: TcpState) -> Verdict {
        let mut spells = self.connections(expect).flat_map(|life| &life.stays);
        let entered = spells.find(|spell| spell.state == state && spell.entered_by.is_some());
        let measured = entered.and_then(|spell| spell.from).map_or_else(
            || "never".to_owned(),
            |at| format!("at {:.4} s", at.since(self.run.started).as_secs_f64()),
        );
        let what = format!("{} enters {state}", expect.host);
        plain(what, "never".to_owned(), measured, entered.is_none())
    }

    pub(super) fn returned(
        &self,
        expect: &Expectation,
        returned: &Return,
    ) -> Result<Vec<Verdict>, EvaluateError> {
        let Return { call, socket, nth, result, takes } = returned;
        let host = expect.host;
        let is_it = |seen: &SystemCall| seen.name == *call && seen.socket == *socket;
        let mut begun = None;
        let mut returns = Vec::new();
        for moment in self.run.story.iter().filter(|moment| moment.host == host) {
            match &moment.what {
                MomentKind::Called(seen) if is_it(seen) => begun = Some(moment.at),
                MomentKind::Returned(seen) if is_it(seen) => {
                    returns.push((begun.take().unwrap_or(moment.at), moment.at, seen));
                }
                _ => {}
            }
        }
        let what = format!("{host}'s {call}() returns");
        let expected = match result {
            CallResult::Ok => "no error".to_owned(),
            CallResult::Value(value) => value.to_string(),
            CallResult::Error(error) => error.clone(),
        };
        let Some((from, at, seen)) = nth.checked_sub(1).and_then(|index| returns.get(index)) else {
            return Ok(vec![plain(what, expected, "it did not return".to_owned(), false)]);
        };
        let (measured, holds) = match (&seen.result, result) {
            (Some(Ok(value)), CallResult::Ok) => (value.to_string(), true),
            (Some(Ok(value)), CallResult::Value(wanted)) => (value.to_string(), value == wanted),
            (Some(Err(error)), CallResult::Error(wanted)) => (error.clone(), error == wanted),
            (Some(Ok(value)), CallResult::Error(_)) => (value.to_string(), false),
            (Some(Err(error)), _) => (error.clone(), false),
            (None, _) => ("nothing".to_owned(), false),
        };
        let mut verdicts = vec![plain(what, expected, measured, holds)];
        if let Some(takes) = takes {
            let life = self.connections(expect).next();
            let context = self.context(host, life.and_then(super::first_rto));
            let window = takes.window(&context)?;
            let because = allowed::because(takes, &context, window);
            let what = format!("{host}'s {call}() takes");
            let timers = takes.timers(&context)?;
            verdicts.push(self.tolerance.verdict(what, window, timers, at.since(*from), because));
        }
        Ok(verdicts)
    }

    pub(super) fn segments(
        &self,
        expect: &Expectation,
        segments: &Segments,
    ) -> Result<Vec<Verdict>, EvaluateError> {
        let Segments { mask, value, way, count, zero_window, dropped_by } = segments;
        let is_it = |segment: &SegmentEvent| {
            segment.way == *way
                && segment.flags.0 & mask.0 == value.0
                && (segment.closes_window() || !zero_window)
                && dropped_by.is_none_or(|slot| segment.dropped_by.map(usize::from) == Some(slot))
        };
        let seen = self.seen(expect.host).filter(|segment| is_it(segment)).count();
        let seen = u64::try_from(seen).unwrap_or(u64::MAX);
        let context = self.context(expect.host, None);
        let (expected, holds) = match count {
            SegmentCount::Exactly(count) => {
                let count = count.number(&context)?;
                (count.to_string(), seen == count)
            }
            SegmentCount::AtLeast(count) => {
                let count = count.number(&context)?;
                (format!("at least {count}"), seen >= count)
            }
        };
        let way = if *way == Way::In { "come in" } else { "go out" };
        let rule = dropped_by.and_then(|slot| self.run.scenario.rules.get(slot));
        let rule = rule.map_or_else(String::new, |rule| format!(", dropped by {}", rule.name));
        let window = if *zero_window { " with a zero window" } else { "" };
        let what = format!("{}: {value}{window} that {way}{rule}", expect.host);
        Ok(vec![plain(what, expected, seen.to_string(), holds)])
    }

    pub(super) fn reset(&self, expect: &Expectation, direction: Option<ResetDirection>) -> Verdict {
        let word = |direction| match direction {
            ResetDirection::Sent => "sent",
            ResetDirection::Received => "received",
        };
        let resets: Vec<_> = self
            .tracked(expect.host)
            .filter_map(|tracked| match tracked {
                TrackedEvent::Reset(reset) => Some(reset),
                _ => None,
            })
            .collect();
        let found = resets.iter().find(|reset| direction.is_none_or(|way| reset.direction == way));
        // The kernel reports a reset without a socket only since Linux 6.10; the tap sees its segment on every kernel.
        let is_on_link = found.is_none()
            && direction == Some(ResetDirection::Sent)
            && self
                .seen(expect.host)
                .any(|segment| segment.way == Way::Out && segment.flags.0 & TcpFlags::RST.0 != 0);
        let measured = match found.or_else(|| resets.first()) {
            _ if is_on_link => "sent, on the link".to_owned(),
            Some(reset) => {
                let why = reset.why.as_deref().map_or(String::new(), |why| format!(", {why}"));
                format!("{}{why}", word(reset.direction))
            }
            None => "none".to_owned(),
        };
        let expected = direction.map_or("none", word).to_owned();
        let holds = (found.is_some() || is_on_link) == direction.is_some();
        plain(format!("{}: reset", expect.host), expected, measured, holds)
    }

    pub(super) fn restarts(&self, expect: &Expectation, state: TcpState, count: u64) -> Verdict {
        let events = self.connections(expect).flat_map(|life| &life.events);
        let seen = events
            .filter(|(_, tracked)| matches!(tracked, TrackedEvent::Restart(restart) if restart.state == state));
        let seen = u64::try_from(seen.count()).unwrap_or(u64::MAX);
        let what = format!("{}: the clock of {state} starts again", expect.host);
        plain(what, format!("{count} times"), format!("{seen} times"), seen == count)
    }

    pub(super) fn handshake(&self, expect: &Expectation, handshake: Handshake) -> Verdict {
        let mut changes = self
            .connections(expect)
            .flat_map(|life| &life.stays)
            .filter_map(|spell| spell.entered_by);
        let seen = changes.find_map(|change| change.handshake);
        let measured = seen.map_or("in the usual way", Handshake::word).to_owned();
        let what = format!("{}'s handshake", expect.host);
        plain(what, handshake.word().to_owned(), measured, seen == Some(handshake))
    }

    /// The time of the first transmission of the data that was retransmitted at `again`.
    pub(super) fn first_data(&self, host: Host, again: KernelTime) -> Option<KernelTime> {
        let data = || self.seen(host).filter(|segment| segment.way == Way::Out && segment.len > 0);
        let seq = data().take_while(|segment| segment.at <= again).last()?.seq;
        data().find(|segment| segment.seq == seq).map(|segment| segment.at)
    }

    fn seen(&self, host: Host) -> impl Iterator<Item = &SegmentEvent> {
        let moments = self.run.story.iter().filter(move |moment| moment.host == host);
        moments.filter_map(|moment| match &moment.what {
            MomentKind::Segment(segment) => Some(&**segment),
            _ => None,
        })
    }

    fn tracked(&self, host: Host) -> impl Iterator<Item = &TrackedEvent> {
        let moments = self.run.story.iter().filter(move |moment| moment.host == host);
        moments.filter_map(|moment| match &moment.what {
            MomentKind::TrackedEvent(tracked) => Some(&**tracked),
            _ => None,
        })
    }
}

fn plain(what: String, expected: String, measured: String, holds: bool) -> Verdict {
    Verdict { what, expected, measured, times: None, because: None, holds }
}
