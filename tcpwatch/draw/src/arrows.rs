//! Segments: arrows from lifeline to lifeline, which slope by the time that the segment took.

use std::{collections::BTreeMap, time::Duration};

use tcpwatch_core::event::TcpFlags;
use tcpwatch_lab::{
    host::Host,
    show::{Drawn, Fate, Part},
};

use crate::{axis::Axis, shape::columns};

/// Letters between the lifelines.
const ROOM: usize = 37;

/// A segment's way.
#[derive(Debug)]
pub(crate) struct DrawnArrow {
    pub(crate) x1: u32,
    pub(crate) y1: u32,
    pub(crate) x2: u32,
    pub(crate) y2: u32,
    /// `arrived`, `dropped` or `unknown`.
    pub(crate) class: &'static str,
    /// `\u{2605}` where it was dropped, `?` where an end of its way is not known.
    pub(crate) mark: Option<Mark>,
    pub(crate) label: Option<ArrowLabel>,
    pub(crate) title: String,
}

/// A letter on an arrow.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) text: &'static str,
}

/// What a segment is called.
#[derive(Debug)]
pub(crate) struct ArrowLabel {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) anchor: &'static str,
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

/// The arrows of a picture. An arrow whose second part is left out ends where the rows are left out.
pub(crate) fn arrows(axis: &Axis<'_>) -> Vec<DrawnArrow> {
    let drawn =
        || axis.rows.iter().filter_map(|placed| Some((placed.y, placed.row.arrow.as_ref()?)));
    let arrivals: BTreeMap<usize, u32> = drawn()
        .filter(|(_, drawn)| drawn.part == Part::Arrival)
        .map(|(y, drawn)| (drawn.number, y))
        .collect();
    let departures: BTreeMap<usize, u32> = drawn()
        .filter(|(_, drawn)| drawn.part == Part::Departure)
        .map(|(y, drawn)| (drawn.number, y))
        .collect();
    let arrows = drawn().filter_map(|(y, drawn)| {
        let end = match drawn.part {
            Part::Whole => y + slope(drawn),
            Part::Departure => arrivals.get(&drawn.number).copied().unwrap_or(y + 14),
            // Drawn with its departure.
            Part::Arrival if departures.contains_key(&drawn.number) => return None,
            Part::Arrival => y,
        };
        Some(arrow(drawn, y, end))
    });
    arrows.collect()
}

/// How far an arrow falls: by the logarithm of the time, 3 for each factor of ten above a microsecond.
fn slope(drawn: &Drawn) -> u32 {
    let microseconds = transit(drawn).and_then(|time| time.as_micros().checked_ilog10());
    2 + (3 * microseconds.unwrap_or(0)).min(12)
}

fn transit(drawn: &Drawn) -> Option<Duration> {
    let (left, arrived) = (drawn.left?, drawn.arrived?);
    (arrived >= left).then(|| arrived.since(left))
}

fn arrow(drawn: &Drawn, y1: u32, y2: u32) -> DrawnArrow {
    let (from, to) = (columns(drawn.from).arrows, columns(drawn.from.peer()).arrows);
    let middle = u32::midpoint(from, to);
    let toward = |start: u32, distance: u32| match drawn.from {
        Host::Client => start + distance,
        Host::Server => start - distance,
    };
    let back = |end: u32, distance: u32| match drawn.from {
        Host::Client => end - distance,
        Host::Server => end + distance,
    };
    let (mut x1, mut x2) = (from, to);
    let (class, mut mark) = match drawn.fate {
        Fate::Arrived => ("arrived", None),
        Fate::DroppedThere => {
            x2 = back(to, 22);
            ("dropped", Some(Mark { x: x2, y: y2 + 4, text: "\u{2605}" }))
        }
        Fate::DroppedHere => {
            x2 = toward(from, 34);
            ("dropped", Some(Mark { x: x2, y: y2 + 4, text: "\u{2605}" }))
        }
        Fate::Unknown => {
            x2 = middle;
            ("unknown", Some(Mark { x: toward(x2, 6), y: y2 + 4, text: "?" }))
        }
    };
    if drawn.left.is_none() {
        x1 = middle;
        let known = mark.take();
        mark = known.or(Some(Mark { x: back(middle, 6), y: y1 + 4, text: "?" }));
    }
    let title = title(drawn);
    DrawnArrow { x1, y1, x2, y2, class, mark, label: label(drawn, y1, y2), title }
}

fn label(drawn: &Drawn, y1: u32, y2: u32) -> Option<ArrowLabel> {
    let fits = |label: &&String| label.chars().count() <= ROOM;
    let text = drawn.labels.iter().find(fits).or(drawn.labels.last())?.clone();
    let (client, server) = (columns(Host::Client).arrows, columns(Host::Server).arrows);
    let (x, y, anchor) = match (drawn.part, drawn.fate, drawn.from) {
        (_, Fate::DroppedHere, Host::Client) => (client + 46, y1 + 6, "start"),
        (_, Fate::DroppedHere, Host::Server) => (server - 46, y1 + 6, "end"),
        (Part::Whole, ..) => (u32::midpoint(client, server), u32::midpoint(y1, y2) - 6, "middle"),
        (_, _, Host::Client) => (client + 8, y1 - 5, "start"),
        (_, _, Host::Server) => (server - 8, y1 - 5, "end"),
    };
    let class = if drawn.again { "again" } else { "name" };
    Some(ArrowLabel { x, y, anchor, class, text })
}

/// The segment in full.
fn title(drawn: &Drawn) -> String {
    let segment = &drawn.segment;
    let (flags, seq, len, window) = (segment.flags, segment.seq, segment.len, segment.window);
    let ack = if segment.flags.has(TcpFlags::ACK) {
        format!(", ack {}", segment.ack)
    } else {
        String::new()
    };
    let way = match (drawn.fate, transit(drawn)) {
        (Fate::Arrived, Some(time)) => format!("arrived after {} \u{b5}s", time.as_micros()),
        (Fate::Arrived, None) => "its departure was not seen".to_owned(),
        (Fate::DroppedThere, _) => "dropped at the receiver".to_owned(),
        (Fate::DroppedHere, _) => "dropped at the sender".to_owned(),
        (Fate::Unknown, _) => "whether it arrived is not known".to_owned(),
    };
    format!("{flags}, seq {seq}{ack}, {len} bytes, window {window}; {way}")
}
