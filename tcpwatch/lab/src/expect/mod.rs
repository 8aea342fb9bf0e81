//! The story of a run against the scenario's expectations: each becomes one or more verdicts. Pure.
//!
//! - `lives`: the story's changes, sorted by connection and state
//! - `allowed`: what a measured time may be
//! - `stay`, `retries`, `counts`: one kind of expectation each

pub(super) mod allowed;
mod counts;
mod lives;
mod retries;
mod stay;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tcpwatch_core::{event::Segment, track::News};

use super::{
    host::Host,
    scenario::{
        Expectation,
        expectation::{Claim, Lasts},
        expression::{Context, EvaluateError, FirstRto},
    },
    story::Run,
    verdict::Verdict,
};
use allowed::Tolerance;
use lives::Life;

/// Judges a run: fills in its verdicts.
///
/// `control` is by how much a control timer of the same run was late beyond what its own timer wheel
/// allows: on a busy machine softirqs are late as well, and how much is measured, not guessed.
pub fn judge(run: &mut Run, control: Duration) {
    let judge = Judge::new(run, control);
    run.verdicts = run.scenario.expect.iter().flat_map(|expect| judge.verdicts(expect)).collect();
}

struct Judge<'r> {
    run: &'r Run,
    lives: [Vec<Life<'r>>; 2],
    tolerance: Tolerance,
}

impl<'r> Judge<'r> {
    fn new(run: &'r Run, control: Duration) -> Self {
        let lives = Host::ALL.map(|host| lives::lives(run, host));
        Self { run, lives, tolerance: Tolerance::new(run.rate, control) }
    }

    fn lives(&self, host: Host) -> &[Life<'r>] {
        let [client, server] = &self.lives;
        if host == Host::Client { client } else { server }
    }

    /// The host's connections that an expectation is about, in the order in which they appeared.
    fn connections<'j>(&'j self, expect: &Expectation) -> impl Iterator<Item = &'j Life<'r>> {
        let chosen = expect.connection;
        let connections = self.lives(expect.host).iter().filter(|life| !life.listener);
        let numbered = connections.zip(1..);
        numbered.filter(move |(_, n)| chosen.is_none_or(|it| it == *n)).map(|(life, _)| life)
    }

    fn context(&self, host: Host, rto: Option<FirstRto>) -> Context<'_> {
        Context {
            sysctls: self.run.sysctls(host),
            pinned: self.run.scenario.sysctls.get(&host),
            rate: self.run.rate,
            rto,
        }
    }

    fn verdicts(&self, expect: &Expectation) -> Vec<Verdict> {
        let verdicts = match &expect.claim {
            Claim::Path(path) => Ok(vec![self.path(expect, path)]),
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

/// With what a connection began to send FIN or data again, as its retransmissions tell.
fn first_rto(life: &Life<'_>) -> Option<FirstRto> {
    let again = || {
        life.told.iter().filter_map(|(_, news)| match news {
            News::Retransmit(again) => Some(again),
            _ => None,
        })
    };
    let of_timer = |again: &&tcpwatch_core::track::Retransmit| {
        matches!(again.segment, Segment::Fin | Segment::Data)
    };
    let first = again().find(of_timer)?;
    let by_timer = again().filter(of_timer).find(|again| !again.early);
    let rto = match by_timer {
        Some(by_timer) => by_timer.expected?,
        None => first.next?.wait.promise,
    };
    Some(FirstRto { rto, probe: first.early })
}

/// An expectation whose expression has no value.
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
