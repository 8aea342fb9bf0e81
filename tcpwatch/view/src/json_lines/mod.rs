//! One JSON object a line; the form is described by `schema.json` in the folder above, which is made of the
//! types here.

pub mod finding;
pub(crate) mod life;
mod listed;
mod losses;
mod place;
mod queue;
pub(crate) mod reset;
pub(crate) mod retransmit;
#[cfg(test)]
pub(crate) mod schema;
pub(crate) mod segment;
pub(crate) mod states;
pub(crate) mod still;
pub(crate) mod values;

use std::sync::Arc;

use jiff::tz::TimeZone;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::{
    event::{CgroupId, KernelTime, WallClock},
    place::{CgroupPlace, Places},
    sink::{Loss, Sink, Summary},
    track::{Subject, TrackedEvent},
};

use self::{
    losses::{LossLine, SummaryLine},
    place::Located,
    values::{Connected, Identity, Namespace, Owned},
};
use super::{
    json::{ForeignText, Object, Word},
    line_of,
    timestamp::Calendar,
};

/// Version of the form: grows when a field changes its meaning, not when one is added.
const SCHEMA_VERSION: u8 = 1;

/// The form of the lines, as JSON Schema.
pub const SCHEMA: &str = include_str!("../schema.json");

/// Writes JSON lines.
#[derive(Debug)]
pub struct JsonLines {
    calendar: Calendar,
    host: Option<&'static str>,
    /// The latest moment of a line so far.
    newest: KernelTime,
    places: Places,
    /// The moment of a line, as text.
    time: Vec<u8>,
}

impl Default for JsonLines {
    fn default() -> Self {
        let calendar = Calendar::new(TimeZone::UTC, "%Y-%m-%dT%H:%M:%S");
        Self {
            calendar,
            host: None,
            newest: KernelTime(0),
            places: Places::default(),
            time: Vec::new(),
        }
    }
}

/// What every line begins with.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct Head<'a> {
    /// Version of the form: grows when a field changes its meaning, not when one is added.
    #[cfg_attr(test, schemars(schema_with = "schema::version"))]
    schema: u8,
    /// What the line is about, and so which other fields it has.
    #[cfg_attr(test, schemars(schema_with = "schema::event"))]
    event: Word,
    /// Wall-clock time in UTC, with nanoseconds.
    #[cfg_attr(test, schemars(schema_with = "schema::time"))]
    time: ForeignText<'a>,
    /// The same moment on the kernel's `CLOCK_MONOTONIC`, in nanoseconds.
    mono_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(skip))]
    host: Option<Word>,
}

/// What any line may end with.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct Tail {
    /// A line before this one is about a later moment: what happened was known only after a while, or its
    /// record came late. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

/// The members of a line about an event.
pub(crate) struct Members<'o, 'l> {
    object: &'l mut Object<'o>,
    calendar: &'l mut Calendar,
    clock: &'l WallClock,
}

impl Members<'_, '_> {
    /// The fields of a struct, as members.
    #[inline]
    pub(crate) fn add(&mut self, part: &impl Serialize) {
        self.object.add(part);
    }

    /// Which socket, who connected to whom, and whose it is.
    #[inline]
    pub(crate) fn socket(&mut self, subject: &Subject) {
        self.add(&Identity::of(subject));
        self.add(&Connected::of(subject));
        self.add(&Owned::of(subject));
    }

    /// The same without who connected to whom.
    pub(crate) fn whose(&mut self, subject: &Subject) {
        self.add(&Identity::of(subject));
        self.add(&Owned::of(subject));
    }

    /// Sockets of one kind, of the same owner.
    pub(crate) fn several(&mut self, subject: &Subject) {
        self.add(&Namespace::of(subject));
        self.add(&Connected::of(subject));
        self.add(&Owned::of(subject));
    }

    /// A moment other than that of the line, as text.
    pub(crate) fn moment(&mut self, at: KernelTime) -> String {
        let mut text = Vec::new();
        spell(self.calendar, at, self.clock, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl JsonLines {
    /// From here on, lines are about this host of the laboratory, and name it.
    pub const fn of_host(&mut self, host: &'static str) {
        self.host = Some(host);
    }

    /// A moment other than that of the line.
    pub fn moment(&mut self, at: KernelTime, clock: &WallClock) -> String {
        let mut text = Vec::new();
        spell(&mut self.calendar, at, clock, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Appends a line: what is common to all, and the fields of `members`.
    pub fn line(
        &mut self,
        event: &'static str,
        at: KernelTime,
        clock: &WallClock,
        out: &mut Vec<u8>,
        members: &impl Serialize,
    ) {
        self.write(event, at, clock, out, |line| line.add(members));
    }

    #[inline]
    fn write(
        &mut self,
        event: &'static str,
        at: KernelTime,
        clock: &WallClock,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Members<'_, '_>),
    ) {
        self.time.clear();
        spell(&mut self.calendar, at, clock, &mut self.time);
        Object::write(out, |object| {
            object.add(&Head {
                schema: SCHEMA_VERSION,
                event: Word(event),
                time: ForeignText(&self.time),
                mono_ns: at.0,
                host: self.host.map(Word),
            });
            fill(&mut Members { object, calendar: &mut self.calendar, clock });
        });
        out.push(b'\n');
    }
}

fn spell(calendar: &mut Calendar, at: KernelTime, clock: &WallClock, out: &mut Vec<u8>) {
    calendar.write(clock.unix_ns(at), 9, out);
    out.push(b'Z');
}

impl Sink for JsonLines {
    fn place(&mut self, id: CgroupId, place: &Arc<CgroupPlace>) {
        self.places.learn(id, Some(Arc::clone(place)));
    }

    fn tracked(&mut self, tracked: &TrackedEvent, clock: &WallClock, out: &mut Vec<u8>) {
        let (at, subject) = (tracked.at(), tracked.subject());
        let place = subject.cgroup.and_then(|id| self.places.get(id)).cloned();
        let late = at < self.newest;
        self.newest = self.newest.max(at);
        self.write(tracked.name(), at, clock, out, |line| {
            line_of(tracked).json(line);
            if let Some(place) = &place {
                line.add(&Located::at(place));
            }
            if late {
                line.add(&Tail { late });
            }
        });
    }

    fn loss(&mut self, loss: &Loss, clock: &WallClock, out: &mut Vec<u8>) {
        self.line("loss", loss.at, clock, out, &LossLine::of(loss));
    }

    fn summary(&mut self, summary: &Summary, clock: &WallClock, out: &mut Vec<u8>) {
        self.line("summary", summary.at, clock, out, &SummaryLine::of(summary));
    }
}
