//! Where segments are dropped, and the rules that do so.

use tcpwatch_core::event::KernelTime;

use super::script::{Script, ScriptRule};
use crate::host::Host;

/// Where segments are dropped, and which.
pub(super) struct LossPlace {
    pub(super) name: &'static str,
    pub(super) on: Host,
    pub(super) way: &'static str,
    pub(super) matches: &'static [&'static str],
}

pub(super) const SYN: &[&str] = &["flags = \"SYN\""];
pub(super) const SYN_ACK: &[&str] = &["flags = \"SYN+ACK\""];
pub(super) const FIN: &[&str] = &["mask = \"FIN\"", "value = \"FIN\""];
pub(super) const ACK: &[&str] = &["flags = \"ACK\""];
pub(super) const ALL: &[&str] = &[];

pub(super) fn rule_name(place: &LossPlace) -> String {
    if place.way == "out" {
        return format!("{}-of-the-{}", place.name, place.on);
    }
    format!("{}-to-the-{}", place.name, place.on)
}

/// Adds a rule, or lets one that drops the same last longer.
pub(super) fn rule(
    script: &mut Script<'_>,
    place: &LossPlace,
    set: KernelTime,
    released: Option<(KernelTime, String)>,
) {
    let name = rule_name(place);
    let overlapping = script.rules.iter_mut().find(|known| {
        (known.on, known.way, known.matches) == (place.on, place.way, place.matches)
            && known.released.as_ref().is_none_or(|(at, _)| *at >= set)
    });
    if let Some(known) = overlapping {
        known.set = known.set.min(set);
        known.released = match (known.released.take(), released) {
            (Some(one), Some(other)) => Some(if one.0 >= other.0 { one } else { other }),
            _ => None,
        };
        return;
    }
    let taken = script.rules.iter().filter(|known| known.name.starts_with(&name)).count();
    let name = if taken == 0 { name } else { format!("{name}-{}", taken + 1) };
    let LossPlace { on, way, matches, .. } = *place;
    script.rules.push(ScriptRule { name, on, way, matches, set, released });
}
