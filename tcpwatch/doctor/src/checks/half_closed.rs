//! Sockets that stay in FIN_WAIT_2 with an application: after `shutdown()` no timer ends that.

use std::{collections::HashMap, time::Duration};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, KernelTime, TcpState},
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

/// Nothing has come from the peer for as long.
const LONG: Duration = Duration::from_secs(10);
/// Sockets that are watched at most.
const MOST: usize = 1 << 16;

#[derive(Default)]
pub(super) struct HalfCloseds {
    held: HashMap<Cookie, HalfClosedCase, FxBuildHasher>,
}

struct HalfClosedCase {
    subject: Subject,
    /// When the state was entered, or no later than that.
    since: KernelTime,
    /// When the last segment of the peer came, if the kernel was asked.
    heard: Option<KernelTime>,
}

impl HalfCloseds {
    fn enter(&mut self, subject: &Subject, since: KernelTime) {
        let Some(socket) = subject.socket else { return };
        if self.held.len() < MOST {
            let fresh = HalfClosedCase { subject: *subject, since, heard: None };
            self.held.entry(socket).or_insert(fresh);
        }
    }

    fn leave(&mut self, socket: Option<Cookie>) {
        socket.and_then(|socket| self.held.remove(&socket));
    }
}

impl Check for HalfCloseds {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change) if change.from == TcpState::FinWait2 => {
                self.leave(change.subject.socket);
            }
            TrackedEvent::Change(change)
                if change.to == TcpState::FinWait2 && change.ends_at.is_none() =>
            {
                self.enter(&change.subject, change.at);
            }
            // The application has closed it: now a timer runs.
            TrackedEvent::Restart(restart) if restart.ends_at.is_some() => {
                self.leave(restart.subject.socket);
            }
            TrackedEvent::Existing(known)
                if known.state == TcpState::FinWait2 && known.subject.process.is_some() =>
            {
                let age = known.in_state.or(known.at_least).unwrap_or_default();
                self.enter(&known.subject, known.at.before(age));
            }
            TrackedEvent::Still(still)
                if still.state == TcpState::FinWait2
                    && (still.wait.orphan || still.wait.ends_at.is_some()) =>
            {
                self.leave(still.subject.socket);
            }
            _ => {}
        }
    }

    fn facts(&mut self, facts: &HostFacts) {
        for waiter in facts.sockets() {
            let known = &waiter.known;
            if known.state == TcpState::FinWait2
                && let Some(held) = self.held.get_mut(&known.socket)
            {
                held.heard = known.quiet.map(|quiet| known.seen.before(quiet));
            }
        }
    }

    fn findings(&self, now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        let mut groups: HashMap<OwnerKey, Vec<&HalfClosedCase>, FxBuildHasher> = HashMap::default();
        for held in self.held.values() {
            if now.since(held.heard.unwrap_or(held.since)) >= LONG && now.since(held.since) >= LONG
            {
                groups.entry(OwnerKey::of(&held.subject)).or_default().push(held);
            }
        }
        for mut group in groups.into_values() {
            group.sort_by_key(|held| held.since);
            into.extend(finding(&group, now, seen));
        }
    }
}

fn finding(group: &[&HalfClosedCase], now: KernelTime, seen: &mut Surroundings) -> Option<Finding> {
    let (oldest, count) = (group.first()?, group.len());
    let whose = seen.whose(&oldest.subject);
    let age = now.since(oldest.since);
    let severity = if count > 1 { Severity::Warning } else { Severity::Notice };
    let asked = group.iter().all(|held| held.heard.is_some());
    let certainty = if asked { Certainty::Certain } else { Certainty::Likely };
    let s = if count == 1 { "" } else { "s" };
    let what = format!(
        "{count} connection{s} half-closed by {whose}: it has sent its FIN by shutdown(), the peer sends neither data \
         nor its FIN, and no timer ends FIN_WAIT_2 before close(); the oldest for {}",
        Span(age)
    );
    Some(Finding {
        since: Some(oldest.since),
        basis: "whether the peer still means to answer cannot be seen".to_owned(),
        examples: group.iter().take(EXAMPLES).map(|held| example(held, now)).collect(),
        ..Finding::new(Kind::HalfClosed, (severity, certainty), count, whose, what)
    })
}

fn example(held: &HalfClosedCase, now: KernelTime) -> Example {
    let note =
        held.heard.map(|heard| format!("nothing from the peer for {}", Span(now.since(heard))));
    Example {
        lasted: Some(now.since(held.since)),
        note: note.unwrap_or_default(),
        ..Example::of(&held.subject, TcpState::FinWait2)
    }
}
