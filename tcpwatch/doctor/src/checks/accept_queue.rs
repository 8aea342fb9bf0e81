//! Accept queues: full, so that connections are dropped, or not emptied by the application.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, Endpoint, KernelTime, Netns, QueueReading, TcpState, Waiter},
    facts::{HostFacts, ListenerFacts},
    track::{Subject, TrackedEvent},
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    span::Span,
    whose::Whose,
};

/// A connection that has waited for `accept()` for as long was forgotten: the queue is emptied in its order.
const LONG: Duration = Duration::from_secs(5);
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
        if !met || (self.full.len() >= MOST && !self.full.contains_key(&key)) {
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
        if listener.waiting > listener.most && self.sampled.len() < MOST {
            let span = self.sampled.entry((netns, listener.local.port)).or_insert((at, at));
            span.1 = at;
        }
    }
}

impl Check for AcceptQueueCheck {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change) => {
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
                if known.inode != 0 || !open || !comes_in || self.waiting.len() >= MOST {
                    continue;
                }
                // Nothing but its peer's segments has happened to it; the last of them came no earlier.
                let fresh = Waiting { waiter: *waiter, since: known.seen, last: facts.at };
                self.waiting.entry(known.socket).or_insert(fresh).last = facts.at;
            }
        }
        self.waiting.retain(|_, waiting| waiting.last == facts.at);
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
        if full.is_none() && late.is_empty() && sampled.is_none() {
            return None;
        }
        let everywhere = Endpoint { address: std::net::Ipv4Addr::UNSPECIFIED.into(), port };
        let bound = full.map_or(everywhere, |full| full.last.bound_to);
        let listener = seen.listener(netns, bound).copied();
        let whose = listener
            .map_or_else(|| Whose::unknown(netns), |listener| seen.listens(netns, &listener));
        let since = [
            full.map(|full| full.since),
            late.first().map(|waiting| waiting.since),
            sampled.map(|(first, _)| *first),
        ];
        let most = listener.map(|listener| listener.most).or(full.map(|full| full.last.most));
        let waiting = listener.map_or(0, |listener| listener.waiting);
        let waiting = waiting.max(full.map_or(0, |full| full.last.waiting));
        let loses = full.is_some() || sampled.is_some();
        let not_accepted = late.first().map(|waiting| {
            format!(
                "{whose} has not called accept() for {} at least",
                Span(now.since(waiting.since))
            )
        });
        let queue = most.map_or_else(String::new, |most| {
            format!(", {waiting} wait and {} fit", most.saturating_add(1))
        });
        let what = match (loses, not_accepted) {
            (true, Some(late)) => format!(
                "the accept queue of port {port} is full{queue}: {late}, and more connections are dropped"
            ),
            (true, None) => format!(
                "the accept queue of port {port} was full{queue}: {whose} accepts too slowly, and connections were dropped"
            ),
            (false, late) => format!(
                "connections to port {port} are not accepted{queue}: {}",
                late.unwrap_or_default()
            ),
        };
        let severity = if loses { Severity::Critical } else { Severity::Warning };
        let count = full.map_or(0, |full| full.connections).max(u64::from(waiting));
        let mut examples = full.map(|full| full.examples.clone()).unwrap_or_default();
        examples.extend(late.iter().map(|waiting| example(waiting, now)));
        examples.truncate(EXAMPLES);
        Some(Finding {
            since: since.into_iter().flatten().min(),
            basis: match (full, overflows) {
                (Some(_), _) => "the listener's queue was read when a connection met it".to_owned(),
                (None, 0) => "the same connections had no file in every look".to_owned(),
                (None, more) => format!("ListenOverflows grew by {more} in this namespace"),
            },
            examples,
            change: change(seen, netns, most),
            ..Finding::new(Kind::AcceptQueue, (severity, Certainty::Certain), count, whose, what)
        })
    }
}

fn example(waiting: &Waiting, now: KernelTime) -> Example {
    let note = "waits for accept()".to_owned();
    Example::of_waiter(&waiting.waiter, now.since(waiting.since), note)
}

/// Which of the two bounds is in force.
fn change(seen: &Surroundings, netns: Netns, most: Option<u32>) -> Vec<String> {
    let somaxconn = seen.here(netns).and_then(|here| here.sysctls.get("core/somaxconn").copied());
    let (Some(most), Some(somaxconn)) = (most, somaxconn) else { return Vec::new() };
    if u64::from(most) >= somaxconn {
        vec![format!(
            "sysctl -w net.core.somaxconn=4096 (it is {somaxconn} and bounds this queue), then restart the server"
        )]
    } else {
        vec![format!(
            "the server's listen() backlog (it is {most}; net.core.somaxconn allows {somaxconn})"
        )]
    }
}
