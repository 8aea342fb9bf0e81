//! SYN queues: more half-open connections than a listener may have.

use std::collections::BTreeMap;

use tcpwatch_core::{
    event::{KernelTime, Netns, TcpState},
    facts::HostFacts,
    track::{Handshake, TrackedEvent},
};

use super::Check;
use crate::{
    bounded::Bounded as _,
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    whose::Whose,
};

/// Namespaces and ports that are watched at most.
const MOST: usize = 1 << 12;
/// Of `tcp_syncookies`: a cookie for every SYN, whatever the queue.
const ALWAYS: u64 = 2;

#[derive(Default)]
pub(super) struct SynQueues {
    cookies: BTreeMap<(Netns, u16), Cookies>,
    /// The most half-open connections that a look has found, by listener.
    crowded: BTreeMap<(Netns, u16), u32>,
    /// Connections that are half-open now or have been, by port, as examples.
    half_open: BTreeMap<(Netns, u16), Vec<Example>>,
}

struct Cookies {
    since: KernelTime,
    connections: u64,
    examples: Vec<Example>,
}

impl Check for SynQueues {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        let TrackedEvent::Change(change) = tracked else { return };
        let key = (change.subject.netns, change.subject.ends.local.port);
        if change.handshake == Some(Handshake::SynCookie) && self.cookies.has_room(&key, MOST) {
            let fresh = Cookies { since: change.at, connections: 0, examples: Vec::new() };
            let cookies = self.cookies.entry(key).or_insert(fresh);
            cookies.connections += 1;
            if cookies.examples.len() < EXAMPLES {
                let note = "opened by a SYN cookie".to_owned();
                cookies.examples.push(Example { note, ..Example::of(&change.subject, change.to) });
            }
        }
        if change.to == TcpState::SynRecv && self.half_open.has_room(&key, MOST) {
            let examples = self.half_open.entry(key).or_default();
            if examples.len() < EXAMPLES {
                examples.push(Example::of(&change.subject, change.to));
            }
        }
    }

    fn facts(&mut self, facts: &HostFacts) {
        for here in &facts.namespaces {
            for listener in here.listeners.iter().filter(|listener| listener.half_open > 0) {
                let key = (here.netns, listener.local.port);
                if self.crowded.has_room(&key, MOST) {
                    let most = self.crowded.entry(key).or_default();
                    *most = (*most).max(listener.half_open);
                }
            }
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        for netns in seen.namespaces_and(self.cookies.keys().map(|(netns, _)| *netns)) {
            into.extend(self.finding(netns, seen));
        }
    }
}

impl SynQueues {
    fn finding(&self, netns: Netns, seen: &mut Surroundings) -> Option<Finding> {
        let counts = SynCounters::of(netns, seen);
        let setting = seen.here(netns).and_then(|here| here.ipv4("tcp_syncookies"));
        let opened = self.cookies.iter().filter(|((here, _), _)| *here == netns);
        let busiest = opened.max_by_key(|(_, cookies)| cookies.connections);
        // That a connection was opened by a cookie follows from the absence of a request socket, of which records may be
        // lost: where the kernel counts, its counters decide.
        let met = counts.grew() || (!counts.are_read && busiest.is_some());
        if setting == Some(ALWAYS) || !met {
            return None;
        }
        // Only the queue of half-open connections is counted; which listener's it is shows by who has most.
        let crowded = self.crowded.iter().filter(|((here, _), _)| *here == netns);
        let crowded = crowded.max_by_key(|(_, most)| **most);
        let port = crowded.map(|((_, port), _)| *port).or(busiest.map(|((_, port), _)| *port));
        let whose = port.map_or_else(|| Whose::unknown(netns), |port| owner(seen, netns, port));
        let at = port.map_or_else(|| "a port".to_owned(), |port| format!("port {port}"));
        let opened = busiest.map_or(0, |(_, cookies)| cookies.connections);
        let what = counts.words(&at, crowded.map_or(0, |(_, most)| *most), opened);
        let severity = if counts.drops > 0 { Severity::Critical } else { Severity::Warning };
        let certainty = if counts.are_read { Certainty::Certain } else { Certainty::Possible };
        let count = if counts.are_read { counts.cookies + counts.drops } else { opened };
        let examples = busiest.map(|(_, cookies)| cookies.examples.clone());
        let half_open = || self.half_open.get(&(netns, port?)).cloned();
        let mut change = Vec::new();
        if counts.drops > 0 {
            change.push("sysctl -w net.ipv4.tcp_syncookies=1 (it is 0)".to_owned());
        }
        let listener = port.and_then(|port| seen.listening(netns, port));
        change.extend(seen.backlog(netns, listener.map(|listener| listener.most)));
        Some(Finding {
            since: busiest.map(|(_, cookies)| cookies.since).or(seen.began),
            basis: counts.basis(),
            examples: examples.or_else(half_open).unwrap_or_default(),
            change,
            ..Finding::new(Kind::SynQueue, (severity, certainty), count, whose, what)
        })
    }
}

/// How much the counters of a network namespace have grown.
struct SynCounters {
    are_read: bool,
    cookies: u64,
    drops: u64,
    failed: u64,
}

impl SynCounters {
    fn of(netns: Netns, seen: &Surroundings) -> Self {
        let [cookies, drops, failed] =
            ["TCPReqQFullDoCookies", "TCPReqQFullDrop", "SyncookiesFailed"]
                .map(|name| seen.growth(netns, name));
        Self { are_read: seen.here(netns).is_some(), cookies, drops, failed }
    }

    const fn grew(&self) -> bool {
        self.cookies > 0 || self.drops > 0
    }

    fn words(&self, at: &str, half_open: u32, opened: u64) -> String {
        let Self { are_read, cookies, drops, .. } = self;
        let queue =
            format!("the SYN queue of {at} is full, up to {half_open} half-open connections");
        match (are_read, drops) {
            (false, _) => format!(
                "{opened} connections to {at} were opened by SYN cookies: its SYN queue was full, or tcp_syncookies is 2"
            ),
            (true, 0) => format!("{queue}: {cookies} SYNs were answered by SYN cookies"),
            (true, _) => format!("{queue}: {drops} SYNs were dropped, because tcp_syncookies is 0"),
        }
    }

    fn basis(&self) -> String {
        let Self { are_read, cookies, drops, failed } = self;
        if !are_read {
            return "the counters and sysctls of this network namespace were not read".to_owned();
        }
        format!(
            "the kernel's counters: TCPReqQFullDoCookies +{cookies}, TCPReqQFullDrop +{drops}, SyncookiesFailed \
             +{failed}; a flood and a backlog that is too small look alike here"
        )
    }
}

/// Who listens on this port.
pub(super) fn owner(seen: &mut Surroundings, netns: Netns, port: u16) -> Whose {
    let listener = seen.listening(netns, port).copied();
    listener.map_or_else(|| Whose::unknown(netns), |listener| seen.listens(netns, &listener))
}
