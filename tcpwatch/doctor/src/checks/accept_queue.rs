//! Accept queues: full, so that connections are dropped, or not emptied by the application.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, Endpoint, KernelTime, Netns, QueueReading, TcpState, Waiter},
    facts::{HostFacts, ListenerFacts, MOST_SOCKETS},
    track::{Reason, Subject, TrackedEvent},
};

use super::{Check, accept_words::QueueState};
use crate::{
    bounded::Bounded as _,
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    whose::Whose,
};

/// A connection that has waited for `accept()` for as long was forgotten: the queue is emptied in its order.
const LONG: Duration = Duration::from_secs(5);
/// So long in each look of this time: the application comes round to it, and too late.
const SLOW: Duration = Duration::from_secs(1);
const SLOW_FOR: Duration = Duration::from_secs(4);
/// Listeners, and connections, that are watched at most.
const MOST: usize = 1 << 14;

#[derive(Default)]
pub(super) struct AcceptQueueCheck {
    /// Listeners whose queue was full, by port.
    full: BTreeMap<(Netns, u16), FullQueue>,
    /// Connections that have no file yet, and when they were met.
    waiting: HashMap<Cookie, Waiting, FxBuildHasher>,
    /// When a listener's queue was seen full in a look, first and last.
    sampled: BTreeMap<(Netns, u16), (KernelTime, KernelTime)>,
    /// Listeners that had connections wait too long in the last look.
    slow: BTreeMap<(Netns, u16), SlowQueue>,
    /// When it was seen last that one was accepted that had waited in the look before.
    accepted: BTreeMap<(Netns, u16), KernelTime>,
}

struct SlowQueue {
    /// The looks of which each found one, first and last.
    since: KernelTime,
    last: KernelTime,
    longest: Duration,
    examples: Vec<Example>,
}

impl SlowQueue {
    fn is_lasting(&self) -> bool {
        self.last.since(self.since) >= SLOW_FOR
    }
}

struct FullQueue {
    since: KernelTime,
    connections: u64,
    last: QueueReading,
    /// Segments were dropped because of it.
    dropped: bool,
    examples: Vec<Example>,
}

struct Waiting {
    waiter: Waiter,
    /// It has waited since then at least.
    since: KernelTime,
    /// The look it was met in last.
    last: KernelTime,
}

impl AcceptQueueCheck {
    fn note(&mut self, at: KernelTime, subject: &Subject, state: TcpState, queue: QueueReading) {
        let key = (subject.netns, queue.bound_to.port);
        let met = queue.is_full() || queue.ack_dropped;
        if !met || !self.full.has_room(&key, MOST) {
            return;
        }
        let fresh = FullQueue {
            since: at,
            connections: 0,
            last: queue,
            dropped: false,
            examples: Vec::new(),
        };
        let full = self.full.entry(key).or_insert(fresh);
        full.connections += 1;
        full.dropped |= queue.ack_dropped;
        full.last = if queue.waiting >= full.last.waiting { queue } else { full.last };
        let is_new = full.examples.iter().all(|example| example.ends != subject.ends);
        if full.examples.len() < EXAMPLES && is_new {
            let note =
                if queue.ack_dropped { "its last ACK was dropped" } else { "met a full queue" };
            full.examples.push(Example { note: note.to_owned(), ..Example::of(subject, state) });
        }
    }

    fn sample(&mut self, at: KernelTime, netns: Netns, listener: &ListenerFacts) {
        let key = (netns, listener.local.port);
        if listener.waiting > listener.most && self.sampled.has_room(&key, MOST) {
            let span = self.sampled.entry(key).or_insert((at, at));
            span.1 = at;
        }
    }
}

