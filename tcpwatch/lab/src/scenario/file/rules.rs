//! Parses `[[rule]]`: which segments are dropped.

use tcpwatch_core::event::{TcpFlags, Way};
use tcpwatch_kernel::probe::DroppedSegments;

use super::{
    fields::{TomlFields, TomlItem},
    source::FileError,
};
use crate::scenario::{DropRule, expression::EvaluationContext};

/// The number of slots of the kernel side.
pub(crate) const MOST_RULES: usize = 8;
/// The flags that are compared when a rule or an expectation gives `flags`.
const LOOKED_AT: TcpFlags =
    TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0 | TcpFlags::FIN.0 | TcpFlags::RST.0);

pub(super) fn rules(
    item: Option<TomlItem<'_>>,
    context: &EvaluationContext<'_>,
) -> Result<Vec<DropRule>, FileError> {
    let Some(item) = item else { return Ok(Vec::new()) };
    let mut rules: Vec<DropRule> = Vec::new();
    for element in item.elements()? {
        let rule = rule(element.fields()?, context)?;
        if rules.iter().any(|other| other.name == rule.name) {
            return Err(element.error("has a name that another rule has", "give it one of its own"));
        }
        if rules.len() == MOST_RULES {
            return Err(
                element.error("exceeds the number of rules", format!("{MOST_RULES} are possible"))
            );
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(
    mut fields: TomlFields<'_>,
    context: &EvaluationContext<'_>,
) -> Result<DropRule, FileError> {
    let name = fields.need("name", "give the rule a name, for example \"no-syn-ack\"")?;
    let host =
        fields.need("on", "give the host whose link it is on: \"client\" or \"server\"")?.host()?;
    let way = way(&mut fields)?.unwrap_or(Way::In);
    let flags = fields.take("flags").map(|item| flags(&item)).transpose()?;
    let mask = fields.take("mask").map(|item| set_of_flags(&item)).transpose()?;
    let value_item = fields.take("value");
    let value = value_item.as_ref().map(set_of_flags).transpose()?;
    let (mask, value) = match (flags, mask, value) {
        (Some(flags), None, None) => flags,
        (None, Some(mask), Some(value)) => (mask, value),
        (None, None, None) => (TcpFlags::default(), TcpFlags::default()),
        _ => {
            return Err(fields.source.error(
                fields.span.clone(),
                "flags",
                "cannot be combined with `mask` and `value`, which need each other",
                "write either `flags`, or `mask` and `value`, or none of them for every segment",
            ));
        }
    };
    if let Some(item) = value_item.filter(|_| !mask.has(value)) {
        return Err(item.error("has flags that are not in `mask`", "it would never match"));
    }
    let rule = DropRule {
        name: name.text()?.to_owned(),
        host,
        drops: DroppedSegments {
            way,
            local_port: fields.number("local_port", 1..65_536)?,
            remote_port: fields.number("remote_port", 1..65_536)?,
            mask,
            value,
            count: fields.number("count", 1..1 << 32)?,
            for_ns: fields
                .time("for", context)?
                .map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        },
        from_start: fields.take("from_start").map_or(Ok(false), |item| item.boolean())?,
    };
    fields.finish()?;
    Ok(rule)
}

pub(super) fn way(fields: &mut TomlFields<'_>) -> Result<Option<Way>, FileError> {
    fields.take("way").map(|item| item.word([("in", Way::In), ("out", Way::Out)])).transpose()
}

/// Whether only segments that close the window count.
pub(super) fn zero_window(fields: &mut TomlFields<'_>) -> Result<bool, FileError> {
    fields.take("zero_window").map_or(Ok(false), |item| item.boolean())
}

/// `"SYN+ACK"`: these are set, and others of [`LOOKED_AT`] are not.
pub(super) fn flags(item: &TomlItem<'_>) -> Result<(TcpFlags, TcpFlags), FileError> {
    let value = set_of_flags(item)?;
    Ok((TcpFlags(LOOKED_AT.0 | value.0), value))
}

pub(super) fn set_of_flags(item: &TomlItem<'_>) -> Result<TcpFlags, FileError> {
    let mut set = TcpFlags::default();
    for word in item.text()?.split('+') {
        let flag = match word.trim() {
            "FIN" => TcpFlags::FIN,
            "SYN" => TcpFlags::SYN,
            "RST" => TcpFlags::RST,
            "PSH" => TcpFlags::PSH,
            "ACK" => TcpFlags::ACK,
            "URG" => TcpFlags::URG,
            other => {
                let problem = format!("\"{}\" is not a flag", other.escape_debug());
                return Err(item.error(
                    problem,
                    "write for example \"SYN+ACK\"; the flags are FIN SYN RST PSH ACK URG",
                ));
            }
        };
        set = TcpFlags(set.0 | flag.0);
    }
    Ok(set)
}
