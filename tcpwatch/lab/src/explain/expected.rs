//! Expectations in words, with the times that follow from this kernel's sysctls.

use std::time::Duration;

use tcpwatch_core::{
    event::{ResetDirection, TcpState, Way},
    timing::Schedule,
};

use crate::{
    expect::allowed,
    scenario::{
        Choices, Expectation, Expression, LOCAL_RTO, Scenario,
        expectation::{CallResult, Claim, ExpectedStay, Lasts, Retries, SegmentCount},
        expression::EvaluationContext,
    },
};

/// `client  FIN_WAIT_2: lasts 60 s, at most 62.05 s (tcp_fin_timeout = 60); then CLOSED`
pub(super) fn line(expect: &Expectation, scenario: &Scenario, choices: &Choices) -> String {
    let pinned = scenario.sysctls.get(&expect.host);
    let sysctls = choices.effective(pinned);
    let context =
        EvaluationContext { sysctls: &sysctls, pinned, rate: choices.rate, rto: Some(LOCAL_RTO) };
    let connection =
        expect.connection.map_or_else(String::new, |number| format!("connection {number}: "));
    let claim = claim(&expect.claim, scenario, &context);
    format!("{:<7} {connection}{claim}", expect.host.name())
}

fn states(path: &[TcpState]) -> String {
    path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" \u{2192} ")
}

fn claim(claim: &Claim, scenario: &Scenario, context: &EvaluationContext<'_>) -> String {
    match claim {
        Claim::Path(path) => states(path),
        Claim::Beginning(path) => format!("{}, perhaps more", states(path)),
        Claim::Stay(it) => stay(it, context),
        Claim::Never(state) => format!("never in {state}"),
        Claim::Retransmits(it) => retries(it, context),
        Claim::Returned(it) => {
            let result = match &it.result {
                CallResult::Ok => "without an error".to_owned(),
                CallResult::Value(value) => value.to_string(),
                CallResult::Error(error) => format!("-1 {error}"),
            };
            let takes = it.takes.as_ref().map(|takes| format!(" after {}", time(takes, context)));
            format!("{}() returns {result}{}", it.call, takes.unwrap_or_default())
        }
        Claim::Segments(it) => {
            let count = match &it.count {
                SegmentCount::Exactly(count) => number(count, context),
                SegmentCount::AtLeast(count) => format!("at least {}", number(count, context)),
            };
            let way = if it.way == Way::In { "come in" } else { "go out" };
            let rule = it.dropped_by.and_then(|slot| scenario.rules.get(slot));
            let rule = rule.map_or_else(String::new, |rule| format!(", dropped by {}", rule.name));
            let window = if it.zero_window { " with a zero window" } else { "" };
            format!("{count} {}{window} {way}{rule}", it.value)
        }
        Claim::Reset(None) => "no reset".to_owned(),
        Claim::Reset(Some(ResetDirection::Sent)) => "a reset is sent".to_owned(),
        Claim::Reset(Some(ResetDirection::Received)) => "a reset is received".to_owned(),
        Claim::Restarts { state, count } => {
            format!("{state}: its clock starts again, {count} times")
        }
        Claim::Handshake(handshake) => format!("handshake by {}", handshake.word()),
    }
}

fn stay(stay: &ExpectedStay, context: &EvaluationContext<'_>) -> String {
    let mut parts = Vec::new();
    if let Some(timer) = &stay.timer {
        parts.push(format!("its timer is set to {}", time(timer, context)));
    }
    match &stay.lasts {
        Some(Lasts::ToTheEnd) => parts.push("lasts to the end".to_owned()),
        Some(Lasts::Time(lasts)) => parts.push(format!("lasts {}", time(lasts, context))),
        None => {}
    }
    parts.extend(stay.from_restart.then(|| "counted from the last restart".to_owned()));
    parts.extend(stay.ends.map(|why| format!("by {}", why.word())));
    parts.extend(stay.then.map(|then| format!("then {then}")));
    if parts.is_empty() {
        parts.push("is entered".to_owned());
    }
    format!("{}: {}", stay.state, parts.join("; "))
}

fn retries(retries: &Retries, context: &EvaluationContext<'_>) -> String {
    let times = |count| format!(", {} times", number(count, context));
    let times = retries.count.as_ref().map_or_else(String::new, times);
    let schedule = retries.schedule.as_ref().and_then(|it| it.schedule(context).ok());
    let most = retries.first.unwrap_or(usize::MAX);
    let gaps = schedule.map_or_else(String::new, |schedule| gaps(&schedule, most));
    format!("sends {} again{times}{gaps}", retries.segment.word())
}

/// `, after 1, 2, 4 s, given up 8 s later`: the waits before each attempt.
fn gaps(schedule: &Schedule, most: usize) -> String {
    let seconds = |time: Duration| {
        let text = format!("{:.3}", time.as_secs_f64());
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let gaps: Vec<_> =
        schedule.attempts.iter().take(most).map(|attempt| seconds(attempt.gap.promise)).collect();
    let after =
        if gaps.is_empty() { String::new() } else { format!(", after {} s", gaps.join(", ")) };
    let end = schedule.after(schedule.attempts.len()).filter(|_| most > schedule.attempts.len());
    let end = end.map_or_else(String::new, |end| {
        format!(", given up {} s later", seconds(end.wait.promise))
    });
    after + &end
}

/// `60 s, at most 62.05 s (tcp_fin_timeout = 60, timer wheel 2.05 s)`
fn time(expression: &Expression, context: &EvaluationContext<'_>) -> String {
    let Ok(window) = expression.window(context) else { return expression.to_string() };
    let why = allowed::because(expression, context, window);
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    format!("{}{why}", allowed::in_words(window))
}

fn number(expression: &Expression, context: &EvaluationContext<'_>) -> String {
    expression.number(context).map_or_else(|_| expression.to_string(), |number| number.to_string())
}
