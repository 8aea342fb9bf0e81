//! What `--live` has reported already.

use std::{collections::HashMap, time::Duration};

use tcpwatch_core::event::KernelTime;
use tcpwatch_doctor::{Finding, FindingKey, Severity};

/// A finding that was over for as long is reported again.
const OVER: Duration = Duration::from_mins(1);

/// The findings that were reported, and when each was seen last. One that gets worse is another.
#[derive(Default)]
pub(super) struct Reported(HashMap<(FindingKey, Severity), KernelTime>);

impl Reported {
    /// Those of the findings at `now` that are to be reported.
    pub(super) fn new_ones(&mut self, findings: Vec<Finding>, now: KernelTime) -> Vec<Finding> {
        self.0.retain(|_, seen| now.since(*seen) < OVER);
        let mut is_new =
            |finding: &Finding| self.0.insert((finding.key(), finding.severity), now).is_none();
        findings.into_iter().filter(|finding| is_new(finding)).collect()
    }
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::event::Netns;
    use tcpwatch_doctor::{Certainty, Kind, Whose};

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
