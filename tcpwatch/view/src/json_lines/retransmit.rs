//! The line about a segment that was sent again.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::{timing::Then, track::TrackedRetransmit};

#[cfg(test)]
use super::schema;
use super::{
    Members,
    queue::{self, QueuesJson},
    values::StateJson,
};
use crate::json::{Seconds, Word};

/// A segment was sent again.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(
    extend(
        "dependentRequired" = {
            "next_in_s": ["next_in_at_most_s"],
            "next_in_at_most_s": ["next_in_s"],
            "gives_up_in_s": ["gives_up_in_at_most_s"],
            "gives_up_in_at_most_s": ["gives_up_in_s"]
        },
        "dependentSchemas" = { "next_in_s": { "properties": { "gives_up_in_s": false } } },
        "if" = { "properties": { "kind": { "const": "syn" } } },
        "then" = { "required": ["attempts_at_most"] },
        "else" = { "properties": { "attempts_at_most": false } }
    )
))]
pub(crate) struct RetransmitLine {
    #[cfg_attr(test, schemars(schema_with = "schema::kind"))]
    kind: Word,
    /// Which one without an answer.
    #[cfg_attr(test, schemars(schema_with = "schema::positive"))]
    attempt: u32,
    /// Time since this segment was sent last before; null when that is not known, as of a fast
    /// retransmission.
    since_last_s: Option<Seconds>,
    state: StateJson,
    /// How long after that the timer that ran out was due; absent when no timer ran out. Mostly the
    /// retransmission timeout; less when the kernel shortened it, more when a timeout passed without a
    /// segment (`TCP_DEFER_ACCEPT`) or an acknowledgment of other data moved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    expected_s: Option<Seconds>,
    /// No timeout: a tail loss probe, a fast retransmission, or a SYN that came again. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    early: bool,
    /// The network below refused the segment. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    not_sent: bool,
    /// If no answer comes, the next attempt follows in this time at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    next_in_s: Option<Seconds>,
    /// And at the latest, as late as the kernel's timers may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    next_in_at_most_s: Option<Seconds>,
    /// If no answer comes, the kernel gives up in this time at the earliest: there is no next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    gives_up_in_s: Option<Seconds>,
    /// And at the latest, as late as the kernel's timers may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    gives_up_in_at_most_s: Option<Seconds>,
    /// Of a SYN, after how many attempts the kernel gives up; on no other line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    attempts_at_most: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "QueuesJson"))]
    listener: Option<QueuesJson>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, schemars(schema_with = "schema::ack_dropped"))]
    ack_dropped: bool,
}

pub(crate) fn retransmit(line: &mut Members<'_, '_>, again: &TrackedRetransmit) {
    let TrackedRetransmit {
        at: _,
        ref subject,
        state,
        segment,
        attempt,
        early,
        since_last,
        expected,
        next,
        most,
        sent,
        ref queue,
    } = *again;
    let queue = queue.as_deref();
    let gives_up = next.filter(|next| next.then == Then::GivesUp);
    let next = next.filter(|next| next.then != Then::GivesUp);
    line.socket(subject);
    line.add(&RetransmitLine {
        kind: Word(segment.word()),
        attempt,
        since_last_s: since_last.map(Seconds),
        state: StateJson(state),
        expected_s: expected.map(Seconds),
        early,
        not_sent: !sent,
        next_in_s: next.map(|next| Seconds(next.wait.promise)),
        next_in_at_most_s: next.map(|next| Seconds(next.wait.latest)),
        gives_up_in_s: gives_up.map(|next| Seconds(next.wait.promise)),
        gives_up_in_at_most_s: gives_up.map(|next| Seconds(next.wait.latest)),
        attempts_at_most: most,
        listener: queue.map(QueuesJson::of),
        ack_dropped: queue::ack_dropped(queue),
    });
}
