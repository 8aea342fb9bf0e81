//! Lines about what was lost, and about the whole run.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::sink::{Loss, Summary};

#[cfg(test)]
use super::schema;
use super::values::LossesJson;
use crate::json::{Seconds, Word};

/// Something was lost since the last line with this cause.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct LossLine {
    #[cfg_attr(test, schemars(schema_with = "schema::cause"))]
    cause: Word,
    /// How much was lost.
    #[cfg_attr(test, schemars(schema_with = "schema::positive"))]
    count: u64,
}

impl LossLine {
    pub(super) const fn of(loss: &Loss) -> Self {
        Self { cause: Word(loss.cause.word()), count: loss.count }
    }
}

/// Totals, on the last line.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct SummaryLine<'a> {
    /// Length of the run.
    ran_s: Seconds,
    /// Lines about sockets.
    changes: u64,
    /// Of these, those marked as inferred.
    inferred: u64,
    /// Records the kernel side wanted to emit.
    attempted: u64,
    /// Records that arrived.
    received: u64,
    /// Losses by cause; causes without a loss are absent.
    #[cfg_attr(test, schemars(schema_with = "schema::counts_of_causes"))]
    lost: LossesJson<'a>,
    /// Records that came too late to be put in order.
    out_of_order: u64,
    /// Connections seen.
    connections: u64,
    /// Of these, still open at the end.
    open: u64,
}

impl<'a> SummaryLine<'a> {
    pub(super) fn of(summary: &'a Summary) -> Self {
        let Summary {
            at: _,
            ran,
            changes,
            inferred,
            attempted,
            received,
            ref lost,
            out_of_order,
            connections,
            open,
        } = *summary;
        Self {
            ran_s: Seconds(ran),
            changes,
            inferred,
            attempted,
            received,
            lost: LossesJson(lost),
            out_of_order,
            connections,
            open,
        }
    }
}
