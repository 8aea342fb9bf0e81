//! Connections that were idle, and dead when they were used again: something between the ends has forgotten them, and
//! keepalive did not prevent it.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, KernelTime, Netns, ResetDirection, SocketTimerKind, TcpState, Waiter},
    facts::HostFacts,
    track::{Subject, TrackedEvent},
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    span::Span,
    whose::OwnerKey,
};

/// Nothing has come for as long: idle.
const IDLE: Duration = Duration::from_secs(10);
/// Retransmission timeouts in a row after which nothing answers any more: 3 s at least.
const DEAD: u8 = 4;
/// Idle connections that peers may reset without a finding.
const RESETS: usize = 2;
/// Connections that are watched at most.
const MOST: usize = 1 << 14;

#[derive(Default)]
pub(super) struct Idles {
    /// Idle in the last look: since when, and whether a keepalive timer runs.
    idle: HashMap<Cookie, (KernelTime, bool), FxBuildHasher>,
    dead: HashMap<Cookie, Dead, FxBuildHasher>,
    /// When a connection to a host was opened last.
    opened: HashMap<(Netns, IpAddr), KernelTime, FxBuildHasher>,
}

struct Dead {
    subject: Subject,
    idle: Duration,
    at: KernelTime,
    /// By a reset; otherwise nothing answers.
    by_reset: bool,
    keepalive: Option<bool>,
}

impl Idles {
    fn look(&mut self, waiter: &Waiter) {
        let known = &waiter.known;
        let Some(quiet) = known.quiet.filter(|_| known.state == TcpState::Established) else {
            return;
        };
        let kind = waiter.timer.map(|timer| timer.kind);
        if kind == Some(SocketTimerKind::Retransmit) {
            self.unanswered(waiter, quiet);
        } else if quiet >= IDLE && self.idle.len() < MOST {
            let keepalive = kind == Some(SocketTimerKind::Keepalive);
            self.idle.insert(known.socket, (known.seen.before(quiet), keepalive));
        }
    }

    fn unanswered(&mut self, waiter: &Waiter, quiet: Duration) {
        let known = &waiter.known;
        let Some((timer, tcp)) = waiter.timer.zip(waiter.tcp) else { return };
        let idle = quiet.saturating_sub(unanswered_for(tcp.rto, timer.tries, timer.left));
        if timer.tries < DEAD || idle < IDLE || self.dead.len() >= MOST {
            return;
        }
        let keepalive = self.idle.get(&known.socket).map(|(_, on)| *on);
        let subject = Subject::unknown(Some(known.socket), known.netns, known.ends);
        let dead = Dead { subject, idle, at: known.seen, by_reset: false, keepalive };
        self.dead.entry(known.socket).or_insert(dead);
    }
}

/// How long ago the segment was sent that nothing answers: each timeout has doubled the next.
fn unanswered_for(rto: Duration, tries: u8, left: Duration) -> Duration {
    let first = rto / (1_u32 << tries.min(16));
    rto.saturating_sub(first) + rto.saturating_sub(left)
}

