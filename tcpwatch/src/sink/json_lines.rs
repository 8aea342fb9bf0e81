//! One JSON object a line; the form is described by `schema.json` beside this file.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Loss, Sink, Summary, timestamp::Calendar};
use crate::{
    event::{Cookie, Direction, Endpoint, KernelTime, Process, TcpState, WallClock},
    track::{Change, Restart, Subject},
};

/// Version of the form: grows when a field changes its meaning, not when one is added.
const SCHEMA: u8 = 1;

/// Fields of a line, more or less: `serde_json` only asks whether there are any.
const FIELDS_ABOUT: usize = 15;

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

/// The part of a line that is not common to all lines.
trait Body {
    fn fields<S: SerializeStruct>(&self, line: &mut S) -> Result<(), S::Error>;
}

struct Line<'a, B> {
    event: &'static str,
    time: &'a str,
    at: KernelTime,
    body: B,
}

impl<B: Body> Serialize for Line<'_, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_struct("line", FIELDS_ABOUT)?;
        line.serialize_field("schema", &SCHEMA)?;
        line.serialize_field("event", self.event)?;
        line.serialize_field("time", self.time)?;
        line.serialize_field("mono_ns", &self.at.0)?;
        self.body.fields(&mut line)?;
        line.end()
    }
}

impl Body for &Subject {
    fn fields<S: SerializeStruct>(&self, line: &mut S) -> Result<(), S::Error> {
        let Subject { socket, netns, ends, direction, process, inherited: _ } = **self;
        line.serialize_field("socket", &socket.map(|Cookie(number)| number))?;
        line.serialize_field("netns", &netns.0)?;
        let family = if ends.local.address.is_ipv4() { "ipv4" } else { "ipv6" };
        line.serialize_field("family", family)?;
        line.serialize_field("local", &EndpointJson::from(ends.local))?;
        line.serialize_field("remote", &EndpointJson::from(ends.remote))?;
        line.serialize_field("direction", &direction.map(direction_word))?;
        line.serialize_field("process", &process.map(ProcessJson::from))
    }
}

impl Body for &Change {
    fn fields<S: SerializeStruct>(&self, line: &mut S) -> Result<(), S::Error> {
        let Change {
            at,
            ref subject,
            from,
            to,
            in_state,
            reason,
            ends_at,
            asked,
            handshake,
            inferred,
        } = **self;
        subject.fields(line)?;
        line.serialize_field("from", &StateName(from))?;
        line.serialize_field("to", &StateName(to))?;
        line.serialize_field("in_state_s", &in_state.map(Seconds))?;
        if let Some(reason) = reason {
            line.serialize_field("reason", reason.word())?;
        }
        if asked {
            line.serialize_field("asked", &true)?;
        }
        if let Some(handshake) = handshake {
            line.serialize_field("handshake", handshake.word())?;
        }
        end_of_line(at, ends_at, inferred, line)
    }
}

impl Body for &Restart {
    fn fields<S: SerializeStruct>(&self, line: &mut S) -> Result<(), S::Error> {
        let Restart { at, ref subject, state, in_state, ends_at, inferred } = **self;
        subject.fields(line)?;
        line.serialize_field("state", &StateName(state))?;
        line.serialize_field("in_state_s", &in_state.map(Seconds))?;
        end_of_line(at, ends_at, inferred, line)
    }
}

fn end_of_line<S: SerializeStruct>(
    at: KernelTime,
    ends_at: Option<KernelTime>,
    inferred: bool,
    line: &mut S,
) -> Result<(), S::Error> {
    if let Some(ends_at) = ends_at {
        line.serialize_field("ends_in_s", &Seconds(ends_at.since(at)))?;
    }
    if inferred {
        line.serialize_field("inferred", &true)?;
    }
    Ok(())
}

impl Body for &Loss {
    fn fields<S: SerializeStruct>(&self, line: &mut S) -> Result<(), S::Error> {
        line.serialize_field("cause", self.cause.word())?;
        line.serialize_field("count", &self.count)
    }
}

impl Body for &Summary {
    fn fields<S: SerializeStruct>(&self, line: &mut S) -> Result<(), S::Error> {
        let Summary {
            at_ns: _,
            ran_ns,
            changes,
            inferred,
            attempted,
            received,
            ref lost,
            out_of_order,
            connections,
            open,
        } = **self;
        let lost: BTreeMap<&str, u64> =
            lost.iter().map(|(cause, count)| (cause.word(), *count)).collect();
        line.serialize_field("ran_s", &Seconds(Duration::from_nanos(ran_ns)))?;
        line.serialize_field("changes", &changes)?;
        line.serialize_field("inferred", &inferred)?;
        line.serialize_field("attempted", &attempted)?;
        line.serialize_field("received", &received)?;
        line.serialize_field("lost", &lost)?;
        line.serialize_field("out_of_order", &out_of_order)?;
        line.serialize_field("connections", &connections)?;
        line.serialize_field("open", &open)
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
    fn line(
        &mut self,
        event: &'static str,
        at: KernelTime,
        body: impl Body,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        self.time.clear();
        self.calendar.write(clock.unix_ns(at), 9, &mut self.time);
        self.time.push(b'Z');
        let time = std::str::from_utf8(&self.time).unwrap_or_default();
        let start = out.len();
        // Numbers and strings into memory: nothing here can fail. Should it, no half line stays.
        if serde_json::to_writer(&mut *out, &Line { event, time, at, body }).is_ok() {
            out.push(b'\n');
        } else {
            out.truncate(start);
        }
    }
}

impl Sink for JsonLines {
    fn change(&mut self, change: &Change, clock: &WallClock, out: &mut Vec<u8>) {
        self.line("state", change.at, change, clock, out);
    }

    fn restart(&mut self, restart: &Restart, clock: &WallClock, out: &mut Vec<u8>) {
        self.line("restart", restart.at, restart, clock, out);
    }

    fn loss(&mut self, loss: &Loss, clock: &WallClock, out: &mut Vec<u8>) {
        self.line("loss", loss.at, loss, clock, out);
    }

    fn summary(&mut self, summary: &Summary, clock: &WallClock, out: &mut Vec<u8>) {
        self.line("summary", KernelTime(summary.at_ns), summary, clock, out);
    }
}
