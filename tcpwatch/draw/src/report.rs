//! Reads the JSON document of `tcpwatch lab run --report`. Fields that are not drawn are ignored.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// The version of the format that is read.
const SCHEMA: u64 = 1;

/// Why a report cannot be drawn.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is no JSON, or cut off.
    #[error(
        "cannot read the report {name}: {source}; is the file cut off? Make it again with tcpwatch lab run --report"
    )]
    Json {
        /// The file.
        name: String,
        /// The cause, with its line and column.
        source: serde_json::Error,
    },
    /// Its version is another.
    #[error(
        "cannot read the report {name}: its format has version {found}, this tcpwatch reads version 1; use the tcpwatch that wrote it, or a newer one"
    )]
    Schema {
        /// The file.
        name: String,
        /// Its version as written, or "none".
        found: String,
    },
}

/// A report.
#[derive(Debug, Deserialize)]
pub struct Document {
    /// The version of tcpwatch that wrote it.
    pub tcpwatch: String,
    /// The kernel's release.
    pub kernel: String,
    /// Its runs.
    pub runs: Vec<RunReport>,
    /// Runs that the kernel is too old for.
    #[serde(default)]
    pub not_run: Vec<NotRun>,
}

/// A run that was not made.
#[derive(Debug, Deserialize)]
pub struct NotRun {
    /// The scenario's name.
    pub scenario: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// What the kernel lacks.
    pub why: String,
}

/// A run.
#[derive(Debug, Deserialize)]
pub struct RunReport {
    /// The scenario's name.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// What it claims.
    pub claim: String,
    /// `quick` or `full`.
    pub profile: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Ticks of the kernel's timers per second.
    pub hz: u64,
    /// Each host's sysctls.
    pub sysctls: BTreeMap<String, BTreeMap<String, Value>>,
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub started_mono_ns: u64,
    /// When it ended, on the same clock.
    pub ended_mono_ns: u64,
    /// How long it took, in seconds.
    pub lasted_s: f64,
    /// What happened, in order.
    pub story: Vec<Happened>,
    /// Its packet rules.
    pub rules: Vec<RuleDrops>,
    /// Lost records.
    pub lost: u64,
    /// Whether each expectation holds.
    pub verdicts: Vec<VerdictRow>,
    /// Notes for the reader.
    pub warnings: Vec<String>,
    /// A step that could not be done.
    pub failure: Option<String>,
    /// Whether it holds.
    pub holds: bool,
}

impl RunReport {
    /// `v4` or `v6`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        if self.family == "ipv6" { "v6" } else { "v4" }
    }
}

/// A packet rule and what it dropped.
#[derive(Debug, Deserialize)]
pub struct RuleDrops {
    /// Its name.
    pub rule: String,
    /// On whose link.
    pub host: String,
    /// Segments that it dropped.
    pub dropped: u64,
}

/// Whether an expectation holds.
#[derive(Debug, Deserialize)]
pub struct VerdictRow {
    /// The expectation.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was measured.
    pub measured: String,
    /// The window's beginning, in seconds.
    pub at_least_s: Option<f64>,
    /// The window's end, in seconds.
    pub at_most_s: Option<f64>,
    /// The measured time, in seconds.
    pub measured_s: Option<f64>,
    /// Where the window comes from.
    pub because: Option<String>,
    /// Whether it holds.
    pub holds: bool,
}

/// An address and a port.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct End {
    /// The address.
    pub addr: String,
    /// The port; 0 while none is chosen.
    pub port: u16,
}

/// An event of a run. Which fields there are depends on `event`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Happened {
    /// What kind it is: `state`, `segment`, `call`…
    pub event: String,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub mono_ns: u64,
    /// `client` or `server`.
    pub host: String,
    /// The socket's cookie.
    pub socket: Option<u64>,
    /// This end.
    pub local: Option<End>,
    /// The other end.
    pub remote: Option<End>,
    /// Which way a segment or a reset went.
    pub direction: Option<String>,
    /// The state before.
    pub from: Option<String>,
    /// The state after.
    pub to: Option<String>,
    /// Why it entered CLOSED.
    pub reason: Option<String>,
    /// How long it was in the state before, in seconds.
    pub in_state_s: Option<f64>,
    /// A segment's flags.
    pub flags: Option<String>,
    /// A segment's sequence number.
    pub seq: Option<u64>,
    /// A segment's acknowledgment number.
    pub ack: Option<u64>,
    /// A segment's bytes of data.
    pub len: Option<u64>,
    /// A segment's window, as written in its header.
    pub window: Option<u64>,
    /// The index of the rule that dropped a segment.
    pub dropped_by: Option<usize>,
    /// What is retransmitted.
    pub kind: Option<String>,
    /// Which retransmission it is, from 1.
    pub attempt: Option<u64>,
    /// Seconds since the segment was sent last.
    pub since_last_s: Option<f64>,
    /// A system call as strace shows it.
    pub call: Option<String>,
    /// A system call's name.
    pub name: Option<String>,
    /// The name of a call's socket.
    pub socket_name: Option<String>,
    /// What a call returned.
    pub result: Option<i64>,
    /// The name of its error.
    pub errno_name: Option<String>,
    /// A signal's name.
    pub signal: Option<String>,
    /// A rule's name.
    pub rule: Option<String>,
    /// The kernel's word for a reset's reason.
    pub why: Option<String>,
    /// The text of an error.
    pub error: Option<String>,
}

/// Reads a report. Control characters in its strings, which neither HTML nor SVG can hold, become U+FFFD.
///
/// # Errors
/// If it is no report of the known version.
pub fn read(name: &str, bytes: &[u8]) -> Result<Document, ReadError> {
    let json = |source| ReadError::Json { name: name.to_owned(), source };
    let mut value: Value = serde_json::from_slice(bytes).map_err(json)?;
    let schema = value.get("schema");
    if schema.and_then(Value::as_u64) != Some(SCHEMA) {
        let found = schema.map_or_else(|| "none".to_owned(), ToString::to_string);
        return Err(ReadError::Schema { name: name.to_owned(), found });
    }
    make_printable(&mut value);
    serde_json::from_value(value).map_err(json)
}

fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => {
            let is_bad = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{fffe}' | '\u{ffff}');
            if text.contains(is_bad) {
                *text = text.replace(is_bad, "\u{fffd}");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(make_printable),
        Value::Object(members) => members.values_mut().for_each(make_printable),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_is_cut_off_is_refused_with_the_place() {
        let error = read("r.json", b"{\"schema\":1,\"runs\":[").unwrap_err().to_string();
        assert!(error.contains("r.json") && error.contains("line 1") && error.contains("cut off"), "{error}");
    }

    #[test]
    fn a_report_of_a_future_version_is_refused_with_its_version() {
        let error = read("r.json", b"{\"schema\":2}").unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        let error = read("r.json", b"{}").unwrap_err().to_string();
        assert!(error.contains("version none"), "{error}");
    }
}
