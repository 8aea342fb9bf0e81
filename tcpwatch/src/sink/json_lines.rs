//! One JSON object a line; the form is described by `schema.json` beside this file.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use super::{Loss, Sink, Summary, timestamp::Calendar};
use crate::{
    event::{Cookie, Direction, Endpoint, KernelTime, Process, TcpState, WallClock},
    probe::Cause,
    track::{Change, Handshake, Reason, Restart, Subject},
};

/// Version of the form: grows when a field changes its meaning, not when one is added.
const SCHEMA: u8 = 1;

/// Writes JSON lines.
#[derive(Debug)]
pub struct JsonLines {
    calendar: Calendar,
    time: Vec<u8>,
}

impl Default for JsonLines {
    fn default() -> Self {
        Self { calendar: Calendar::new(TimeZone::UTC, "%Y-%m-%dT%H:%M:%S"), time: Vec::new() }
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    schema: u8,
    event: &'static str,
    time: &'a str,
    mono_ns: u64,
    #[serde(flatten)]
    rest: T,
}

/// What every line about a socket holds.
#[derive(Serialize)]
struct SubjectJson {
    socket: Option<u64>,
    netns: u32,
    family: &'static str,
    local: EndpointJson,
    remote: EndpointJson,
    direction: Option<&'static str>,
    process: Option<ProcessJson>,
}

#[derive(Serialize)]
struct StateLine {
    #[serde(flatten)]
    subject: SubjectJson,
    from: StateName,
    to: StateName,
    in_state_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_in_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    inferred: bool,
}

#[derive(Serialize)]
struct RestartLine {
    #[serde(flatten)]
    subject: SubjectJson,
    state: StateName,
    in_state_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_in_s: Option<Seconds>,
    #[serde(skip_serializing_if = "is_false")]
    inferred: bool,
}

impl From<Subject> for SubjectJson {
    fn from(subject: Subject) -> Self {
        let Subject { socket, netns, ends, direction, process, inherited: _ } = subject;
        Self {
            socket: socket.map(|Cookie(number)| number),
            netns: netns.0,
            family: if ends.local.address.is_ipv4() { "ipv4" } else { "ipv6" },
            local: ends.local.into(),
            remote: ends.remote.into(),
            direction: direction.map(direction_word),
            process: process.map(Into::into),
        }
    }
}

#[derive(Serialize)]
struct EndpointJson {
    addr: IpAddr,
    port: u16,
}

#[derive(Serialize)]
struct ProcessJson {
    pid: u32,
    #[serde(serialize_with = "as_text")]
    comm: crate::event::process::Comm,
    via: &'static str,
}

#[derive(Serialize)]
struct LossLine {
    cause: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct SummaryLine {
    ran_s: Seconds,
    changes: u64,
    inferred: u64,
    attempted: u64,
    received: u64,
    lost: BTreeMap<&'static str, u64>,
    out_of_order: u64,
    connections: u64,
    open: u64,
}

struct StateName(TcpState);

impl Serialize for StateName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.name() {
            Some(name) => serializer.serialize_str(name),
            None => serializer.collect_str(&self.0),
        }
    }
}

/// A duration as a number of seconds.
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

fn as_text<S: Serializer>(
    comm: &crate::event::process::Comm,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(comm.as_bytes()) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => serializer.serialize_str(&String::from_utf8_lossy(comm.as_bytes())),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl From<Endpoint> for EndpointJson {
    fn from(Endpoint { address, port }: Endpoint) -> Self {
        Self { addr: address, port }
    }
}

impl From<Process> for ProcessJson {
    fn from(Process { pid, comm, via }: Process) -> Self {
        Self { pid, comm, via: via.word() }
    }
}

const fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Outgoing => "outgoing",
        Direction::Incoming => "incoming",
        Direction::Both => "both",
    }
}

impl JsonLines {
    fn stamp(&mut self, at: KernelTime, clock: &WallClock) {
        self.time.clear();
        self.calendar.write(clock.unix_ns(at), 9, &mut self.time);
        self.time.push(b'Z');
    }

    fn line<T: Serialize>(
        &mut self,
        event: &'static str,
        at: KernelTime,
        rest: T,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        self.stamp(at, clock);
        let time = std::str::from_utf8(&self.time).unwrap_or_default();
        write(&Line { schema: SCHEMA, event, time, mono_ns: at.0, rest }, out);
    }
}

/// Appends a value and a line end.
fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    let start = out.len();
    // Numbers and strings into memory: nothing here can fail. Should it, no half line stays.
    if serde_json::to_writer(&mut *out, value).is_ok() {
        out.push(b'\n');
    } else {
        out.truncate(start);
    }
}

impl Sink for JsonLines {
    fn change(&mut self, change: &Change, clock: &WallClock, out: &mut Vec<u8>) {
        let Change { at, subject, from, to, in_state, reason, ends_at, handshake, inferred } =
            *change;
        let rest = StateLine {
            subject: subject.into(),
            from: StateName(from),
            to: StateName(to),
            in_state_s: in_state.map(Seconds),
            reason: reason.map(Reason::word),
            ends_in_s: ends_at.map(|end| Seconds(end.since(at))),
            handshake: handshake.map(Handshake::word),
            inferred,
        };
        self.line("state", at, rest, clock, out);
    }

    fn restart(&mut self, restart: &Restart, clock: &WallClock, out: &mut Vec<u8>) {
        let Restart { at, subject, state, in_state, ends_at, inferred } = *restart;
        let rest = RestartLine {
            subject: subject.into(),
            state: StateName(state),
            in_state_s: in_state.map(Seconds),
            ends_in_s: ends_at.map(|end| Seconds(end.since(at))),
            inferred,
        };
        self.line("restart", at, rest, clock, out);
    }

    fn loss(&mut self, loss: &Loss, clock: &WallClock, out: &mut Vec<u8>) {
        let rest = LossLine { cause: loss.cause.word(), count: loss.count };
        self.line("loss", loss.at, rest, clock, out);
    }

    fn summary(&mut self, summary: &Summary, clock: &WallClock, out: &mut Vec<u8>) {
        let Summary {
            at_ns,
            ran_ns,
            changes,
            inferred,
            attempted,
            received,
            ref lost,
            out_of_order,
            connections,
            open,
        } = *summary;
        let rest = SummaryLine {
            ran_s: Seconds(Duration::from_nanos(ran_ns)),
            changes,
            inferred,
            attempted,
            received,
            lost: lost.iter().map(|(cause, count)| (Cause::word(*cause), *count)).collect(),
            out_of_order,
            connections,
            open,
        };
        self.line("summary", KernelTime(at_ns), rest, clock, out);
    }
}
