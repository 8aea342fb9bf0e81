//! Connects from a fixed local port that is still in use to the same destination.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Endpoint, KernelTime, TcpState},
    track::{Reason, Subject, TrackedEvent},
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    whose::OwnerKey,
};

/// Destinations that are watched at most.
const MOST: usize = 1 << 12;

#[derive(Default)]
pub(super) struct TuplesInUse {
    met: HashMap<(OwnerKey, Endpoint), TupleCase, FxBuildHasher>,
}

struct TupleCase {
    subject: Subject,
    since: KernelTime,
    count: u64,
    examples: Vec<Example>,
}

impl Check for TuplesInUse {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        let TrackedEvent::Change(change) = tracked else { return };
        if change.reason != Some(Reason::TupleInUse) {
            return;
        }
        let subject = change.subject;
        let key = (OwnerKey::of(&subject), subject.ends.remote);
        if self.met.len() >= MOST && !self.met.contains_key(&key) {
            return;
        }
        let fresh = TupleCase { subject, since: change.at, count: 0, examples: Vec::new() };
        let met = self.met.entry(key).or_insert(fresh);
        met.count += 1;
        if met.examples.len() < EXAMPLES {
            let note = "connect(): EADDRNOTAVAIL".to_owned();
            met.examples.push(Example { note, ..Example::of(&subject, TcpState::SynSent) });
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        for ((_, remote), met) in &self.met {
            let whose = seen.whose(&met.subject);
            let (count, port) = (met.count, met.subject.ends.local.port);
            let what = format!(
                "{count} connects of {whose} to {remote} failed: it binds local port {port}, which another connection \
                 to the same destination has, perhaps in TIME_WAIT"
            );
            let sure = (Severity::Warning, Certainty::Certain);
            into.push(Finding {
                since: Some(met.since),
                basis: "the kernel's reason for the end of the connect".to_owned(),
                examples: met.examples.clone(),
                ..Finding::new(Kind::TupleInUse, sure, count, whose, what)
            });
        }
    }
}
