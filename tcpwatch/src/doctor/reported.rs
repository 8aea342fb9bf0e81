//! What `--live` has reported already.

use std::{collections::HashMap, time::Duration};

use tcpwatch_core::event::{KernelTime, Netns, process::Comm};
use tcpwatch_doctor::{Finding, Kind, Severity};

/// A finding that was over for as long is reported again.
const OVER: Duration = Duration::from_mins(1);

/// What stays the same of a finding while its numbers change. One that gets worse is another.
type Name = (Kind, Severity, Netns, Option<Comm>, String, String);

/// The findings that were reported, and when each was seen last.
#[derive(Default)]
pub(super) struct Reported(HashMap<Name, KernelTime>);

impl Reported {
    /// Those of the findings at `now` that are to be reported.
    pub(super) fn new_ones(&mut self, findings: Vec<Finding>, now: KernelTime) -> Vec<Finding> {
        self.0.retain(|_, seen| now.since(*seen) < OVER);
        findings.into_iter().filter(|finding| self.0.insert(name(finding), now).is_none()).collect()
    }
}

fn name(finding: &Finding) -> Name {
    let Finding { kind, severity, whose, about, .. } = finding;
    let comm = whose.process.map(|process| process.comm);
    (*kind, *severity, whose.netns, comm, whose.place_name().unwrap_or_default(), about.clone())
}

#[cfg(test)]
mod tests {
    use tcpwatch_doctor::{Certainty, Whose};

    use super::*;

    fn leak(about: &str, severity: Severity, count: u64) -> Finding {
        Finding {
            kind: Kind::CloseWaitLeak,
            severity,
            certainty: Certainty::Certain,
            basis: String::new(),
            what: String::new(),
            about: about.to_owned(),
            whose: Whose::unknown(Netns(1)),
            since: Some(KernelTime(count)),
            count,
            examples: Vec::new(),
            change: Vec::new(),
        }
    }

    #[test]
    fn a_finding_is_reported_when_it_shows_when_it_gets_worse_and_when_it_comes_back() {
        let mut reported = Reported::default();
        let mut says = |second: u64, findings: Vec<Finding>| {
            reported.new_ones(findings, KernelTime(second * 1_000_000_000)).len()
        };
        let small = |count| leak("port 80", Severity::Notice, count);
        assert_eq!(says(1, vec![small(3), leak("port 81", Severity::Notice, 1)]), 2);
        assert_eq!(says(2, vec![small(4)]), 0);
        assert_eq!(says(3, vec![leak("port 80", Severity::Warning, 40)]), 1);
        assert_eq!(says(30, vec![leak("port 80", Severity::Warning, 41)]), 0);
        assert_eq!(says(95, Vec::new()), 0);
        assert_eq!(says(96, vec![leak("port 80", Severity::Warning, 42)]), 1);
    }
}
