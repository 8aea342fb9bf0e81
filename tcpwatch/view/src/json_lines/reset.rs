//! The line about a reset.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::{
    event::{ResetDirection, reset_reason},
    track::TrackedReset,
};

#[cfg(test)]
use super::schema;
use super::{Members, values::StateJson};
use crate::json::Word;

/// A reset was sent or accepted. Who connected to whom is not told here.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(
    extend(
        "$ref" = "#/$defs/subject",
        "if" = { "properties": { "why": { "type": "null" } } },
        "then" = { "properties": { "meaning": false } }
    )
))]
pub(crate) struct ResetLine<'a> {
    /// This host sent the reset, or accepted one that came.
    #[cfg_attr(test, schemars(schema_with = "schema::reset_direction"))]
    direction: Word,
    /// Of the socket; null without one, as for a closed port.
    state: Option<StateJson>,
    /// The kernel's reason, in its words (`SK_RST_REASON_` in lower case); null where it tells none: before
    /// Linux 6.10, and for every reset received.
    #[cfg_attr(test, schemars(length(min = 1)))]
    why: Option<&'a str>,
    /// The same in plain words, where this version of tcpwatch knows the kernel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String", length(min = 1)))]
    meaning: Option<Word>,
}

pub(crate) fn reset(line: &mut Members<'_, '_>, reset: &TrackedReset) {
    let TrackedReset { at: _, ref subject, state, direction, ref why } = *reset;
    line.whose(subject);
    line.add(&ResetLine {
        direction: Word(match direction {
            ResetDirection::Sent => "sent",
            ResetDirection::Received => "received",
        }),
        state: state.map(StateJson),
        why: why.as_deref(),
        meaning: why.as_deref().and_then(reset_reason::meaning).map(Word),
    });
}
