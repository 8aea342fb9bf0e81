//! The line about a connection's life.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tcpwatch_core::{
    event::SegmentKind,
    track::{Connection, MissedChange, Spent},
};

#[cfg(test)]
use super::schema;
use super::{
    Members,
    queue::{self, QueuesJson},
    values::{StateJson, ends_in},
};
use crate::json::{Seconds, Word};

/// The life of a connection, once, when its last trace is gone.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(transform = schema::of_a_life))]
pub(crate) struct ConnectionLine<'a> {
    /// When `SYN_SENT` or `SYN_RECV` was entered; null when that was not seen.
    #[cfg_attr(test, schemars(schema_with = "schema::time_or_null"))]
    opened: Option<&'a str>,
    /// The same moment on the kernel's `CLOCK_MONOTONIC`; absent when opened is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "u64"))]
    opened_mono_ns: Option<u64>,
    /// From there until both sides had closed or it was given up; `TIME_WAIT` is not counted. Null when opened
    /// is.
    lasted_s: Option<Seconds>,
    /// From the first SYN to ESTABLISHED; null if it came not so far, when opened is null, or when the kernel kept no
    /// state until the last ACK (a SYN cookie).
    handshake_s: Option<Seconds>,
    /// Time spent in each state, as far as its beginning was seen.
    #[cfg_attr(test, schemars(schema_with = "schema::times_of_states"))]
    states_s: StaysJson<'a>,
    /// Bytes of data sent, each counted once, acknowledged or not; null without a full socket, or when its
    /// end was missed. The next three are absent then.
    bytes_sent: Option<u64>,
    /// Bytes of data received, each counted once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "u64"))]
    bytes_received: Option<u64>,
    /// Bytes of data that the application handed over and the peer did not acknowledge, sent or not, when
    /// the socket was closed; absent when not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    bytes_undelivered: Option<u32>,
    /// The kernel's smoothed round-trip time; null when never measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<Seconds>"))]
    srtt_s: Option<Measured>,
    /// The kernel's smallest round-trip time of late; null when never measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<Seconds>"))]
    min_rtt_s: Option<Measured>,
    /// Segments sent again: the kernel's count, or what was seen if that is more. From Linux 6.17 on what
    /// the network below did not take is not among them.
    #[cfg_attr(test, schemars(schema_with = "schema::count"))]
    retransmits: u32,
    /// Attempts to send a segment again that the network below did not take; absent means none, or a kernel
    /// before 6.17, which does not report them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::positive"))]
    not_sent: Option<u32>,
    /// Of these, those that were seen, by kind; kinds without one are absent.
    #[cfg_attr(test, schemars(schema_with = "schema::counts_of_kinds"))]
    retries: RetriesJson<'a>,
    /// Who sent the first FIN; both if they crossed, reset if a reset (sent or received) came before any,
    /// null when nobody closed or nothing tells.
    #[cfg_attr(test, schemars(schema_with = "schema::closed_by"))]
    closed_by: Option<Word>,
    #[cfg_attr(test, schemars(schema_with = "schema::end"))]
    end: Word,
    /// The listener's queues when the accept queue was fullest, of those moments of this connection at which
    /// there was something to be said of them. Absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "QueuesJson"))]
    listener: Option<QueuesJson>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(test, schemars(schema_with = "schema::ack_dropped"))]
    ack_dropped: bool,
    /// It is still in `TIME_WAIT`, for so long at most: the run ended before. Only with --lives or --failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Seconds"))]
    ends_in_s: Option<Seconds>,
    /// It was there before the first event. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    existing: bool,
    /// The changes that were not reported and are inferred, in order; how long these states lasted is not
    /// known, and when the last one leads to CLOSED, `lasted_s` is the longest it can have been. Absent means
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(length(min = 1)))]
    inferred_changes: Vec<Inferred>,
    /// Something went wrong. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(inline))]
struct Inferred {
    from: StateJson,
    to: StateJson,
    /// Other states may lie between "from" and "to": more than one way leads there, and what would say which
    /// was missed. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gap: bool,
}

impl Inferred {
    fn of(MissedChange { from, to, gap }: MissedChange) -> Self {
        Self { from: StateJson(from), to: StateJson(to), gap }
    }
}

/// A time that may never have been measured.
#[derive(Debug, Serialize)]
struct Measured(Option<Seconds>);

#[derive(Debug)]
struct StaysJson<'a>(&'a Spent);

impl Serialize for StaysJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named =
            self.0.iter().filter_map(|(state, time)| Some((Word(state.name()?), Seconds(time))));
        serializer.collect_map(named)
    }
}

#[derive(Debug)]
struct RetriesJson<'a>(&'a [(SegmentKind, u32)]);

impl Serialize for RetriesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seen = self.0.iter().filter(|(_, count)| *count > 0);
        serializer.collect_map(seen.map(|(segment, count)| (Word(segment.word()), count)))
    }
}

pub(crate) fn connection(line: &mut Members<'_, '_>, connection: &Connection) {
    let opened = connection.opened.map(|opened| line.moment(opened));
    let totals = connection.totals.as_ref();
    let queue = connection.queue.as_deref();
    line.socket(&connection.subject);
    line.add(&ConnectionLine {
        opened: opened.as_deref(),
        opened_mono_ns: connection.opened.map(|opened| opened.0),
        lasted_s: connection.lasted.map(Seconds),
        handshake_s: connection.handshake.map(Seconds),
        states_s: StaysJson(&connection.spent),
        bytes_sent: totals.map(|totals| totals.sent),
        bytes_received: totals.map(|totals| totals.received),
        bytes_undelivered: totals.and_then(|totals| totals.undelivered),
        srtt_s: totals.map(|totals| Measured(totals.srtt.map(Seconds))),
        min_rtt_s: totals.map(|totals| Measured(totals.min_rtt.map(Seconds))),
        retransmits: connection.retransmits(),
        not_sent: (connection.not_sent > 0).then_some(connection.not_sent),
        retries: RetriesJson(&connection.again),
        closed_by: connection.closed_by.map(|by| Word(by.word())),
        end: Word(connection.end.word()),
        listener: queue.map(QueuesJson::of),
        ack_dropped: queue::ack_dropped(queue),
        ends_in_s: ends_in(connection.at, connection.ends_at),
        existing: connection.existed,
        inferred_changes: connection.inferred.iter().copied().map(Inferred::of).collect(),
        failed: connection.end.is_failure(),
    });
}
