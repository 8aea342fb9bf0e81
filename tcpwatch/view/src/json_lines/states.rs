//! Lines about states: changes, what was there before, timers that start again.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::track::{Change, Existing, Restart};

#[cfg(test)]
use super::schema;
use super::{
    Members,
    queue::{self, QueuesJson},
    values::{StateJson, ends_in},
};
use crate::json::{Seconds, Word};

/// A socket has changed its state.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(
    extend(
        "dependentRequired" = {
            "gap": ["inferred"],
            "listener_dropped": ["listener_dropped_within_s"],
            "listener_dropped_within_s": ["listener_dropped"]
        },
        "if" = { "properties": { "to": { "const": "CLOSED" } } },
        "then" = { "required": ["reason"] },
        "else" = { "properties": { "reason": false } }
    )
))]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the change")]
pub(crate) struct StateLine {
    from: StateJson,
    to: StateJson,
    /// How long "from" lasted; null when its beginning or its end was not seen.
    in_state_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::reason"))]
    reason: Option<Word>,
    /// The socket was reset because data came after the application had closed it. Absent means false, or
    /// that the record does not tell.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late_data: bool,
    /// The kernel made this change in silence and was asked: the moment is exact to one of its ticks. Absent
    /// means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    asked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::handshake"))]
    handshake: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "QueuesJson"))]
    listener: Option<QueuesJson>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, schemars(schema_with = "schema::ack_dropped"))]
    ack_dropped: bool,
    /// When a SYN comes through: segments that its listener has dropped, for whatever reason, since a SYN came
    /// through last. One of them may have been an earlier SYN of this connection. Absent when none was, or when
    /// that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::positive"))]
    listener_dropped: Option<u32>,
    /// How long ago that last SYN was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    listener_dropped_within_s: Option<Seconds>,
    /// When the kernel's timer ends the state entered, if nothing else does before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    ends_in_s: Option<Seconds>,
    /// The kernel did not report this when it happened; it follows from what it reported later. Absent means
    /// false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inferred: bool,
    /// Other states may lie between "from" and "to": more than one way leads there, and what would say which
    /// was missed. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gap: bool,
}

pub(crate) fn change(line: &mut Members<'_, '_>, change: &Change) {
    let Change {
        at,
        ref subject,
        from,
        to,
        in_state,
        reason,
        late_data,
        ends_at,
        asked,
        handshake,
        ref queue,
        dropped,
        inferred,
        gap,
    } = *change;
    let queue = queue.as_deref();
    line.socket(subject);
    line.add(&StateLine {
        from: StateJson(from),
        to: StateJson(to),
        in_state_s: in_state.map(Seconds),
        reason: reason.map(|reason| Word(reason.word())),
        late_data,
        asked,
        handshake: handshake.map(|handshake| Word(handshake.word())),
        listener: queue.map(QueuesJson::of),
        ack_dropped: queue::ack_dropped(queue),
        listener_dropped: dropped.map(|dropped| dropped.segments),
        listener_dropped_within_s: dropped.map(|dropped| Seconds(dropped.within)),
        ends_in_s: ends_in(at, ends_at),
        inferred,
        gap,
    });
}

/// A socket that was there before the first event: --existing, or --state and it is in one of these states.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct ExistingLine {
    state: StateJson,
    /// How long it is in that state; null when that is not known.
    in_state_s: Option<Seconds>,
    /// And at least how long: no segment has come since. Absent when that is not known either, or when the
    /// exact time is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    in_state_at_least_s: Option<Seconds>,
    /// When the kernel's timer ends the state entered, if nothing else does before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    ends_in_s: Option<Seconds>,
}

pub(crate) fn existing(line: &mut Members<'_, '_>, existing: &Existing) {
    let Existing { at, ref subject, state, in_state, at_least, ends_at } = *existing;
    line.socket(subject);
    line.add(&ExistingLine {
        state: StateJson(state),
        in_state_s: in_state.map(Seconds),
        in_state_at_least_s: at_least.map(Seconds),
        ends_in_s: ends_in(at, ends_at),
    });
}

/// The kernel started the timer of a state, again or at last; the state goes on.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct RestartLine {
    state: StateJson,
    /// How long the state had lasted; null when its beginning was not seen.
    in_state_s: Option<Seconds>,
    /// The state had no timer before: after `shutdown()` a socket was in `FIN_WAIT_2`, and now the application
    /// has closed it. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    starts: bool,
    /// When the kernel's timer ends the state entered, if nothing else does before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    ends_in_s: Option<Seconds>,
    /// The kernel did not report this when it happened; it follows from what it reported later. Absent means
    /// false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inferred: bool,
}

pub(crate) fn restart(line: &mut Members<'_, '_>, restart: &Restart) {
    let Restart { at, ref subject, state, in_state, ends_at, starts, inferred } = *restart;
    line.socket(subject);
    line.add(&RestartLine {
        state: StateJson(state),
        in_state_s: in_state.map(Seconds),
        starts,
        ends_in_s: ends_in(at, ends_at),
        inferred,
    });
}
