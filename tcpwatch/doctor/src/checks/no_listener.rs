//! Peers that connect to a port on which nothing listens.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use tcpwatch_core::{
    event::{KernelTime, Netns, ResetDirection},
    track::TrackedEvent,
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    whose::Whose,
};

/// Connects of one host to one port that are no scan.
const LEAST: usize = 3;
/// Ports and hosts that are watched at most.
const MOST: usize = 1 << 12;

#[derive(Default)]
pub(super) struct ClosedPorts {
    met: BTreeMap<(Netns, u16, IpAddr), NoListenerCase>,
}

struct NoListenerCase {
    since: KernelTime,
    count: u64,
    /// Source ports: segments of one connection that is gone have the same.
    ports: BTreeSet<u16>,
    examples: Vec<Example>,
}

impl Check for ClosedPorts {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        let TrackedEvent::Reset(reset) = tracked else { return };
        let subject = &reset.subject;
        let (local, remote) = (subject.ends.local, subject.ends.remote);
        let by_none = reset.state.is_none() && subject.socket.is_none();
        let why = reset.why.as_deref().is_none_or(|why| why == "no_socket");
        // What connects from this host has its own finding, with its owner.
        let from_here = remote.address.is_loopback() || remote.address == local.address;
        if reset.direction != ResetDirection::Sent || !by_none || !why || from_here {
            return;
        }
        let key = (subject.netns, local.port, remote.address);
        if self.met.len() >= MOST && !self.met.contains_key(&key) {
            return;
        }
        let fresh = NoListenerCase {
            since: reset.at,
            count: 0,
            ports: BTreeSet::new(),
            examples: Vec::new(),
        };
        let met = self.met.entry(key).or_insert(fresh);
        met.count += 1;
        if met.ports.len() < MOST {
            met.ports.insert(remote.port);
        }
        if met.examples.len() < EXAMPLES {
            let (ends, note) = (subject.ends, String::new());
            met.examples.push(Example { socket: None, ends, state: None, lasted: None, note });
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        for ((netns, port, host), met) in &self.met {
            let local = met.examples.first().map(|example| example.ends.local);
            let listens = local.is_some_and(|local| seen.listener(*netns, local).is_some());
            if met.ports.len() < LEAST || listens {
                continue;
            }
            let count = met.count;
            let what = format!(
                "{host} connects to port {port} of this host, on which nothing listens, {count} times"
            );
            let sure = (Severity::Notice, Certainty::Certain);
            into.push(Finding {
                since: Some(met.since),
                basis: "each SYN was answered by a reset without a socket".to_owned(),
                examples: met.examples.clone(),
                ..Finding::new(Kind::NoListener, sure, count, Whose::unknown(*netns), what)
            });
        }
    }
}
