//! Judges the story of a run by the scenario's expectations: each gives one or more verdicts. Pure.
//!
//! - `lives`: the story's changes by connection and state
//! - `allowed`: the allowed range of a measured time
//! - `stay`, `retries`, `counts`: one kind of expectation each

pub(super) mod allowed;
mod counts;
mod lives;
mod retries;
mod stay;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tcpwatch_core::{event::SegmentKind, track::TrackedEvent};

use super::{
    host::Host,
    scenario::{
        Expectation,
        expectation::{Claim, Lasts},
        expression::{EvaluateError, EvaluationContext, FirstRto},
    },
    story::Run,
    verdict::Verdict,
};
use allowed::Tolerance;
use lives::SocketHistory;

/// Judges a run: fills in its verdicts.
///
/// `control` is by how much a control timer of the same run was late beyond its own timer wheel's granularity: on a
/// busy machine softirqs are late, too, and this measures by how much.
pub fn judge(run: &mut Run, control: Duration) {
    let judge = Judge::new(run, control);
    run.verdicts = run.scenario.expect.iter().flat_map(|expect| judge.verdicts(expect)).collect();
}

/// How many verdicts each expectation gives, in the order of [`Run::verdicts`].
#[must_use]
pub fn shares(run: &Run) -> Vec<usize> {
    let judge = Judge::new(run, Duration::ZERO);
    run.scenario.expect.iter().map(|expect| judge.verdicts(expect).len()).collect()
}

struct Judge<'r> {
    run: &'r Run,
    lives: [Vec<SocketHistory<'r>>; 2],
    tolerance: Tolerance,
}

impl<'r> Judge<'r> {
    fn new(run: &'r Run, control: Duration) -> Self {
        let lives = Host::ALL.map(|host| lives::lives(run, host));
        Self { run, lives, tolerance: Tolerance::new(run.rate, control) }
    }

    fn lives(&self, host: Host) -> &[SocketHistory<'r>] {
        let [client, server] = &self.lives;
        if host == Host::Client { client } else { server }
    }

    /// The host's connections that an expectation concerns, in the order in which they appeared.
    fn connections<'j>(
        &'j self,
        expect: &Expectation,
    ) -> impl Iterator<Item = &'j SocketHistory<'r>> {
        let chosen = expect.connection;
        let connections = self.lives(expect.host).iter().filter(|life| !life.listener);
        let numbered = connections.zip(1..);
        numbered.filter(move |(_, n)| chosen.is_none_or(|it| it == *n)).map(|(life, _)| life)
    }

    fn context(&self, host: Host, rto: Option<FirstRto>) -> EvaluationContext<'_> {
        EvaluationContext {
            sysctls: self.run.sysctls(host),
            pinned: self.run.scenario.sysctls.get(&host),
            rate: self.run.rate,
            rto,
        }
    }

    fn verdicts(&self, expect: &Expectation) -> Vec<Verdict> {
        let verdicts = match &expect.claim {
            Claim::Path(path) => Ok(vec![self.path(expect, path)]),
            Claim::Beginning(path) => Ok(vec![self.beginning(expect, path)]),
            Claim::Stay(stay) => self.stay(expect, stay),
            Claim::Never(state) => Ok(vec![self.never(expect, *state)]),
            Claim::Retransmits(retries) => self.retries(expect, retries),
            Claim::Returned(returned) => self.returned(expect, returned),
            Claim::Segments(segments) => self.segments(expect, segments),
            Claim::Reset(direction) => Ok(vec![self.reset(expect, *direction)]),
            Claim::Restarts { state, count } => Ok(vec![self.restarts(expect, *state, *count)]),
            Claim::Handshake(handshake) => Ok(vec![self.handshake(expect, *handshake)]),
        };
        verdicts.unwrap_or_else(|error| vec![not_known(expect, &error)])
    }
}

/// The timeout with which a connection began to retransmit a FIN or data, from its retransmissions.
fn first_rto(life: &SocketHistory<'_>) -> Option<FirstRto> {
    let again = || {
        life.events.iter().filter_map(|(_, tracked)| match tracked {
            TrackedEvent::Retransmit(again) => Some(again),
            _ => None,
        })
    };
    let of_timer = |again: &&tcpwatch_core::track::TrackedRetransmit| {
        matches!(again.segment, SegmentKind::Fin | SegmentKind::Data)
    };
    let first = again().find(of_timer)?;
    let by_timer = again().filter(of_timer).find(|again| !again.early);
    let rto = match by_timer {
        Some(by_timer) => by_timer.expected?,
        None => first.next?.wait.promise,
    };
    Some(FirstRto { rto, probe: first.early })
}

/// The verdict on an expectation whose expression has no value.
fn not_known(expect: &Expectation, error: &EvaluateError) -> Verdict {
    Verdict {
        what: format!("{} (line {})", expect.host, expect.line),
        expected: match &expect.claim {
            Claim::Retransmits(retries) => retries.schedule.as_ref().map(ToString::to_string),
            Claim::Stay(stay) => match &stay.lasts {
                Some(Lasts::Time(time)) => Some(time.to_string()),
                _ => None,
            },
            _ => None,
        }
        .unwrap_or_default(),
        measured: error.to_string(),
        times: None,
        because: None,
        holds: false,
    }
}
