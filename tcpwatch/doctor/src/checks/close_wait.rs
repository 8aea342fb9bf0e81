//! Sockets that stay in CLOSE_WAIT: the peer has closed, the application does not.

use std::{collections::HashMap, time::Duration};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, Direction, Endpoint, KernelTime, TcpState, Waiter},
    facts::HostFacts,
    track::{Subject, TrackedEvent, WaitsFor},
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    span::Span,
    whose::OwnerKey,
};

/// In CLOSE_WAIT for as long, with nothing left to send, a socket is forgotten.
const LONG: Duration = Duration::from_secs(10);
/// Several of one owner are after a shorter time, if it has closed none meanwhile.
const SHORT: Duration = Duration::from_secs(1);
const SEVERAL: usize = 5;
/// Sockets that are watched at most.
const MOST: usize = 1 << 16;

#[derive(Default)]
pub(super) struct CloseWaits {
    held: HashMap<Cookie, NotClosed, FxBuildHasher>,
    /// How many have left the state, by owner.
    left: HashMap<OwnerKey, u32, FxBuildHasher>,
}

struct NotClosed {
    subject: Subject,
    /// When the state was entered, or no later than that.
    since: KernelTime,
    /// Nobody has accepted it yet.
    waits_for_accept: bool,
    /// There is data on the way to the peer: a half-close that is in use.
    sends: bool,
    /// When the last segment of the peer came, if the kernel was asked: an acknowledgment is one.
    heard: Option<KernelTime>,
    unread: Option<u32>,
}

impl NotClosed {
    /// Since when nothing is exchanged any more.
    fn idle_since(&self) -> KernelTime {
        self.heard.map_or(self.since, |heard| heard.max(self.since))
    }
}

impl CloseWaits {
    fn enter(&mut self, subject: &Subject, since: KernelTime) {
        let Some(socket) = subject.socket else { return };
        if self.held.len() < MOST {
            let subject = *subject;
            self.held.entry(socket).or_insert(NotClosed {
                subject,
                since,
                waits_for_accept: false,
                sends: false,
                heard: None,
                unread: None,
            });
        }
    }

    fn leave(&mut self, subject: &Subject) {
        let held = subject.socket.and_then(|socket| self.held.remove(&socket));
        if held.is_some() {
            *self.left.entry(OwnerKey::of(subject)).or_default() += 1;
        }
    }

    fn look(&mut self, waiter: &Waiter) {
        let Some(held) = self.held.get_mut(&waiter.known.socket) else { return };
        held.waits_for_accept = waiter.known.inode == 0;
        held.sends = waiter.send_queue > 0;
        held.heard = waiter.known.quiet.map(|quiet| waiter.known.seen.before(quiet));
        held.unread = Some(waiter.receive_queue.saturating_sub(1));
    }
}

impl Check for CloseWaits {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change) if change.from == TcpState::CloseWait => {
                self.leave(&change.subject);
            }
            TrackedEvent::Change(change) if change.to == TcpState::CloseWait => {
                self.enter(&change.subject, change.at);
            }
            TrackedEvent::Existing(known) if known.state == TcpState::CloseWait => {
                let age = known.in_state.or(known.at_least).unwrap_or_default();
                self.enter(&known.subject, known.at.before(age));
            }
            TrackedEvent::Still(still) if still.state == TcpState::CloseWait => {
                let Some(socket) = still.subject.socket else { return };
                self.enter(&still.subject, still.at.before(still.in_state.unwrap_or_default()));
                if let Some(held) = self.held.get_mut(&socket) {
                    held.subject = still.subject;
                    held.waits_for_accept = still.wait.waits_for == Some(WaitsFor::Accept);
                    let queued =
                        still.wait.unsent.unwrap_or(0) + still.wait.unacknowledged.unwrap_or(0);
                    held.sends = queued > 0;
                    held.unread = still.wait.unread;
                }
            }
            _ => {}
        }
    }

    fn facts(&mut self, facts: &HostFacts) {
        facts
            .sockets()
            .filter(|waiter| waiter.known.state == TcpState::CloseWait)
            .for_each(|waiter| self.look(waiter));
    }

    fn findings(&self, now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut groups: HashMap<(OwnerKey, Service), Vec<&NotClosed>, FxBuildHasher> =
            HashMap::default();
        for held in self.held.values().filter(|held| !held.waits_for_accept && !held.sends) {
            if now.since(held.idle_since()) >= SHORT {
                let key = (OwnerKey::of(&held.subject), Service::of(&held.subject));
                groups.entry(key).or_default().push(held);
            }
        }
        for ((owner, service), mut group) in groups {
            group.sort_by_key(|held| held.since);
            let is_old = |held: &&NotClosed| now.since(held.idle_since()) >= LONG;
            let is_long = group.iter().any(is_old);
            let closed = self.left.get(&owner).copied().unwrap_or(0);
            if is_long {
                group.retain(is_old);
            } else if group.len() < SEVERAL || closed > 0 {
                continue;
            }
            into.extend(finding(&group, service, now, seen));
        }
    }
}

/// What an owner's sockets have in common: its own port if the peers connected, else the destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Service {
    Listens(u16),
    Connects(Endpoint),
}

impl Service {
    fn of(subject: &Subject) -> Self {
        match subject.direction {
            Some(Direction::Outgoing) => Self::Connects(subject.ends.remote),
            _ => Self::Listens(subject.ends.local.port),
        }
    }
}

fn finding(
    group: &[&NotClosed],
    service: Service,
    now: KernelTime,
    seen: &mut Surroundings,
) -> Option<Finding> {
    let (count, oldest) = (group.len(), group.first()?.since);
    let whose = seen.whose(&group.last()?.subject);
    let age = now.since(oldest);
    let severity = if count >= 50 || age >= Duration::from_hours(1) {
        Severity::Critical
    } else if count > 1 {
        Severity::Warning
    } else {
        Severity::Notice
    };
    let with = match service {
        Service::Listens(port) => format!("on port {port}"),
        Service::Connects(to) => format!("to {to}"),
    };
    let (s, them) = if count == 1 { ("", "it") } else { ("s", "them") };
    let unread = group.iter().filter(|held| held.unread.is_some_and(|bytes| bytes > 0)).count();
    let basis = if unread > 0 {
        format!("the kernel's own state; {unread} of {count} also have data that was not read")
    } else {
        "the kernel's own state".to_owned()
    };
    let what = format!(
        "{count} connection{s} {with} in CLOSE_WAIT: the peer has closed, {whose} does not call close(); the oldest \
         of {them} for {}",
        Span(age)
    );
    let sure = (severity, Certainty::Certain);
    Some(Finding {
        since: Some(oldest),
        basis,
        examples: group.iter().take(EXAMPLES).map(|held| example(held, now)).collect(),
        ..Finding::new(Kind::CloseWaitLeak, sure, count, whose, what)
    })
}

fn example(held: &NotClosed, now: KernelTime) -> Example {
    Example {
        lasted: Some(now.since(held.since)),
        note: match held.unread {
            Some(bytes) if bytes > 0 => format!("{bytes} bytes not read"),
            _ => String::new(),
        },
        ..Example::of(&held.subject, TcpState::CloseWait)
    }
}
