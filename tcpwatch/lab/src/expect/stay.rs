//! How long a state lasts, for how long its timer is set, how it ends, and whether `sock_diag` independently shows it.

use std::time::Duration;

use tcpwatch_core::event::{KernelTime, TcpState};

use super::{
    Judge, allowed,
    allowed::precise,
    first_rto,
    lives::{SocketHistory, Spell},
};
use crate::{
    host::Host,
    scenario::{
        Expectation, Expression,
        expectation::{ExpectedStay, Lasts},
        expression::EvaluateError,
    },
    story::MomentKind,
    verdict::Verdict,
};

/// `sock_diag` is queried several times a second: it must have shown a state that lasts this long.
const WITNESSED: Duration = Duration::from_millis(500);

impl Judge<'_> {
    pub(super) fn stay(
        &self,
        expect: &Expectation,
        stay: &ExpectedStay,
    ) -> Result<Vec<Verdict>, EvaluateError> {
        let (host, state) = (expect.host, stay.state);
        let Some((life, spell)) = self.find(expect, stay) else {
            return Ok(vec![Verdict {
                what: format!("{host} enters {state}"),
                expected: nth(stay.nth),
                measured: "never".to_owned(),
                times: None,
                because: None,
                holds: false,
            }]);
        };
        let mut verdicts = Vec::new();
        if let Some(timer) = &stay.timer {
            verdicts.push(self.timer(host, timer, life, spell)?);
        }
        match &stay.lasts {
            Some(Lasts::Time(time)) => {
                verdicts.push(self.lasts(expect, stay, time, (life, spell))?);
            }
            Some(Lasts::ToTheEnd) => verdicts.push(self.stays(host, spell)),
            None if stay.timer.is_none() && stay.ends.is_none() && stay.then.is_none() => {
                verdicts.push(self.entered(host, spell));
            }
            None => {}
        }
        if stay.ends.is_some() || stay.then.is_some() {
            verdicts.push(left(host, stay, spell));
        }
        if let Some(verdict) = verdicts.last_mut() {
            self.check_sock_diag(host, spell, verdict);
        }
        Ok(verdicts)
    }

    fn find<'j>(
        &'j self,
        expect: &Expectation,
        stay: &ExpectedStay,
    ) -> Option<(&'j SocketHistory<'j>, &'j Spell<'j>)> {
        let listeners = stay.state == TcpState::Listen;
        let mut found: Vec<(&SocketHistory<'_>, &Spell<'_>)> = if listeners {
            let listeners = self.lives(expect.host).iter().filter(|life| life.listener);
            spells(listeners, stay.state)
        } else {
            spells(self.connections(expect), stay.state)
        };
        found.sort_by_key(|(_, spell)| spell.from);
        found.get(stay.nth.checked_sub(1)?).copied()
    }

    fn timer(
        &self,
        host: Host,
        timer: &Expression,
        life: &SocketHistory<'_>,
        spell: &Spell<'_>,
    ) -> Result<Verdict, EvaluateError> {
        let context = self.context(host, first_rto(life));
        let window = timer.window(&context)?;
        let what = format!("{host} sets the timer of {}", spell.state);
        let set = spell.entered_by.and_then(|change| Some(change.ends_at?.since(change.at)));
        let because = allowed::because(timer, &context, window);
        Ok(match set {
            Some(set) => self.tolerance.verdict(what, window, 1, set, because),
            None => Verdict {
                what,
                expected: allowed::in_words(window),
                measured: "no timer was seen".to_owned(),
                times: None,
                because,
                holds: false,
            },
        })
    }

    fn lasts(
        &self,
        expect: &Expectation,
        stay: &ExpectedStay,
        time: &Expression,
        (life, spell): (&SocketHistory<'_>, &Spell<'_>),
    ) -> Result<Verdict, EvaluateError> {
        let (host, state) = (expect.host, stay.state);
        let what = if stay.from_restart {
            format!("{host} stays in {state} from the last restart of its clock")
        } else {
            format!("{host} stays in {state}")
        };
        // Without a measured RTO it is an error only if the stay has an end that can be judged.
        let context = self.context(host, first_rto(life));
        let window = time.window(&context)?;
        let because = allowed::because(time, &context, window);
        let from = if stay.from_restart { spell.restarted } else { spell.from };
        let measured = from.zip(spell.until()).map(|(from, until)| until.since(from));
        Ok(match measured {
            Some(measured) => {
                let timers = time.timers(&context)?;
                self.tolerance.verdict(what, window, timers, measured, because)
            }
            None => Verdict {
                what,
                expected: allowed::in_words(window),
                measured: match from {
                    None if stay.from_restart => "no restart was seen".to_owned(),
                    None => "its beginning was not seen".to_owned(),
                    Some(from) => format!(
                        "still there after {} when the run ended",
                        precise(self.run.ended.since(from))
                    ),
                },
                times: None,
                because,
                holds: false,
            },
        })
    }

    fn stays(&self, host: Host, spell: &Spell<'_>) -> Verdict {
        let since = spell.from.unwrap_or(self.run.started);
        let measured = match spell.until() {
            None => format!("to the end, {}", precise(self.run.ended.since(since))),
            Some(until) => format!("it ended after {}", precise(until.since(since))),
        };
        Verdict {
            what: format!("{host} stays in {}", spell.state),
            expected: "to the end".to_owned(),
            measured,
            times: None,
            because: None,
            holds: spell.until().is_none(),
        }
    }

    fn entered(&self, host: Host, spell: &Spell<'_>) -> Verdict {
        let measured = spell.from.map_or_else(
            || "yes".to_owned(),
            |from| format!("at {:.4} s", from.since(self.run.started).as_secs_f64()),
        );
        Verdict {
            what: format!("{host} enters {}", spell.state),
            expected: "at some time".to_owned(),
            measured,
            times: None,
            because: None,
            holds: true,
        }
    }

    /// Requires that `sock_diag` showed a state that lasts; it lists no sockets in CLOSED.
    fn check_sock_diag(&self, host: Host, spell: &Spell<'_>, verdict: &mut Verdict) {
        let from = spell.from.unwrap_or(self.run.started);
        let until = spell.until().unwrap_or(self.run.ended);
        if spell.state == TcpState::Closed || until.since(from) < WITNESSED {
            return;
        }
        if self.was_seen(host, spell.state, from, until) {
            let before = verdict.because.take().map_or_else(String::new, |why| format!("{why}; "));
            verdict.because = Some(format!("{before}sock_diag saw it, too"));
        } else {
            verdict.holds = false;
            verdict.times = None;
            verdict.measured += ", but sock_diag did not see it";
        }
    }

    /// Whether `sock_diag` showed the state between these times. An answer holds until the next one that differs.
    fn was_seen(&self, host: Host, state: TcpState, from: KernelTime, until: KernelTime) -> bool {
        let answers = self.run.story.iter().filter(|moment| moment.host == host);
        let answers = answers.filter_map(|moment| match &moment.what {
            MomentKind::Witness(states) => Some((moment.at, states.contains(&state))),
            _ => None,
        });
        let mut holds_from = None;
        for (at, seen) in answers {
            if holds_from.is_some_and(|begun| begun <= until && from <= at) {
                return true;
            }
            holds_from = seen.then_some(at);
        }
        holds_from.is_some_and(|begun| begun <= until)
    }
}

