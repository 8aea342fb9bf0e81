//! What a step waits for, in words.

use crate::lab::scenario::{Condition, Rule};

pub(super) fn condition(condition: &Condition, rules: &[Rule]) -> String {
    match condition {
        Condition::State(host, state) => format!("{state} on the {host}"),
        Condition::Retransmits { host, segment, count } => {
            format!("{count} retransmissions of {} by the {host}", segment.word())
        }
        Condition::Segment { host, flags, count } => {
            format!("{count} segments with {flags} on their way to the {host}")
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
