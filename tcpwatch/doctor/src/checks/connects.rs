//! Connects that fail: without an answer, refused, rejected by ICMP; by destination and owner.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, Endpoint, KernelTime, SegmentKind, TcpState},
    track::{Reason, Subject, TrackedEvent},
};

use super::Check;
use crate::{
    finding::{Certainty, EXAMPLES, Example, Finding, Kind, Severity},
    seen::Surroundings,
    whose::OwnerKey,
};

/// A program that was refused and reaches the same port at another address within this time has fallen back, as
/// with `localhost` that is `::1` first.
const FALLS_BACK: Duration = Duration::from_secs(1);
/// Retransmissions of a SYN from which its answer is missing: with the kernel's defaults after 3 s.
const UNANSWERED: u32 = 2;
/// Failures from which a destination that answers at times is reported.
const OFTEN: u64 = 3;
/// Refusals in a row that are no matter of chance.
const REPEATED: u64 = 2;
/// Destinations that are watched at most.
const MOST: usize = 1 << 14;
/// Refusals of one destination that may still turn out to be a fallback.
const RECENT: usize = 64;

#[derive(Default)]
pub(super) struct Connects {
    to: HashMap<(OwnerKey, Endpoint), Destination, FxBuildHasher>,
    /// Destinations of one owner and port that may still turn out to have been left for another: those with
    /// [`Destination::recent`].
    refused: HashMap<(OwnerKey, u16), Vec<Endpoint>, FxBuildHasher>,
    /// SYNs that were sent again and are not answered yet.
    pending: HashMap<Cookie, (OwnerKey, Endpoint), FxBuildHasher>,
}

#[derive(Default)]
struct Destination {
    subject: Option<Subject>,
    answered: u64,
    last_answer: Option<KernelTime>,
    failures: [Failures; 3],
    /// Refusals that are younger than [`FALLS_BACK`].
    recent: VecDeque<KernelTime>,
}

#[derive(Default)]
struct Failures {
    count: u64,
    first: Option<KernelTime>,
    last: Option<KernelTime>,
    examples: Vec<Example>,
}

/// What came of a connect that failed; a place in [`Destination::failures`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    Unanswered,
    Refused,
    Rejected,
}

impl Failure {
    const ALL: [Self; 3] = [Self::Unanswered, Self::Refused, Self::Rejected];

    const fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::TimedOut | Reason::GaveUp => Some(Self::Unanswered),
            Reason::Refused => Some(Self::Refused),
            Reason::Unreachable => Some(Self::Rejected),
            _ => None,
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Unanswered => Kind::ConnectUnanswered,
            Self::Refused => Kind::ConnectRefused,
            Self::Rejected => Kind::ConnectRejected,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Unanswered => "got no answer",
            Self::Refused => "were refused by a reset",
            Self::Rejected => "were rejected by ICMP",
        }
    }
}

impl Failures {
    fn add(&mut self, at: KernelTime, example: Example) {
        self.count += 1;
        self.first.get_or_insert(at);
        self.last = self.last.max(Some(at));
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }
}

impl Connects {
    fn destination(&mut self, subject: &Subject) -> Option<&mut Destination> {
        let key = (OwnerKey::of(subject), subject.ends.remote);
        if self.to.len() >= MOST && !self.to.contains_key(&key) {
            return None;
        }
        let destination = self.to.entry(key).or_default();
        destination.subject = Some(*subject);
        Some(destination)
    }

    fn fails(&mut self, at: KernelTime, subject: &Subject, failure: Failure, note: String) {
        let was_pending = subject.socket.and_then(|socket| self.pending.remove(&socket)).is_some();
        let Some(destination) = self.destination(subject) else { return };
        let is_first = destination.recent.is_empty();
        if failure == Failure::Refused {
            destination.recent.push_back(at);
            destination.recent.truncate(RECENT);
        }
        // It was counted when it became clear that no answer comes.
        if was_pending && failure == Failure::Unanswered {
            return;
        }
        let example = Example { note, ..Example::of(subject, TcpState::SynSent) };
        if let Some(failures) = destination.failures.get_mut(place(failure)) {
            failures.add(at, example);
        }
        if failure == Failure::Refused && is_first {
            let remote = subject.ends.remote;
            let of_port = (OwnerKey::of(subject), remote.port);
            self.refused.entry(of_port).or_default().push(remote);
        }
    }