impl Check for Idles {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change) if change.to == TcpState::Established => {
                let host = (change.subject.netns, change.subject.ends.remote.address);
                if self.opened.len() < MOST || self.opened.contains_key(&host) {
                    self.opened.insert(host, change.at);
                }
            }
            TrackedEvent::Reset(reset)
                if reset.direction == ResetDirection::Received
                    && reset.state == Some(TcpState::Established) =>
            {
                let Some(socket) = reset.subject.socket else { return };
                if let Some((since, keepalive)) = self.idle.remove(&socket) {
                    let idle = reset.at.since(since);
                    let (subject, keepalive) = (reset.subject, Some(keepalive));
                    self.dead.insert(
                        socket,
                        Dead { subject, idle, at: reset.at, by_reset: true, keepalive },
                    );
                }
            }
            TrackedEvent::Still(_) => {}
            other => {
                // What is known of the socket's owner is better than what the look had.
                if let Some(dead) =
                    other.subject().socket.and_then(|socket| self.dead.get_mut(&socket))
                {
                    dead.subject = other.subject();
                }
            }
        }
    }

    fn facts(&mut self, facts: &HostFacts) {
        let before = std::mem::take(&mut self.idle);
        for waiter in facts.sockets() {
            if let Some(was) = before.get(&waiter.known.socket) {
                self.idle.insert(waiter.known.socket, *was);
            }
            self.look(waiter);
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut groups: HashMap<(OwnerKey, IpAddr), Vec<(&Dead, Subject)>, FxBuildHasher> =
            HashMap::default();
        for (socket, dead) in &self.dead {
            let known = seen.subject(*socket, dead.subject.netns, dead.subject.ends);
            let subject = if dead.subject.process.is_some() { dead.subject } else { known };
            let key = (OwnerKey::of(&subject), subject.ends.remote.address);
            groups.entry(key).or_default().push((dead, subject));
        }
        for ((owner, host), mut group) in groups {
            group.sort_by_key(|(dead, _)| dead.at);
            let opened = self.opened.get(&(owner.netns, host)).copied();
            into.extend(finding(host, &group, opened, seen));
        }
    }
}

fn finding(
    host: IpAddr,
    group: &[(&Dead, Subject)],
    opened: Option<KernelTime>,
    seen: &mut Surroundings,
) -> Option<Finding> {
    let (first, subject) = group.first()?;
    if group.iter().all(|(dead, _)| dead.by_reset) && group.len() < RESETS {
        return None;
    }
    let (count, whose) = (group.len(), seen.whose(subject));
    let shortest = group.iter().map(|(dead, _)| dead.idle).min()?;
    let resets = group.iter().filter(|(dead, _)| dead.by_reset).count();
    let alive = opened.is_some_and(|opened| opened >= first.at.before(Duration::from_secs(30)));
    let time = seen.here(subject.netns).and_then(|here| here.ipv4("tcp_keepalive_time"));
    let keepalive = match group.iter().find_map(|(dead, _)| dead.keepalive) {
        Some(false) => "keepalive is off".to_owned(),
        Some(true) => format!(
            "keepalive is on, too late: by default its first probe comes after {} s",
            time.unwrap_or(7200)
        ),
        None => "whether keepalive is on was not seen".to_owned(),
    };
    let (s, are) = if count == 1 { ("", "is") } else { ("s", "are") };
    let what = format!(
        "{count} connection{s} of {whose} to {host} {are} dead after {} without traffic or more: {} get no answer, \
         {resets} were reset; {keepalive}",
        Span(shortest),
        count - resets
    );
    let certainty = if alive { Certainty::Likely } else { Certainty::Possible };
    let seconds = (shortest.as_secs() / 2).max(1);
    Some(Finding {
        since: Some(first.at),
        basis: if alive {
            format!("{host} answers on other connections: something between has forgotten these")
        } else {
            format!("{host} may itself be gone: no connection to it was opened meanwhile")
        },
        examples: group
            .iter()
            .take(EXAMPLES)
            .map(|(dead, subject)| example(dead, subject))
            .collect(),
        change: vec![format!(
            "SO_KEEPALIVE and TCP_KEEPIDLE={seconds} on these sockets, or sysctl -w net.ipv4.tcp_keepalive_time={seconds} for those with SO_KEEPALIVE"
        )],
        ..Finding::new(Kind::IdleForgotten, (Severity::Warning, certainty), count, whose, what)
    })
}

fn example(dead: &Dead, subject: &Subject) -> Example {
    let end = if dead.by_reset { "reset" } else { "no answer" };
    Example {
        lasted: Some(dead.idle),
        note: format!("{end} after {} idle", Span(dead.idle)),
        ..Example::of(subject, TcpState::Established)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_that_doubled_add_up() {
        // 200 + 400 + 800 + 1600 ms have passed, and 1 s of the 3.2 s that run.
        let ms = Duration::from_millis;
        assert_eq!(unanswered_for(ms(3200), 4, ms(2200)), ms(4000));
    }
}