fn spells<'j>(
    lives: impl Iterator<Item = &'j SocketHistory<'j>>,
    state: TcpState,
) -> Vec<(&'j SocketHistory<'j>, &'j Spell<'j>)> {
    lives
        .flat_map(|life| life.stays.iter().map(move |spell| (life, spell)))
        .filter(|(_, spell)| spell.state == state)
        .collect()
}

fn left(host: Host, stay: &ExpectedStay, spell: &Spell<'_>) -> Verdict {
    let way = |then: Option<TcpState>, why: Option<&'static str>| {
        let then = then.map(|then| format!("for {then}"));
        let why = why.map(|why| format!("by {why}"));
        then.into_iter().chain(why).collect::<Vec<_>>().join(", ")
    };
    let change = spell.left_by;
    let to = change.map(|change| change.to);
    let why = change.and_then(|change| change.reason);
    let holds = change.is_some()
        && stay.then.is_none_or(|then| to == Some(then))
        && stay.ends.is_none_or(|ends| why == Some(ends));
    let seen_why = why.map(tcpwatch_core::track::Reason::word);
    Verdict {
        what: format!("{host} leaves {}", spell.state),
        expected: way(stay.then, stay.ends.map(tcpwatch_core::track::Reason::word)),
        measured: if change.is_some() { way(to, seen_why) } else { "not at all".to_owned() },
        times: None,
        because: None,
        holds,
    }
}

fn nth(nth: usize) -> String {
    if nth == 1 { "at some time".to_owned() } else { format!("{nth} times") }
}
