//! The line about a segment on a link of the laboratory.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::{
    event::{SegmentEvent, TcpFlags, TcpOptions},
    track::Subject,
};

use super::Members;
#[cfg(test)]
use super::schema;
use crate::json::{Displayed, Word};

/// A segment passed a link of the laboratory, or was dropped there. A link knows neither sockets nor owners.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(
    extend("$ref" = "#/$defs/subject"),
    transform = schema::of_a_link
))]
pub(crate) struct SegmentLine {
    /// Seen from that host.
    #[cfg_attr(test, schemars(schema_with = "schema::way"))]
    direction: Word,
    /// The names of those that are set, in this order: SYN, FIN, RST, PSH, URG, ECE, CWR, ACK.
    #[cfg_attr(
        test,
        schemars(
            with = "String",
            regex(
                pattern = "^((SYN|FIN|RST|PSH|URG|ECE|CWR|ACK)([+](FIN|RST|PSH|URG|ECE|CWR|ACK))*|none)$"
            )
        )
    )]
    flags: Displayed<TcpFlags>,
    /// Sequence number.
    seq: u32,
    /// Acknowledgment number; it counts with the flag ACK only.
    ack: u32,
    /// Bytes of data; a segment that the network is to cut into smaller ones is one here.
    len: u32,
    /// The window field, not scaled.
    window: u16,
    /// Those that are there.
    options: SegmentOptions,
    /// The number of the rule that dropped it; null if it passed.
    #[cfg_attr(test, schemars(with = "Option<u64>"))]
    dropped_by: Option<u8>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(
    inline,
    extend(
        "dependentRequired" = { "timestamp": ["timestamp_echo"], "timestamp_echo": ["timestamp"] }
    )
))]
struct SegmentOptions {
    /// Maximum segment size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "u16"))]
    mss: Option<u16>,
    /// By how many bits windows are shifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "u8"))]
    window_scale: Option<u8>,
    /// Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sack_permitted: bool,
    /// The sender's clock (`TSval` of RFC 7323).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "u32"))]
    timestamp: Option<u32>,
    /// The peer's clock, sent back (`TSecr` of RFC 7323).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "u32"))]
    timestamp_echo: Option<u32>,
    /// How many blocks of selective acknowledgments; absent means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::positive"))]
    sack_blocks: Option<u8>,
    /// A fast open cookie, or the request for one. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fast_open: bool,
}

impl SegmentOptions {
    fn of(options: &TcpOptions) -> Self {
        let TcpOptions { mss, window_scale, sack_permitted, timestamps, sack_blocks, fast_open } =
            *options;
        Self {
            mss,
            window_scale,
            sack_permitted,
            timestamp: timestamps.map(|(value, _)| value),
            timestamp_echo: timestamps.map(|(_, echo)| echo),
            sack_blocks: (sack_blocks > 0).then_some(sack_blocks),
            fast_open,
        }
    }
}

pub(crate) fn segment(line: &mut Members<'_, '_>, segment: &SegmentEvent) {
    let SegmentEvent {
        at: _,
        netns,
        ends,
        way,
        flags,
        seq,
        ack,
        len,
        window,
        ref options,
        dropped_by,
    } = *segment;
    line.whose(&Subject::unknown(None, netns, ends));
    line.add(&SegmentLine {
        direction: Word(way.word()),
        flags: Displayed(flags),
        seq,
        ack,
        len,
        window,
        options: SegmentOptions::of(options),
        dropped_by,
    });
}
