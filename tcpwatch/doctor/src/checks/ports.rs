//! Local ports that run out: by destination and owner, with a forecast.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::Duration,
};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Direction, Endpoint, KernelTime, Netns, TcpState},
    facts::{HostFacts, NetnsFacts, PortUse},
    track::{Reason, Subject, TrackedEvent},
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    span::Span,
    whose::Whose,
};

/// Percent of the ports in use from which a destination is reported, and from which it is if it grows.
const ALMOST: u64 = 80;
const HALF: u64 = 50;
/// How far ahead a forecast is worth a finding.
const SOON: Duration = Duration::from_mins(10);
/// `TCP_TIMEWAIT_LEN` (`include/net/tcp.h`).
const TIME_WAIT: Duration = Duration::from_mins(1);
/// Destinations that are watched at most.
const MOST: usize = 1 << 12;

type PortsKey = (Netns, IpAddr, Endpoint);

#[derive(Default)]
pub(super) struct PortUses {
    failed: HashMap<(Netns, Endpoint), Failed, FxBuildHasher>,
    /// Who connected last.
    owners: HashMap<(Netns, Endpoint), Subject, FxBuildHasher>,
    /// The uses that the first and the last look found.
    uses: BTreeMap<PortsKey, (Sample, Sample)>,
}

struct Failed {
    subject: Subject,
    first: KernelTime,
    count: u64,
    examples: Vec<Example>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: KernelTime,
    taken: u32,
    seen: PortUse,
}

impl PortUses {
    fn own(&mut self, subject: &Subject) {
        let key = (subject.netns, subject.ends.remote);
        let goes_out = subject.direction == Some(Direction::Outgoing);
        if goes_out && (self.owners.len() < MOST || self.owners.contains_key(&key)) {
            self.owners.insert(key, *subject);
        }
    }

    fn fail(&mut self, at: KernelTime, subject: &Subject) {
        let key = (subject.netns, subject.ends.remote);
        if self.failed.len() >= MOST && !self.failed.contains_key(&key) {
            return;
        }
        let fresh = Failed { subject: *subject, first: at, count: 0, examples: Vec::new() };
        let failed = self.failed.entry(key).or_insert(fresh);
        failed.count += 1;
        if failed.examples.len() < EXAMPLES {
            let note = "connect(): EADDRNOTAVAIL".to_owned();
            failed.examples.push(Example { note, ..Example::of(subject, TcpState::SynSent) });
        }
    }
}

impl Check for PortUses {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change) if change.reason == Some(Reason::NoPort) => {
                self.fail(change.at, &change.subject);
            }
            TrackedEvent::Change(change) if change.from == TcpState::SynSent => {
                self.own(&change.subject);
            }
            TrackedEvent::Existing(known) => self.own(&known.subject),
            _ => {}
        }
    }

    fn facts(&mut self, facts: &HostFacts) {
        for here in &facts.namespaces {
            for seen in &here.destinations {
                let sample = Sample { at: facts.at, taken: taken(here, seen), seen: *seen };
                let key = (here.netns, seen.local, seen.remote);
                if self.uses.len() < MOST || self.uses.contains_key(&key) {
                    self.uses.entry(key).or_insert((sample, sample)).1 = sample;
                }
            }
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        for ((netns, remote), failed) in &self.failed {
            let ports = seen.here(*netns).map(|here| here.ports);
            let used = self.uses.iter().filter(|((here, _, to), _)| (here, to) == (netns, remote));
            let used = used.map(|(_, (_, last))| last.seen).max_by_key(|seen| seen.used);
            let whose = seen.whose(&failed.subject);
            let range = ports.map_or_else(String::new, |ports| format!(" of {ports}"));
            let used = used.map_or_else(String::new, |used| {
                format!(": {}{range} in use, {} of them in TIME_WAIT", used.used, used.time_wait)
            });
            let what = format!(
                "{whose} found no local port to connect to {remote}, {} times{used}",
                failed.count
            );
            into.push(Finding {
                since: Some(failed.first),
                basis: "connect() failed with EADDRNOTAVAIL before a SYN was sent".to_owned(),
                examples: failed.examples.clone(),
                ..Finding::new(
                    Kind::Ports,
                    (Severity::Critical, Certainty::Certain),
                    failed.count,
                    whose,
                    what,
                )
            });
        }
        for ((netns, _, remote), (first, last)) in &self.uses {
            let is_now = seen.last.as_ref().is_some_and(|facts| facts.at == last.at);
            if is_now && !self.failed.contains_key(&(*netns, *remote)) {
                into.extend(self.growing(*netns, *first, *last, seen));
            }
        }
    }
}

