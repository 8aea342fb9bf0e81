//! Parses `[[expect]]`: what is expected of a host.

use tcpwatch_core::{
    event::{ResetDirection, SegmentKind, Way},
    track::{Handshake, Reason},
};

use super::{
    ScenarioParts, calls,
    fields::{TomlFields, TomlItem},
    rules,
    source::FileError,
    steps,
};
use crate::{
    host::Host,
    scenario::{
        expectation::{
            CallResult, Claim, Expectation, ExpectedStay, Lasts, Retries, Return, SegmentCount,
            Segments,
        },
        expression::{EvaluateError, Expression},
    },
};

/// As a duration: the state has not ended when the run ends.
const TO_THE_END: &str = "to the end";

/// The expectations of the chosen profile.
pub(super) fn expectations(
    item: &TomlItem<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<Vec<Expectation>, FileError> {
    let mut expectations = Vec::new();
    for element in item.elements()? {
        let mut fields = element.fields()?;
        let is_chosen = reading.is_chosen(&mut fields)?;
        let host = fields.need("host", "give the host: \"client\" or \"server\"")?.host()?;
        let connection = fields.number("connection", 1..1 << 16)?;
        let claim = claim(host, &mut fields, reading)?;
        let line = reading.source.line(element.value.span().start);
        fields.finish()?;
        if is_chosen {
            expectations.push(Expectation { line, host, connection, claim });
        }
    }
    if expectations.is_empty() {
        let fix = "add an `[[expect]]`";
        return Err(item.error("is empty for this profile, so nothing would be judged", fix));
    }
    Ok(expectations)
}

/// Parses the one of these keys that is present.
fn claim(
    host: Host,
    fields: &mut TomlFields<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<Claim, FileError> {
    if let Some(item) = fields.take("path") {
        let states: Result<Vec<_>, _> = item.elements()?.map(|item| item.state()).collect();
        return Ok(Claim::Path(states?));
    }
    if let Some(item) = fields.take("begins") {
        let states: Result<Vec<_>, _> = item.elements()?.map(|item| item.state()).collect();
        return Ok(Claim::Beginning(states?));
    }
    if let Some(item) = fields.take("state") {
        return Ok(Claim::Stay(stay(&item, host, fields, reading)?));
    }
    if let Some(item) = fields.take("never") {
        return Ok(Claim::Never(item.state()?));
    }
    if let Some(item) = fields.take("retransmits") {
        return Ok(Claim::Retransmits(retries(&item, host, fields, reading)?));
    }
    if let Some(item) = fields.take("returned") {
        return Ok(Claim::Returned(returned(&item, host, fields, reading)?));
    }
    if let Some(item) = fields.take("segments") {
        return Ok(Claim::Segments(segments(&item, host, fields, reading)?));
    }
    if let Some(item) = fields.take("reset") {
        return Ok(Claim::Reset(item.word([
            ("sent", Some(ResetDirection::Sent)),
            ("received", Some(ResetDirection::Received)),
            ("none", None),
        ])?));
    }
    if let Some(item) = fields.take("restarts") {
        let count = fields.number("count", 0..1 << 32)?.unwrap_or(1);
        return Ok(Claim::Restarts { state: item.state()?, count });
    }
    if let Some(item) = fields.take("handshake") {
        let words = [Handshake::FastOpen, Handshake::SynCookie].map(|way| (way.word(), way));
        return Ok(Claim::Handshake(item.word(words)?));
    }
    Err(fields.source.error(
        fields.span.clone(),
        "expect",
        "does not say what is expected",
        "add one of `path`, `begins`, `state`, `never`, `retransmits`, `returned`, `segments`, `reset`, \
         `restarts`, `handshake`",
    ))
}

fn stay(
    item: &TomlItem<'_>,
    host: Host,
    fields: &mut TomlFields<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<ExpectedStay, FileError> {
    let lasts = match fields.take("lasts") {
        None => None,
        Some(item) if item.value.get_ref().as_str() == Some(TO_THE_END) => Some(Lasts::ToTheEnd),
        Some(item) => {
            let expression = item.expression()?;
            fits(&item, expression.window(&reading.context(host)))?;
            Some(Lasts::Time(expression))
        }
    };
    let counted_from = fields
        .take("counted_from")
        .map(|item| item.word([("the beginning", false), ("the last restart", true)]));
    Ok(ExpectedStay {
        state: item.state()?,
        nth: fields.number("nth", 1..1 << 16)?.unwrap_or(1),
        lasts,
        from_restart: counted_from.transpose()?.unwrap_or(false),
        timer: window(fields, "timer", host, reading)?,
        ends: fields
            .take("ends")
            .map(|item| item.word(Reason::ALL.map(|why| (why.word(), why))))
            .transpose()?,
        then: fields.take("then").map(|item| item.state()).transpose()?,
    })
}

fn retries(
    item: &TomlItem<'_>,
    host: Host,
    fields: &mut TomlFields<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<Retries, FileError> {
    let schedule = fields.expression("schedule")?;
    if let Some((item, expression)) = &schedule {
        fits(item, expression.schedule(&reading.context(host)))?;
    }
    Ok(Retries {
        segment: item.word(SegmentKind::ALL.map(|segment| (segment.word(), segment)))?,
        schedule: schedule.map(|(_, expression)| expression),
        first: fields.number("first", 1..1 << 16)?,
        count: number(fields, "count", host, reading)?,
    })
}

fn returned(
    item: &TomlItem<'_>,
    host: Host,
    fields: &mut TomlFields<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<Return, FileError> {
    let result = fields.need("result", "give what it returns: 0, \"ok\", or an error's name")?;
    let result = if result.value.get_ref().is_integer() {
        CallResult::Value(result.number(0..i64::MAX)?)
    } else {
        match result.text()? {
            "ok" => CallResult::Ok,
            error if is_error_name(error) => CallResult::Error(error.to_owned()),
            _ => {
                let fix = "write 0, \"ok\", or for example \"ECONNREFUSED\"";
                return Err(result.error("is not a result of a system call", fix));
            }
        }
    };
    Ok(Return {
        call: item.word(calls::SYSTEM_CALLS.map(|name| (name, name)))?.to_owned(),
        socket: fields.name("socket", calls::CONNECTION)?,
        nth: fields.number("nth", 1..1 << 16)?.unwrap_or(1),
        result,
        takes: window(fields, "takes", host, reading)?,
    })
}

fn is_error_name(word: &str) -> bool {
    word.len() > 1
        && word.starts_with('E')
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

fn segments(
    item: &TomlItem<'_>,
    host: Host,
    fields: &mut TomlFields<'_>,
    reading: &ScenarioParts<'_>,
) -> Result<Segments, FileError> {
    let (mask, value) = rules::flags(item)?;
    let exactly = number(fields, "count", host, reading)?;
    let at_least = number(fields, "at_least", host, reading)?;
    let count = match (exactly, at_least) {
        (Some(count), None) => SegmentCount::Exactly(count),
        (None, Some(count)) => SegmentCount::AtLeast(count),
        _ => {
            let fix = "give their number by either `count` or `at_least`";
            return Err(item.error("need a number, and only one", fix));
        }
    };
    let dropped_by = fields.take("dropped_by");
    let dropped_by = dropped_by.map(|item| steps::rule(&item, reading)).transpose()?;
    let of_rule = dropped_by.and_then(|slot| reading.rules.get(slot));
    if let Some(rule) = of_rule.filter(|rule| rule.host != host) {
        let fix = format!("write `host = \"{}\"`", rule.host);
        return Err(item.error(format!("\"{}\" is a rule of the other host", rule.name), fix));
    }
    let usual = of_rule.map_or(Way::In, |rule| rule.drops.way);
    let way = rules::way(fields)?.unwrap_or(usual);
    let zero_window = rules::zero_window(fields)?;
    Ok(Segments { mask, value, way, count, zero_window, dropped_by })
}

fn window(
    fields: &mut TomlFields<'_>,
    key: &'static str,
    host: Host,
    reading: &ScenarioParts<'_>,
) -> Result<Option<Expression>, FileError> {
    let Some((item, expression)) = fields.expression(key)? else { return Ok(None) };
    fits(&item, expression.window(&reading.context(host)))?;
    Ok(Some(expression))
}

fn number(
    fields: &mut TomlFields<'_>,
    key: &'static str,
    host: Host,
    reading: &ScenarioParts<'_>,
) -> Result<Option<Expression>, FileError> {
    let Some((item, expression)) = fields.expression(key)? else { return Ok(None) };
    fits(&item, expression.number(&reading.context(host)))?;
    Ok(Some(expression))
}

/// The value, or an error at the item if it has none of the right kind with the sysctls that the file sets.
fn fits<T>(item: &TomlItem<'_>, value: Result<T, EvaluateError>) -> Result<T, FileError> {
    let fix = "`tcpwatch lab format` lists names, functions and units";
    value.map_err(|error| item.error(error.to_string(), fix))
}