impl Check for AcceptQueueCheck {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change) => {
                // It goes out of the lists, and stays in the queue until it is accepted.
                if change.reason == Some(Reason::ResetReceived)
                    && let Some(socket) = change.subject.socket
                {
                    self.waiting.remove(&socket);
                }
                if let Some(queue) = change.queue.as_deref() {
                    self.note(change.at, &change.subject, change.to, *queue);
                }
            }
            TrackedEvent::Retransmit(again) => {
                if let Some(queue) = again.queue.as_deref() {
                    self.note(again.at, &again.subject, again.state, *queue);
                }
            }
            _ => {}
        }
    }

    fn facts(&mut self, facts: &HostFacts) {
        for here in &facts.namespaces {
            for listener in &here.listeners {
                self.sample(facts.at, here.netns, listener);
            }
            for waiter in &here.sockets {
                let known = &waiter.known;
                let comes_in =
                    here.listeners.iter().any(|one| one.local.port == known.ends.local.port);
                let open = matches!(known.state, TcpState::Established | TcpState::CloseWait);
                if known.inode != 0
                    || !open
                    || !comes_in
                    || !self.waiting.has_room(&known.socket, MOST)
                {
                    continue;
                }
                // Nothing but its peer's segments has happened to it; the last of them came no earlier.
                let since = known.seen.before(known.quiet.unwrap_or_default());
                let fresh = Waiting { waiter: *waiter, since, last: facts.at };
                self.waiting.entry(known.socket).or_insert(fresh).last = facts.at;
            }
        }
        self.note_accepted(facts);
        self.waiting.retain(|_, waiting| waiting.last == facts.at);
        self.note_slow(facts.at);
    }

    fn findings(&self, now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut late: BTreeMap<(Netns, u16), Vec<&Waiting>> = BTreeMap::new();
        for waiting in self.waiting.values() {
            let known = &waiting.waiter.known;
            late.entry((known.netns, known.ends.local.port)).or_default().push(waiting);
        }
        late.retain(|_, group| group.iter().any(|waiting| now.since(waiting.since) >= LONG));
        let mut keys: Vec<_> =
            self.full.keys().chain(late.keys()).chain(self.sampled.keys()).copied().collect();
        keys.extend(self.slow.iter().filter(|(_, slow)| slow.is_lasting()).map(|(key, _)| *key));
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let late = late.get_mut(&key).map(Vec::as_mut_slice).unwrap_or_default();
            late.sort_by_key(|waiting| waiting.since);
            into.extend(self.finding(key, late, now, seen));
        }
    }
}

impl AcceptQueueCheck {
    /// What waited in the look before and does not any more was accepted.
    fn note_accepted(&mut self, facts: &HostFacts) {
        for waiting in self.waiting.values().filter(|waiting| waiting.last != facts.at) {
            let known = &waiting.waiter.known;
            let lists_all =
                facts.of(known.netns).is_some_and(|here| here.sockets.len() < MOST_SOCKETS);
            if lists_all {
                self.accepted.insert((known.netns, known.ends.local.port), facts.at);
            }
        }
        while self.accepted.len() > MOST {
            self.accepted.pop_first();
        }
    }

    fn note_slow(&mut self, at: KernelTime) {
        let before = std::mem::take(&mut self.slow);
        for waiting in self.waiting.values() {
            let known = &waiting.waiter.known;
            let waited = at.since(waiting.since);
            if waited < SLOW {
                continue;
            }
            let key = (known.netns, known.ends.local.port);
            let slow = self.slow.entry(key).or_insert_with(|| {
                let before = before.get(&key).map(|slow| (slow.since, slow.longest));
                let (since, longest) = before.unwrap_or((at, waited));
                SlowQueue { since, last: at, longest, examples: Vec::new() }
            });
            slow.longest = slow.longest.max(waited);
            if slow.examples.len() < EXAMPLES {
                let note = "waits for accept()".to_owned();
                slow.examples.push(Example::of_waiter(&waiting.waiter, waited, note));
            }
        }
    }

