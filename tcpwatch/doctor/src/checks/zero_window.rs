//! Peers that do not read: their window stays closed while this host has data for them.

use std::{collections::HashMap, time::Duration};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, Endpoint, KernelTime, SocketTimerKind, Waiter},
    facts::HostFacts,
    track::TrackedEvent,
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    span::Span,
    whose::OwnerKey,
};

/// A window that has been closed for as long was not opened by a reader who is slow for a moment.
const LONG: Duration = Duration::from_secs(4);
/// Sockets that are watched at most.
const MOST: usize = 1 << 14;

#[derive(Default)]
pub(super) struct ZeroWindows {
    shut: HashMap<Cookie, Shut, FxBuildHasher>,
}

struct Shut {
    waiter: Waiter,
    since: KernelTime,
    last: KernelTime,
}

impl Check for ZeroWindows {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        if let TrackedEvent::Change(change) = tracked
            && let Some(socket) = change.subject.socket
        {
            self.shut.remove(&socket);
        }
    }

    fn facts(&mut self, facts: &HostFacts) {
        for waiter in facts.sockets() {
            if is_shut(waiter) && self.shut.len() < MOST {
                let since = waiter.known.seen.before(probed_for(waiter));
                let fresh = Shut { waiter: *waiter, since, last: facts.at };
                let shut = self.shut.entry(waiter.known.socket).or_insert(fresh);
                (shut.waiter, shut.last) = (*waiter, facts.at);
            }
        }
        self.shut.retain(|_, shut| shut.last == facts.at);
    }

    fn findings(&self, now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut groups: HashMap<(OwnerKey, Endpoint), Vec<&Shut>, FxBuildHasher> =
            HashMap::default();
        for shut in self.shut.values().filter(|shut| now.since(shut.since) >= LONG) {
            let known = &shut.waiter.known;
            let subject = seen.subject(known.socket, known.netns, known.ends);
            // By host: the peer of an accepted connection has a port of its own each time.
            let peer = Endpoint { port: 0, ..known.ends.remote };
            groups.entry((OwnerKey::of(&subject), peer)).or_default().push(shut);
        }
        for mut group in groups.into_values() {
            group.sort_by_key(|shut| shut.since);
            into.extend(finding(&group, now, seen));
        }
    }
}

/// Nothing is in flight, data is queued, and the peer takes none.
fn is_shut(waiter: &Waiter) -> bool {
    let probes = waiter.timer.is_some_and(|timer| timer.kind == SocketTimerKind::WindowProbe);
    probes && waiter.tcp.is_some_and(|tcp| tcp.window.is_none_or(|window| window == 0))
}

/// How long the window has been probed at least: each wait was twice the one before (`icsk_backoff`), and the one that
/// runs is the longest, unless it is bounded.
fn probed_for(waiter: &Waiter) -> Duration {
    let Some((tcp, timer)) = waiter.tcp.zip(waiter.timer) else { return Duration::ZERO };
    let waits = (1_u32 << tcp.backoff.min(16)) - 1;
    let whole = tcp.rto.min(Duration::from_millis(200)) * waits;
    whole.min(Duration::from_hours(1)).saturating_sub(timer.left)
}

fn finding(group: &[&Shut], now: KernelTime, seen: &mut Surroundings) -> Option<Finding> {
    let (oldest, count) = (group.first()?, group.len());
    let known = &oldest.waiter.known;
    let subject = seen.subject(known.socket, known.netns, known.ends);
    let whose = seen.whose(&subject);
    let queued: u64 = group.iter().map(|shut| u64::from(shut.waiter.send_queue)).sum();
    let s = if count == 1 { "" } else { "s" };
    let what = format!(
        "{} does not read: its window is closed on {count} connection{s} of {whose}, for {} at least, and {queued} bytes \
         wait to be sent",
        known.ends.remote.address,
        Span(now.since(oldest.since))
    );
    let example = |shut: &&Shut| {
        let note = format!("{} bytes not sent", shut.waiter.send_queue);
        Example::of_waiter(&shut.waiter, now.since(shut.since), note)
    };
    Some(Finding {
        since: Some(oldest.since),
        basis: "the kernel probes the window, and it stays 0".to_owned(),
        examples: group.iter().take(EXAMPLES).map(example).collect(),
        ..Finding::new(
            Kind::ZeroWindow,
            (Severity::Warning, Certainty::Certain),
            count,
            whose,
            what,
        )
    })
}