    fn succeeds(&mut self, at: KernelTime, subject: &Subject) {
        let pending = subject.socket.and_then(|socket| self.pending.remove(&socket));
        if let Some(destination) = self.destination(subject) {
            destination.answered += 1;
            destination.last_answer = Some(at);
            if pending.is_some()
                && let Some(failures) = destination.failures.get_mut(place(Failure::Unanswered))
            {
                failures.count = failures.count.saturating_sub(1);
            }
        }
        let owner = OwnerKey::of(subject);
        let Some(refused) = self.refused.get_mut(&(owner, subject.ends.remote.port)) else {
            return;
        };
        for remote in refused.extract_if(.., |remote| *remote != subject.ends.remote) {
            let Some(left) = self.to.get_mut(&(owner, remote)) else { continue };
            left.recent.retain(|refused| at.since(*refused) <= FALLS_BACK);
            let refused = u64::try_from(left.recent.len()).unwrap_or(0);
            left.recent.clear();
            if let Some(failures) = left.failures.get_mut(place(Failure::Refused)) {
                failures.count = failures.count.saturating_sub(refused);
            }
        }
    }

    /// A SYN that was sent again without an answer.
    fn waits(&mut self, at: KernelTime, subject: &Subject, attempts: u32) {
        let Some(socket) = subject.socket else { return };
        if attempts < UNANSWERED || self.pending.contains_key(&socket) || self.pending.len() >= MOST
        {
            return;
        }
        let note = format!("its SYN was sent {} times", attempts + 1);
        self.fails(at, subject, Failure::Unanswered, note);
        self.pending.insert(socket, (OwnerKey::of(subject), subject.ends.remote));
    }
}

const fn place(failure: Failure) -> usize {
    match failure {
        Failure::Unanswered => 0,
        Failure::Refused => 1,
        Failure::Rejected => 2,
    }
}

impl Check for Connects {
    fn tracked(&mut self, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change) if change.from == TcpState::SynSent => {
                let failure = change.reason.and_then(Failure::of);
                if change.to == TcpState::Established {
                    self.succeeds(change.at, &change.subject);
                } else if let Some(failure) = failure {
                    self.fails(change.at, &change.subject, failure, String::new());
                } else if let Some(socket) = change.subject.socket {
                    self.pending.remove(&socket);
                }
            }
            TrackedEvent::Retransmit(again) if again.segment == SegmentKind::Syn => {
                self.waits(again.at, &again.subject, again.attempt);
            }
            TrackedEvent::Still(still) if still.state == TcpState::SynSent => {
                let attempts = still.wait.retransmits.unwrap_or(0);
                self.waits(still.at, &still.subject, attempts.into());
            }
            _ => {}
        }
    }

    fn findings(&self, _now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>) {
        for ((_, remote), destination) in &self.to {
            for failure in Failure::ALL {
                if let Some(failures) = destination.failures.get(place(failure)) {
                    into.extend(finding(*remote, destination, failure, failures, seen));
                }
            }
        }
    }
}

fn finding(
    remote: Endpoint,
    destination: &Destination,
    failure: Failure,
    failures: &Failures,
    seen: &mut Surroundings,
) -> Option<Finding> {
    let Destination { answered, last_answer, subject, .. } = destination;
    let Failures { count, first, last, examples } = failures;
    let least = if failure == Failure::Refused { REPEATED } else { 1 };
    let is_over = last_answer.is_some_and(|answer| Some(answer) > *last);
    let is_often = *count >= OFTEN && count * 9 >= *answered;
    if *count == 0 || (*count < least || is_over) && !is_often {
        return None;
    }
    let whose = seen.whose(subject.as_ref()?);
    let of = answered + count;
    let severity = if *answered == 0 { Severity::Critical } else { Severity::Warning };
    let severity = if is_over { Severity::Notice } else { severity };
    let until = if is_over { "; the last one was answered" } else { "" };
    let what =
        format!("{count} of {of} connects of {whose} to {remote} {}{until}", failure.words());
    Some(Finding {
        since: *first,
        basis: match failure {
            Failure::Unanswered => {
                "the SYN was sent again and again; where it is lost cannot be seen from here"
                    .to_owned()
            }
            Failure::Refused | Failure::Rejected => {
                "the kernel's reason for the end of the connect".to_owned()
            }
        },
        examples: examples.clone(),
        ..Finding::new(failure.kind(), (severity, Certainty::Certain), *count, whose, what)
    })
}