    fn finding(
        &self,
        key: (Netns, u16),
        late: &[&Waiting],
        now: KernelTime,
        seen: &mut Surroundings,
    ) -> Option<Finding> {
        let (netns, port) = key;
        let full = self.full.get(&key);
        let overflows = seen.growth(netns, "ListenOverflows");
        let sampled = self.sampled.get(&key).filter(|(first, last)| overflows > 0 || last > first);
        let slow = self.slow.get(&key).filter(|slow| slow.is_lasting());
        if full.is_none() && late.is_empty() && sampled.is_none() && slow.is_none() {
            return None;
        }
        let bound = full.map_or_else(|| local_end(late, port), |full| full.last.bound_to);
        let listener = seen.listener(netns, bound).copied();
        let whose = listener
            .map_or_else(|| Whose::unknown(netns), |listener| seen.listens(netns, &listener));
        let since = [
            full.map(|full| full.since),
            late.first().map(|waiting| waiting.since),
            sampled.map(|(first, _)| *first),
            slow.map(|slow| slow.since),
        ];
        let most = listener.map(|listener| listener.most).or(full.map(|full| full.last.most));
        let waiting = listener.map_or(0, |listener| listener.waiting);
        let waiting = waiting.max(full.map_or(0, |full| full.last.waiting));
        // The connections of a look are listed after its listeners.
        let waiting = waiting.max(u32::try_from(late.len()).unwrap_or(u32::MAX));
        let accepted = self.accepted.get(&key).copied();
        // Only the first in the queue says since when nothing was accepted.
        let stuck = late.first().filter(|waiting| accepted.is_none_or(|at| at <= waiting.since));
        let longest = late.first().map(|waiting| now.since(waiting.since));
        let state = QueueState {
            is_full: full.is_some() || sampled.is_some(),
            drops: full.is_some_and(|full| full.dropped) || overflows > 0,
            stuck: stuck.map(|waiting| now.since(waiting.since)),
            longest: longest.max(slow.map(|slow| slow.longest)),
        };
        let severity = if state.is_full { Severity::Critical } else { Severity::Warning };
        let count = full.map_or(0, |full| full.connections).max(u64::from(waiting));
        let mut examples = full.map(|full| full.examples.clone()).unwrap_or_default();
        examples.extend(late.iter().map(|waiting| example(waiting, now)));
        examples.extend(slow.map(|slow| slow.examples.clone()).unwrap_or_default());
        let mut met = HashSet::new();
        examples.retain(|example| met.insert(example.ends));
        examples.truncate(EXAMPLES);
        let what = state.words(port, (waiting, most), &whose);
        Some(Finding {
            about: format!("port {port}"),
            since: since.into_iter().flatten().min(),
            basis: match (full, overflows) {
                (Some(_), _) => "the listener's queue was read when a connection met it".to_owned(),
                (None, 0) if stuck.is_some() => {
                    "the same connections had no file in every look".to_owned()
                }
                (None, 0) => "the queue was read in every look".to_owned(),
                (None, more) => format!("ListenOverflows grew by {more} in this network namespace"),
            },
            examples,
            change: change(seen, netns, most, state.stuck.is_some()),
            ..Finding::new(Kind::AcceptQueue, (severity, Certainty::Certain), count, whose, what)
        })
    }
}

/// Where the connections come in that wait; anywhere if none is known.
fn local_end(late: &[&Waiting], port: u16) -> Endpoint {
    let everywhere = Endpoint { address: std::net::Ipv4Addr::UNSPECIFIED.into(), port };
    late.first().map_or(everywhere, |waiting| waiting.waiter.known.ends.local)
}

fn example(waiting: &Waiting, now: KernelTime) -> Example {
    let note = "waits for accept()".to_owned();
    Example::of_waiter(&waiting.waiter, now.since(waiting.since), note)
}

/// A longer queue helps a program that is too slow for a while, not one that does not accept.
fn change(seen: &Surroundings, netns: Netns, most: Option<u32>, is_stuck: bool) -> Vec<String> {
    if is_stuck {
        return vec!["find out what blocks it: a longer queue would be full as well".to_owned()];
    }
    let listener = seen.backlog(netns, most);
    listener.into_iter().collect()
}
