//! SYN queues: more half-open connections than a listener may have.

use std::collections::BTreeMap;

use tcpwatch_core::{
    event::{KernelTime, Netns, TcpState},
    facts::HostFacts,
    track::{Handshake, TrackedEvent},
};

use super::Check;
use crate::{
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
        if change.handshake == Some(Handshake::SynCookie)
            && (self.cookies.len() < MOST || self.cookies.contains_key(&key))
        {
            let fresh = Cookies { since: change.at, connections: 0, examples: Vec::new() };
            let cookies = self.cookies.entry(key).or_insert(fresh);
            cookies.connections += 1;
            if cookies.examples.len() < EXAMPLES {
                let note = "opened by a SYN cookie".to_owned();
                cookies.examples.push(Example { note, ..Example::of(&change.subject, change.to) });
            }
        }
        if change.to == TcpState::SynRecv
            && (self.half_open.len() < MOST || self.half_open.contains_key(&key))
        {
            let examples = self.half_open.entry(key).or_default();
            if examples.len() < EXAMPLES {
                examples.push(Example::of(&change.subject, change.to));
            }
        }
    }

    fn facts(&mut self, facts: &HostFacts) {
        for here in &facts.namespaces {
            for listener in here.listeners.iter().filter(|listener| listener.half_open > 0) {
                let most = self.crowded.entry((here.netns, listener.local.port)).or_default();
                *most = (*most).max(listener.half_open);
            }
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut namespaces: Vec<Netns> = seen.namespaces().map(|here| here.netns).collect();
        namespaces.extend(self.cookies.keys().map(|(netns, _)| *netns));
        namespaces.sort_unstable();
        namespaces.dedup();
        for netns in namespaces {
            into.extend(self.finding(netns, seen));
        }
    }
}

impl SynQueues {
    fn finding(&self, netns: Netns, seen: &mut Surroundings) -> Option<Finding> {
        let [cookies, drops, failed] =
            ["TCPReqQFullDoCookies", "TCPReqQFullDrop", "SyncookiesFailed"]
                .map(|name| seen.growth(netns, name));
        let setting = seen.here(netns).and_then(|here| here.ipv4("tcp_syncookies"));
        let opened = self.cookies.iter().filter(|((here, _), _)| *here == netns);
        let busiest = opened.max_by_key(|(_, cookies)| cookies.connections);
        // That a connection was opened by a cookie follows from the absence of a request socket, of which records may be
        // lost: where the kernel counts, its counters decide.
        let counts = seen.here(netns).is_some();
        let met = cookies > 0 || drops > 0 || (!counts && busiest.is_some());
        if setting == Some(ALWAYS) || !met {
            return None;
        }
        // Only the queue of half-open connections is counted; which listener's it is shows by who has most.
        let crowded = self.crowded.iter().filter(|((here, _), _)| *here == netns);
        let crowded = crowded.max_by_key(|(_, most)| **most);
        let port = crowded.map(|((_, port), _)| *port).or(busiest.map(|((_, port), _)| *port));
        let whose = port.map_or_else(|| Whose::unknown(netns), |port| owner(seen, netns, port));
        let at = port.map_or_else(|| "a port".to_owned(), |port| format!("port {port}"));
        let half_open = crowded.map_or(0, |(_, most)| *most);
        let what = if drops > 0 {
            format!(
                "the SYN queue of {at} is full, up to {half_open} half-open connections: {drops} SYNs were dropped, \
                 because tcp_syncookies is 0"
            )
        } else {
            format!(
                "the SYN queue of {at} is full, up to {half_open} half-open connections: {} SYNs were answered by SYN \
                 cookies",
                cookies.max(busiest.map_or(0, |(_, cookies)| cookies.connections))
            )
        };
        let severity = if drops > 0 { Severity::Critical } else { Severity::Warning };
        let port_key = (netns, port.unwrap_or(0));
        let examples = busiest.map(|(_, cookies)| cookies.examples.clone());
        let examples =
            examples.or_else(|| self.half_open.get(&port_key).cloned()).unwrap_or_default();
        let mut change = Vec::new();
        if drops > 0 {
            change.push("sysctl -w net.ipv4.tcp_syncookies=1 (it is 0)".to_owned());
        }
        Some(Finding {
            since: busiest.map(|(_, cookies)| cookies.since).or(seen.began),
            basis: format!(
                "the kernel's counters: TCPReqQFullDoCookies +{cookies}, TCPReqQFullDrop +{drops}, SyncookiesFailed \
                 +{failed}; a flood and a backlog that is too small look alike here"
            ),
            examples,
            change,
            ..Finding::new(
                Kind::SynQueue,
                (severity, Certainty::Certain),
                cookies + drops,
                whose,
                what,
            )
        })
    }
}

/// Who listens on this port.
pub(super) fn owner(seen: &mut Surroundings, netns: Netns, port: u16) -> Whose {
    let listener =
        seen.here(netns).and_then(|here| here.listeners.iter().find(|one| one.local.port == port));
    let listener = listener.copied();
    listener.map_or_else(|| Whose::unknown(netns), |listener| seen.listens(netns, &listener))
}