/// Ports that a new connection to the same destination cannot take. One in TIME_WAIT can be taken after a second
/// where `tcp_tw_reuse` allows it (`tcp_twsk_unique`, `net/ipv4/tcp_ipv4.c`): 1 everywhere, 2 on loopback.
fn taken(here: &NetnsFacts, seen: &PortUse) -> u32 {
    let timestamps = here.ipv4("tcp_timestamps").is_none_or(|value| value != 0);
    let reused = match here.ipv4("tcp_tw_reuse") {
        Some(1) => true,
        Some(2) => seen.local.is_loopback() || seen.remote.address.is_loopback(),
        _ => false,
    };
    if reused && timestamps { seen.used - seen.time_wait } else { seen.used }
}

impl PortUses {
    fn growing(
        &self,
        netns: Netns,
        first: Sample,
        last: Sample,
        seen: &mut Surroundings,
    ) -> Option<Finding> {
        let remote = last.seen.remote;
        let ports = seen.here(netns)?.ports.max(1);
        let percent = u64::from(last.taken) * 100 / u64::from(ports);
        let forecast = forecast(first, last, ports);
        let soon = forecast.is_some_and(|left| left <= SOON);
        if percent < HALF || (percent < ALMOST && !soon) {
            return None;
        }
        // A server's own port is no port that was chosen, whatever range it is in.
        let owner = self.owners.get(&(netns, remote)).copied();
        let whose = owner.map_or_else(|| Whose::unknown(netns), |subject| seen.whose(&subject));
        let left = forecast.map_or_else(
            || "the number does not grow".to_owned(),
            |left| format!("at this rate none is left in {}", Span(left)),
        );
        let what = format!(
            "{} of {ports} local ports ({percent}%) are in use to {remote} by {whose}, {} of them in TIME_WAIT; {left}",
            last.seen.used, last.seen.time_wait
        );
        let sure = if forecast.is_some() { Certainty::Likely } else { Certainty::Certain };
        Some(Finding {
            since: Some(first.at),
            basis: "counted by sock_diag; the forecast takes the rate between the first look and the last".to_owned(),
            ..Finding::new(Kind::Ports, (Severity::Warning, sure), last.taken, whose, what)
        })
    }
}

/// When the ports are used up, if the number of them grows as it has. What is in TIME_WAIT leaves after 60 s, so that
/// a rate that fills no more than the ports within that time never uses them up.
fn forecast(first: Sample, last: Sample, ports: u32) -> Option<Duration> {
    let span = last.at.since(first.at);
    let more = last.taken.checked_sub(first.taken).filter(|more| *more > 0)?;
    let left = ports.saturating_sub(last.taken);
    let fills = span.checked_mul(left)? / more;
    let waits = last.seen.time_wait.saturating_sub(first.seen.time_wait);
    let mostly_waiting = u64::from(waits) * 2 > u64::from(more);
    let never = mostly_waiting && fills > TIME_WAIT;
    (!never).then_some(fills)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn sample(second: u64, taken: u32, time_wait: u32) -> Sample {
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let remote = Endpoint { address, port: 80 };
        let seen = PortUse { local: address, remote, used: taken, time_wait, cgroup: None };
        Sample { at: KernelTime(second * 1_000_000_000), taken, seen }
    }

    #[test]
    fn a_pool_that_grows_runs_out_when_the_rest_is_used_up() {
        let left = forecast(sample(0, 500, 0), sample(10, 600, 0), 1000);
        assert_eq!(left, Some(Duration::from_secs(40)));
        assert_eq!(forecast(sample(0, 600, 0), sample(10, 600, 0), 1000), None);
    }

    #[test]
    fn time_wait_that_ends_before_the_ports_are_used_up_is_no_shortage() {
        assert_eq!(forecast(sample(0, 500, 500), sample(10, 550, 550), 1000), None);
        let left = forecast(sample(0, 500, 500), sample(10, 600, 600), 1000);
        assert_eq!(left, Some(Duration::from_secs(40)));
    }
}
