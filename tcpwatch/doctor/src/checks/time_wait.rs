//! TIME_WAIT that is cut short because there is no room for it.

use std::collections::BTreeMap;

use tcpwatch_core::{
    event::{KernelTime, Netns},
    track::{Reason, TrackedEvent},
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    whose::Whose,
};

/// Namespaces that are watched at most.
const MOST: usize = 1 << 12;

#[derive(Default)]
pub(super) struct TimeWaitOverflowCheck {
    met: BTreeMap<Netns, (KernelTime, u64, Vec<Example>)>,
}

impl Check for TimeWaitOverflowCheck {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        let TrackedEvent::Change(change) = tracked else { return };
        let netns = change.subject.netns;
        let has_room = self.met.len() < MOST || self.met.contains_key(&netns);
        if change.reason != Some(Reason::TimeWaitOverflow) || !has_room {
            return;
        }
        let (_, count, examples) = self.met.entry(netns).or_insert((change.at, 0, Vec::new()));
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(Example::of(&change.subject, change.from));
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut namespaces: Vec<Netns> = seen.namespaces().map(|here| here.netns).collect();
        namespaces.extend(self.met.keys());
        namespaces.sort_unstable();
        namespaces.dedup();
        for netns in namespaces {
            let counted = seen.growth(netns, "TCPTimeWaitOverflow");
            let met = self.met.get(&netns);
            let count = counted.max(met.map_or(0, |(_, count, _)| *count));
            if count == 0 {
                continue;
            }
            let limit = seen.here(netns).and_then(|here| here.ipv4("tcp_max_tw_buckets"));
            let limit_is = limit.map_or_else(String::new, |limit| format!(" ({limit})"));
            let what = format!(
                "{count} connections were closed without TIME_WAIT: tcp_max_tw_buckets{limit_is} is used up, and late \
                 segments of an old connection can reach a new one"
            );
            let sure = (Severity::Warning, Certainty::Certain);
            let change = limit.map(|limit| {
                format!(
                    "sysctl -w net.ipv4.tcp_max_tw_buckets={} (it is {limit})",
                    (limit * 4).max(65_536)
                )
            });
            into.push(Finding {
                since: met.map(|(since, ..)| *since).or(seen.began),
                basis: format!("the kernel's reason, and TCPTimeWaitOverflow +{counted}"),
                examples: met.map(|(.., examples)| examples.clone()).unwrap_or_default(),
                change: change.into_iter().collect(),
                ..Finding::new(Kind::TimeWaitOverflow, sure, count, Whose::unknown(netns), what)
            });
        }
    }
}
