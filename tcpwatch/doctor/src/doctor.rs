//! Takes what a run yields, hands out findings.

use std::{cmp::Reverse, sync::Arc};

use tcpwatch_core::{
    event::{CgroupId, KernelTime},
    facts::HostFacts,
    place::CgroupPlace,
    sink::Loss,
    track::TrackedEvent,
};

use crate::{
    checks::{self, Check},
    finding::{Finding, Kind},
    seen::Surroundings,
};

/// Judges a run. Its memory is bounded: every table has a limit, and what does not fit is left out.
pub struct Doctor {
    seen: Surroundings,
    checks: Vec<Box<dyn Check>>,
    lost: u64,
    events: u64,
}

impl Default for Doctor {
    fn default() -> Self {
        Self { seen: Surroundings::default(), checks: checks::all(), lost: 0, events: 0 }
    }
}

impl Doctor {
    /// Takes in an event.
    pub fn tracked(&mut self, tracked: &TrackedEvent) {
        self.events += 1;
        self.seen.note_time(tracked.at());
        for check in &mut self.checks {
            check.tracked(tracked);
        }
        self.seen.note(tracked);
    }

    /// Takes in where a cgroup is.
    pub fn place(&mut self, id: CgroupId, place: &Arc<CgroupPlace>) {
        self.seen.place(id, place);
    }

    /// Takes in a loss.
    pub fn loss(&mut self, loss: &Loss) {
        self.lost += loss.count;
    }

    /// Takes in a look at the kernel, later than all events so far.
    pub fn facts(&mut self, facts: &HostFacts) {
        self.seen.note_time(facts.at);
        for check in &mut self.checks {
            check.facts(facts);
        }
        self.seen.first.get_or_insert_with(|| facts.clone());
        self.seen.last = Some(facts.clone());
    }

    /// What is wrong at `now`, worst first.
    pub fn findings(&mut self, now: KernelTime) -> Vec<Finding> {
        let mut findings = Vec::new();
        for check in &self.checks {
            check.findings(now, &mut self.seen, &mut findings);
        }
        checks::unsafe_sysctls(&mut self.seen, &mut findings);
        findings.sort_by_key(|finding| {
            let Finding { severity, certainty, count, kind, .. } = finding;
            (Reverse(*severity), Reverse(*certainty), Reverse(*count), *kind)
        });
        findings
    }

    /// The latest moment that anything was seen of; zero if there was nothing to see.
    #[must_use]
    pub fn until(&self) -> KernelTime {
        self.seen.until.unwrap_or(KernelTime(0))
    }

    /// The moment of the first event or look.
    #[must_use]
    pub const fn began(&self) -> Option<KernelTime> {
        self.seen.began
    }

    /// Events that were judged.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Network namespaces that were looked at, and the listeners in them.
    #[must_use]
    pub fn looked_at(&self) -> (usize, usize) {
        let listeners = self.seen.namespaces().map(|facts| facts.listeners.len()).sum();
        (self.seen.namespaces().count(), listeners)
    }

    /// The kinds of findings that were looked for.
    #[must_use]
    pub fn checked(&self) -> Vec<Kind> {
        let needs_facts = [Kind::Ports, Kind::ZeroWindow, Kind::NotRead];
        let has_facts = self.seen.last.is_some();
        Kind::ALL.iter().copied().filter(|kind| has_facts || !needs_facts.contains(kind)).collect()
    }

    /// What could not be seen, in words.
    #[must_use]
    pub fn not_seen(&self) -> Vec<String> {
        let mut words = match &self.seen.last {
            Some(facts) => facts.unseen.clone(),
            None => vec![
                "no look at the kernel: counters, sysctls, queues of listeners, ports in use, windows (a \
                 recording made with `tcpwatch doctor --record` has them)"
                    .to_owned(),
            ],
        };
        if self.lost > 0 {
            words.push(format!("{} records that were lost", self.lost));
        }
        words
    }
}
