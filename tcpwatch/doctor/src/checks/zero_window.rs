//! Peers that do not read: their window stays closed while this host has data for them.

use std::{collections::HashMap, time::Duration};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, Direction, Endpoint, KernelTime, SocketTimerKind, Waiter},
    facts::HostFacts,
    track::TrackedEvent,
};

use super::Check;
use crate::{
    bounded::Bounded as _,
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    span::Span,
    whose::OwnerKey,
};

/// A window that has been closed for as long was not opened by a reader who is slow for a moment.
const LONG: Duration = Duration::from_secs(4);
/// The same of a client of this host, which may be slow and nothing is wrong.
const LONG_OF_CLIENT: Duration = Duration::from_secs(6);
/// The shortest wait before a probe (`TCP_RTO_MIN`, `include/net/tcp.h`).
const SHORTEST: Duration = Duration::from_millis(200);
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
            if is_shut(waiter) && self.shut.has_room(&waiter.known.socket, MOST) {
                let (least, most) = probed_for(waiter);
                let [since, earliest] = [least, most].map(|span| waiter.known.seen.before(span));
                let fresh = Shut { waiter: *waiter, since, last: facts.at };
                let shut = self.shut.entry(waiter.known.socket).or_insert(fresh);
                (shut.waiter, shut.last) = (*waiter, facts.at);
                // It was open between the looks.
                shut.since = shut.since.max(earliest);
            }
        }
        self.shut.retain(|_, shut| shut.last == facts.at);
    }

    fn findings(&self, now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut groups: HashMap<(OwnerKey, Endpoint), Vec<&Shut>, FxBuildHasher> =
            HashMap::default();
        for shut in self.shut.values() {
            let known = &shut.waiter.known;
            let subject = seen.subject(known.socket, known.netns, known.ends);
            let is_client = subject.direction == Some(Direction::Incoming);
            if now.since(shut.since) < if is_client { LONG_OF_CLIENT } else { LONG } {
                continue;
            }
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

/// How long the window has been probed, at least and at most: each wait was twice the one before (`icsk_backoff`), and
/// an open window begins anew (`tcp_ack_probe`, `net/ipv4/tcp_input.c`).
fn probed_for(waiter: &Waiter) -> (Duration, Duration) {
    let Some((tcp, timer)) = waiter.tcp.zip(waiter.timer) else {
        return (Duration::ZERO, Duration::MAX);
    };
    let waits = |count: u8| (1_u32 << count.min(16)) - 1;
    // The wait that runs is among them.
    let count = waits(tcp.backoff.saturating_add(1));
    let least = (tcp.rto.min(SHORTEST) * count).min(Duration::from_hours(1));
    (least.saturating_sub(timer.left), (tcp.rto.max(SHORTEST) * count).saturating_sub(timer.left))
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
        about: known.ends.remote.address.to_string(),
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tcpwatch_core::event::{
        Endpoints, KnownKind, KnownSocket, Netns, SocketTimer, TcpInfo, TcpState,
    };

    use super::*;

    #[test]
    fn probes_say_how_long_a_window_was_closed_at_most() {
        let end = Endpoint { address: Ipv4Addr::LOCALHOST.into(), port: 1 };
        let known = KnownSocket {
            socket: Cookie(1),
            netns: Netns(1),
            ends: Endpoints { local: end, remote: end },
            cgroup: None,
            state: TcpState::Established,
            kind: KnownKind::Full,
            timer_left: None,
            seen: KernelTime(0),
            quiet: None,
            inode: 1,
            queue_full: false,
            owner: None,
        };
        let ms = Duration::from_millis;
        let timer = SocketTimer { kind: SocketTimerKind::WindowProbe, left: ms(300), tries: 0 };
        let tcp = TcpInfo {
            rto: ms(200),
            backoff: 2,
            in_flight: 0,
            unsent: Some(1),
            window: Some(0),
            bytes_received: None,
            bytes_sent: None,
            rtt: None,
        };
        let waiter =
            Waiter { known, timer: Some(timer), receive_queue: 0, send_queue: 1, tcp: Some(tcp) };
        // 200 and 400 ms have passed, and 500 of the 800 ms that run.
        assert_eq!(probed_for(&waiter), (ms(1100), ms(1100)));
    }
}
