//! Parses `steps`: actions and waits, one inline table per line.

use std::time::Duration;

use tcpwatch_core::event::SegmentKind;

use super::{
    ScenarioParts, calls,
    fields::{TomlFields, TomlItem},
    order::StepOrder,
    rules,
    source::FileError,
};
use crate::{
    host::Host,
    nearest::advice,
    scenario::{Action, Condition, ScenarioStep, Signal},
};

/// Added to the time that a wait may take, so that a late event is measured and judged.
const PATIENCE: Duration = Duration::from_secs(10);

/// The steps of the chosen profile, and the sum of their declared waits.
pub(super) fn steps(
    item: &TomlItem<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<(Vec<ScenarioStep>, Duration), FileError> {
    let mut order = StepOrder::new(&reading.rules);
    let (mut steps, mut takes) = (Vec::new(), Duration::ZERO);
    for element in item.elements()? {
        let mut fields = element.fields()?;
        let is_chosen = reading.is_chosen(&mut fields)?;
        let (action, wait) = step(&mut fields, reading)?;
        fields.finish()?;
        if is_chosen {
            order.check(&action, &element)?;
            takes += wait;
            let line = reading.source.line(element.value.span().start);
            steps.push(ScenarioStep { line, action });
        }
    }
    Ok((steps, takes))
}

fn step(
    fields: &mut TomlFields<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<(Action, Duration), FileError> {
    for (key, host) in [("client", Host::Client), ("server", Host::Server)] {
        let Some(item) = fields.take(key) else { continue };
        let signal = match item.text()? {
            "stop" => Some(Signal::Stop),
            "continue" => Some(Signal::Continue),
            "kill" => Some(Signal::Kill),
            _ => None,
        };
        let action = match signal {
            Some(signal) => Action::Signal(host, signal),
            None => Action::Call(host, calls::call(&item, fields)?),
        };
        return Ok((action, Duration::ZERO));
    }
    if let Some(item) = fields.take("set") {
        return Ok((Action::SetRule(rule(&item, reading)?), Duration::ZERO));
    }
    if let Some(item) = fields.take("release") {
        return Ok((Action::ReleaseRule(rule(&item, reading)?), Duration::ZERO));
    }
    let fix = "begin a step with one of `client`, `server`, `wait`, `set`, `release`";
    let host = match fields.take("wait") {
        Some(item) => item.host()?,
        None => {
            return Err(fields.source.error(fields.span.clone(), "steps", "does nothing", fix));
        }
    };
    wait(host, fields, reading)
}

fn wait(
    host: Host,
    fields: &mut TomlFields<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<(Action, Duration), FileError> {
    let within = fields.expression("within")?;
    let within = within.map(|(item, expression)| {
        expression.window(&reading.context(host)).map_err(|error| {
            item.error(
                error.to_string(),
                "write how long it takes, for example \"tcp_fin_timeout\"",
            )
        })
    });
    let within = within.transpose()?.unwrap_or_default();
    let action = Action::Wait {
        condition: condition(host, fields, reading)?,
        within: within.latest.saturating_add(PATIENCE),
    };
    Ok((action, within.promise))
}

/// Parses the one of these keys that is present.
fn condition(
    host: Host,
    fields: &mut TomlFields<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<Condition, FileError> {
    if let Some(item) = fields.take("state") {
        return Ok(Condition::State(host, item.state()?));
    }
    if let Some(item) = fields.take("returned") {
        let call = item.word(calls::SYSTEM_CALLS.map(|call| (call, call)))?;
        let socket = fields.name("socket", calls::CONNECTION)?;
        return Ok(Condition::Returned { host, socket, call: call.to_owned() });
    }
    let retransmits = fields.take("retransmits");
    let segment = fields.take("segment");
    let dropped_by = fields.take("dropped_by");
    let count = fields.number("count", 1..1 << 32)?.unwrap_or(1);
    match (retransmits, segment, dropped_by) {
        (Some(item), None, None) => {
            let segment = item.word(SegmentKind::ALL.map(|segment| (segment.word(), segment)))?;
            Ok(Condition::Retransmits { host, segment, count })
        }
        (None, Some(item), None) => {
            let flags = rules::set_of_flags(&item)?;
            let zero_window = rules::zero_window(fields)?;
            Ok(Condition::Segment { host, flags, zero_window, count })
        }
        (None, None, Some(item)) => {
            let rule = rule(&item, reading)?;
            Ok(Condition::Dropped { rule, count })
        }
        _ => Err(fields.source.error(
            fields.span.clone(),
            "wait",
            "does not say for what, or for more than one thing",
            "add one of `state`, `returned`, `retransmits`, `segment`, `dropped_by`; a pause is \
             not possible",
        )),
    }
}

/// The slot of a rule.
pub(super) fn rule(item: &TomlItem<'_>, reading: &ScenarioParts<'_>) -> Result<usize, FileError> {
    let name = item.text()?;
    reading.rules.iter().position(|rule| rule.name == name).ok_or_else(|| {
        let known: Vec<_> = reading.rules.iter().map(|rule| rule.name.as_str()).collect();
        let fix = advice(name, &known);
        item.error(format!("there is no rule \"{}\"", name.escape_debug()), fix)
    })
}
