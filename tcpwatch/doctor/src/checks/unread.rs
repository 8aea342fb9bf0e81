//! Applications that do not read: data has come and stays in the receive queue.

use std::{collections::HashMap, time::Duration};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, KernelTime, TcpState, Waiter},
    facts::HostFacts,
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    span::Span,
    whose::OwnerKey,
};

/// An application that has read nothing for as long does not read.
const LONG: Duration = Duration::from_secs(4);
/// Less than this many bytes may be what an application leaves on purpose.
const LEAST: u32 = 1 << 15;
/// Sockets that are watched at most.
const MOST: usize = 1 << 14;

#[derive(Default)]
pub(super) struct Unreads {
    queued: HashMap<Cookie, Queued, FxBuildHasher>,
}

struct Queued {
    waiter: Waiter,
    /// Nothing was read since.
    since: KernelTime,
    /// Bytes that were read by then.
    read: u64,
    last: KernelTime,
}

impl Check for Unreads {
    fn facts(&mut self, facts: &HostFacts) {
        for waiter in facts.sockets() {
            let known = &waiter.known;
            let held = known.state == TcpState::Established && known.inode != 0;
            if !held || waiter.receive_queue < LEAST || self.queued.len() >= MOST {
                continue;
            }
            let received = waiter.tcp.and_then(|tcp| tcp.bytes_received);
            let Some(read) =
                received.map(|bytes| bytes.saturating_sub(waiter.receive_queue.into()))
            else {
                continue;
            };
            let fresh = Queued { waiter: *waiter, since: known.seen, read, last: facts.at };
            let queued = self.queued.entry(known.socket).or_insert(fresh);
            if queued.read != read {
                (queued.since, queued.read) = (known.seen, read);
            }
            (queued.waiter, queued.last) = (*waiter, facts.at);
        }
        self.queued.retain(|_, queued| queued.last == facts.at);
    }

    fn findings(&self, now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut groups: HashMap<OwnerKey, Vec<&Queued>, FxBuildHasher> = HashMap::default();
        for queued in self.queued.values().filter(|queued| now.since(queued.since) >= LONG) {
            let known = &queued.waiter.known;
            let subject = seen.subject(known.socket, known.netns, known.ends);
            groups.entry(OwnerKey::of(&subject)).or_default().push(queued);
        }
        for mut group in groups.into_values() {
            group.sort_by_key(|queued| queued.since);
            into.extend(finding(&group, now, seen));
        }
    }
}

fn finding(group: &[&Queued], now: KernelTime, seen: &mut Surroundings) -> Option<Finding> {
    let (oldest, count) = (group.first()?, group.len());
    let known = &oldest.waiter.known;
    let whose = seen.whose(&seen.subject(known.socket, known.netns, known.ends));
    let bytes: u64 = group.iter().map(|queued| u64::from(queued.waiter.receive_queue)).sum();
    let s = if count == 1 { "" } else { "s" };
    let what = format!(
        "{whose} does not read: {bytes} bytes stay in the receive queues of {count} connection{s}, for {} at least",
        Span(now.since(oldest.since))
    );
    let sure = (Severity::Warning, Certainty::Certain);
    let example = |queued: &&Queued| {
        let note = format!("{} bytes not read", queued.waiter.receive_queue);
        Example::of_waiter(&queued.waiter, now.since(queued.since), note)
    };
    Some(Finding {
        since: Some(oldest.since),
        basis: "the number of bytes that were read was the same in every look".to_owned(),
        examples: group.iter().take(EXAMPLES).map(example).collect(),
        ..Finding::new(Kind::NotRead, sure, count, whose, what)
    })
}
