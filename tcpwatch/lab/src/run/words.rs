//! Texts about waits and about rules that dropped nothing.

use tcpwatch_core::event::TcpState;

use crate::{
    scenario::{Condition, DropRule},
    story::{MomentKind, StoryEvent},
};

/// A warning for each rule that dropped nothing; `dropped` has the counts by slot.
pub(super) fn idle_rules(rules: &[DropRule], dropped: &[u64], story: &[StoryEvent]) -> Vec<String> {
    let is_set = |slot| {
        story.iter().any(|moment| matches!(moment.what, MomentKind::RuleSet(set) if set == slot))
    };
    let idle = rules.iter().zip(dropped).enumerate().filter(|(_, (_, dropped))| **dropped == 0);
    idle.map(|(slot, (DropRule { name, .. }, _))| {
        if is_set(slot) {
            format!(
                "rule \"{name}\" never matched: no segment was dropped by it; look at its `on`, \
                 `way`, flags and ports, and at what passed while it was set"
            )
        } else {
            format!(
                "rule \"{name}\" was never set: write `from_start = true` or a step \
                 `{{ set = \"{name}\" }}`"
            )
        }
    })
    .collect()
}

pub(super) fn states(states: &[TcpState]) -> String {
    let words: Vec<_> = states.iter().map(ToString::to_string).collect();
    words.join(", ")
}

pub(super) fn condition(condition: &Condition, rules: &[DropRule]) -> String {
    match condition {
        Condition::State(host, state) => format!("{state} on the {host}"),
        Condition::Retransmits { host, segment, count } => {
            format!("{count} retransmissions of {} by the {host}", segment.word())
        }
        Condition::Segment { host, flags, zero_window, count } => {
            let window = if *zero_window { " and a zero window" } else { "" };
            format!("{count} segments with {flags}{window} on their way to the {host}")
        }
        Condition::Returned { host, socket, call } => {
            format!("the {host}'s {call}() on \"{socket}\" to return")
        }
        Condition::Dropped { rule, count } => match rules.get(*rule) {
            Some(rule) => format!("rule \"{}\" to drop {count} segments", rule.name),
            None => format!("rule {rule} to drop {count} segments"),
        },
    }
}
