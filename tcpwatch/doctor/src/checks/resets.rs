//! Connections that end by a reset, by why it was sent.

use std::collections::{HashMap, HashSet};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, Endpoints, KernelTime, ResetDirection, TcpState},
    track::{Connection, Reason, Subject, TrackedEvent},
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    span::Span,
    whose::OwnerKey,
};

/// Resets of one owner and kind from which they are reported, and of how many of its connections one has to be one.
const SENT: (usize, u64) = (3, 20);
const RECEIVED: (usize, u64) = (5, 10);
/// Connections that are remembered at most.
const MOST: usize = 1 << 13;
/// Of those that ended, at most so many wait for their reset, which comes within milliseconds or never.
const AWAITED: usize = 1024;

#[derive(Default)]
pub(super) struct Resets {
    /// Why a socket's last reset was sent.
    pending: HashMap<Cookie, (Kind, TcpState), FxBuildHasher>,
    /// Connections that ended by a reset of which is not known yet why it was sent: it comes right after.
    awaiting: HashMap<Cookie, Connection, FxBuildHasher>,
    ended: HashMap<OwnerKey, u64, FxBuildHasher>,
    reset: HashMap<(OwnerKey, Kind), Vec<ResetEnds>, FxBuildHasher>,
    /// The two ends of connections that a socket of this host has reset.
    sent: HashSet<Endpoints, FxBuildHasher>,
}

struct ResetEnds {
    subject: Subject,
    state: TcpState,
    opened: Option<KernelTime>,
    at: KernelTime,
    unsent: Option<u32>,
}

impl Resets {
    fn ends(&mut self, connection: &Connection) {
        let owner = OwnerKey::of(&connection.subject);
        if self.ended.len() < MOST || self.ended.contains_key(&owner) {
            *self.ended.entry(owner).or_default() += 1;
        }
        let Some(socket) = connection.subject.socket else { return };
        let why = self.pending.remove(&socket);
        match (connection.end, why) {
            (Reason::ResetSent, Some(why)) => self.add(connection, why),
            (Reason::ResetSent, None) => {
                if self.awaiting.len() >= AWAITED {
                    self.awaiting.clear();
                }
                self.awaiting.insert(socket, connection.clone());
            }
            (Reason::ResetReceived, _) => {
                self.add(connection, (Kind::ResetReceived, TcpState::Established));
            }
            _ => {}
        }
    }

    fn sends(&mut self, socket: Cookie, why: (Kind, TcpState)) {
        if let Some(connection) = self.awaiting.remove(&socket) {
            self.add(&connection, why);
        } else if self.pending.len() < MOST {
            self.pending.insert(socket, why);
        }
    }

    fn add(&mut self, connection: &Connection, (kind, state): (Kind, TcpState)) {
        let subject = &connection.subject;
        let owner = OwnerKey::of(subject);
        // Health checkers open a connection and take it down by a reset, which does no harm.
        let totals = connection.totals;
        let is_empty = totals.is_some_and(|totals| totals.sent == 0 && totals.received == 0);
        if is_empty && kind != Kind::ResetUnread {
            return;
        }
        if kind != Kind::ResetReceived && self.sent.len() < MOST {
            self.sent.insert(subject.ends);
        }
        let unsent = totals.and_then(|totals| totals.undelivered);
        let ended = ResetEnds {
            subject: *subject,
            state,
            opened: connection.opened,
            at: connection.at,
            unsent,
        };
        let group = self.reset.entry((owner, kind)).or_default();
        if group.len() < MOST {
            group.push(ended);
        }
    }
}

/// By the kernel's word; nothing where another finding, or none, is about it.
fn kind(why: &str) -> Option<Kind> {
    Some(match why {
        "tcp_abort_on_close" => Kind::ResetUnread,
        "tcp_state" | "tcp_disconnect_with_data" => Kind::ResetLinger,
        "tcp_abort_on_data" | "tcp_timewait_socket" => Kind::ResetLateData,
        _ => return None,
    })
}

impl Check for Resets {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Reset(reset) => {
                let Some(socket) = reset.subject.socket else { return };
                let sent = reset.direction == ResetDirection::Sent;
                let kind = reset.why.as_deref().filter(|_| sent).and_then(kind);
                if let Some(why) = kind.zip(reset.state) {
                    self.sends(socket, why);
                }
            }
            TrackedEvent::Connection(connection) => self.ends(connection),
            _ => {}
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        for ((owner, kind), group) in &self.reset {
            let is_other = |ended: &&ResetEnds| {
                let Endpoints { local, remote } = ended.subject.ends;
                let of_peer = Endpoints { local: remote, remote: local };
                *kind != Kind::ResetReceived || !self.sent.contains(&of_peer)
            };
            let group: Vec<&ResetEnds> = group.iter().filter(is_other).collect();
            let all = self.ended.get(owner).copied().unwrap_or(0);
            into.extend(finding(*kind, &group, all, seen));
        }
    }
}

fn finding(kind: Kind, group: &[&ResetEnds], all: u64, seen: &mut Surroundings) -> Option<Finding> {
    let (least, share) = if kind == Kind::ResetReceived { RECEIVED } else { SENT };
    let count = u64::try_from(group.len()).unwrap_or(u64::MAX);
    if group.len() < least || count.saturating_mul(share) < all {
        return None;
    }
    // A process that ends closes all it has at once, and opens none afterwards.
    let first = group.iter().map(|ended| ended.at).min()?;
    let goes_on = group.iter().any(|ended| ended.opened.is_some_and(|opened| opened > first));
    if !goes_on {
        return None;
    }
    let whose = seen.whose(&group.last()?.subject);
    let lost: u64 = group.iter().filter_map(|ended| ended.unsent).map(u64::from).sum();
    let by = match kind {
        Kind::ResetUnread => "closed them with data that it had not read",
        Kind::ResetLinger => "closed them with SO_LINGER 0, which throws away what was not sent",
        Kind::ResetLateData => "had closed them when more data came",
        _ => "was reset by its peers",
    };
    let bytes = if lost > 0 { format!("; {lost} bytes were not delivered") } else { String::new() };
    let what = format!("{count} of {all} connections of {whose} ended by a reset: it {by}{bytes}");
    let severity =
        if kind == Kind::ResetUnread || lost > 0 { Severity::Warning } else { Severity::Notice };
    Some(Finding {
        since: Some(first),
        basis: match kind {
            Kind::ResetReceived => "a reset came; why, only the peer knows".to_owned(),
            _ => "the kernel's reason for the reset".to_owned(),
        },
        examples: group.iter().take(EXAMPLES).map(|ended| example(ended)).collect(),
        ..Finding::new(kind, (severity, Certainty::Certain), count, whose, what)
    })
}

fn example(ended: &ResetEnds) -> Example {
    let lived = ended.opened.map(|opened| format!("after {}", Span(ended.at.since(opened))));
    let lost = ended.unsent.filter(|bytes| *bytes > 0);
    let lost = lost.map(|bytes| format!("{bytes} bytes not delivered"));
    let notes: Vec<String> = lived.into_iter().chain(lost).collect();
    // A socket that closes is in CLOSED already when its reset is sent.
    let state = Some(ended.state).filter(|state| *state != TcpState::Closed);
    Example { state, note: notes.join(", "), ..Example::of(&ended.subject, ended.state) }
}
