//! Draws one run as a sequence diagram.
//!
//! Each event has a row, in the order of the kernel's clock; an arrow begins in the row in which its segment left and
//! ends in that in which it arrived. A gap of more than 0.5 s is folded and labelled with its length.

use askama::Template;

use crate::{
    lanes::Lanes,
    report::{Happened, RunReport},
};

/// Height of a row.
const ROW: u32 = 22;
/// Y of the first row.
const TOP: u32 = 62;
/// A longer gap is folded.
const FOLD_NS: u64 = 500_000_000;
/// Middle of the columns of state: client, server.
const MIDDLE: [u32; 2] = [390, 730];
/// Width of all columns of state of a host.
const BAND: u32 = 18;

/// A text beside a host.
struct Note {
    x: u32,
    y: u32,
    anchor: &'static str,
    color: &'static str,
    text: String,
}

/// A segment on its way.
struct Arrow {
    x1: u32,
    y1: u32,
    x2: u32,
    y2: u32,
    is_lost: bool,
    again: Option<String>,
    label: String,
    label_x: u32,
    anchor: &'static str,
    details: String,
}

/// The time during which a connection was in a state.
struct Band {
    x: f64,
    y: u32,
    width: f64,
    height: u32,
    color: &'static str,
    state: String,
}

struct Fold {
    y: u32,
    height: u32,
    text: String,
}

struct Time {
    y: u32,
    text: String,
}

#[derive(Template)]
#[template(path = "sequence.svg")]
struct Picture<'a> {
    run: &'a RunReport,
    id: &'a str,
    height: u32,
    times: Vec<Time>,
    folds: Vec<Fold>,
    bands: Vec<Band>,
    arrows: Vec<Arrow>,
    notes: Vec<Note>,
}

/// The picture. `id` makes the ids in it unique on a page.
///
/// # Errors
/// If it cannot be formatted.
pub fn svg(run: &RunReport, id: &str) -> Result<String, askama::Error> {
    let rows = Rows::of(run);
    let bands = bands(run, &rows);
    let arrows = arrows(run, &rows);
    let notes = notes(run, &rows);
    let Rows { times, folds, bottom, .. } = rows;
    Picture { run, id, height: bottom + 24, times, folds, bands, arrows, notes }.render()
}

/// The events that have a row, and where it is.
struct Rows {
    /// The row of each event of the story, or `None`.
    of_event: Vec<Option<u32>>,
    times: Vec<Time>,
    folds: Vec<Fold>,
    bottom: u32,
}

impl Rows {
    fn of(run: &RunReport) -> Self {
        let mut rows = Self { of_event: Vec::new(), times: Vec::new(), folds: Vec::new(), bottom: TOP };
        let mut before = run.started_mono_ns;
        for (index, event) in run.story.iter().enumerate() {
            if !is_drawn(run, index) {
                rows.of_event.push(None);
                continue;
            }
            rows.fold(event.mono_ns.saturating_sub(before));
            rows.bottom += ROW;
            let text = seconds(event.mono_ns.saturating_sub(run.started_mono_ns));
            rows.times.push(Time { y: rows.bottom, text });
            rows.of_event.push(Some(rows.bottom));
            before = event.mono_ns;
        }
        rows.fold(run.ended_mono_ns.saturating_sub(before));
        rows.bottom += ROW;
        rows
    }

    /// A folded gap is 24 high, and 12 more for each factor of ten.
    fn fold(&mut self, gap: u64) {
        if gap <= FOLD_NS {
            return;
        }
        let height = 24 + 12 * (gap / FOLD_NS).checked_ilog10().unwrap_or(0);
        let text = format!("{} s", seconds(gap));
        self.folds.push(Fold { y: self.bottom + 8, height, text });
        self.bottom += height;
    }

    fn y(&self, index: usize) -> Option<u32> {
        self.of_event.get(index).copied().flatten()
    }
}

/// Whether an event has a row: all but queries of `sock_diag`, and calls that returned before anything else happened.
fn is_drawn(run: &RunReport, index: usize) -> bool {
    let Some(event) = run.story.get(index) else { return false };
    match event.event.as_str() {
        "call" => {
            let next = run.story.get(index + 1);
            !next.is_some_and(|next| {
                next.event == "return"
                    && (&next.host, &next.call) == (&event.host, &event.call)
            })
        }
        "retransmit" => false,
        "segment" | "state" => true,
        _ => note(event).is_some(),
    }
}

fn bands(run: &RunReport, rows: &Rows) -> Vec<Band> {
    let mut bands = Vec::new();
    for (host, middle) in ["client", "server"].into_iter().zip(MIDDLE) {
        let mut lanes = Lanes::default();
        // Per connection: since where it is in which state.
        let mut open: Vec<Option<(u32, String)>> = Vec::new();
        let mut ended: Vec<(usize, u32, u32, String)> = Vec::new();
        let changes = run.story.iter().enumerate();
        for (index, event) in changes.filter(|(_, event)| event.host == host && event.event == "state") {
            let (Some(lane), Some(to), Some(y)) = (lanes.number(event), &event.to, rows.y(index)) else {
                continue;
            };
            if open.len() <= lane {
                open.resize(lane + 1, None);
            }
            let Some(current) = open.get_mut(lane) else { continue };
            if let Some((since, state)) = current.take() {
                ended.push((lane, since, y, state));
            }
            *current = (to != "CLOSED").then(|| (y, to.clone()));
        }
        for (lane, current) in open.into_iter().enumerate() {
            ended.extend(current.map(|(since, state)| (lane, since, rows.bottom, state)));
        }
        let count = u32::try_from(lanes.count().max(1)).unwrap_or(u32::MAX);
        let width = f64::from(BAND) / f64::from(count);
        for (lane, since, until, state) in ended {
            let lane = f64::from(u32::try_from(lane).unwrap_or(u32::MAX));
            let x = width.mul_add(lane, f64::from(middle - BAND / 2));
            let height = until.saturating_sub(since);
            bands.push(Band { x, y: since, width, height, color: color(&state), state });
        }
    }
    bands
}

fn arrows(run: &RunReport, rows: &Rows) -> Vec<Arrow> {
    let mut arrived = vec![false; run.story.len()];
    let mut arrows = Vec::new();
    for (index, event) in run.story.iter().enumerate().filter(|(_, event)| event.event == "segment") {
        let Some(y1) = rows.y(index) else { continue };
        let is_out = event.direction.as_deref() == Some("out");
        if !is_out {
            // Its departure was not seen: only its end is drawn.
            if !arrived.get(index).copied().unwrap_or(false) {
                arrows.push(arrow(run, event, (y1, None), event.host != "client", false));
            }
            continue;
        }
        let later = run.story.iter().enumerate().skip(index + 1);
        let arrival = later.filter(|(at, _)| !arrived.get(*at).copied().unwrap_or(true));
        let arrival = arrival.map(|(at, later)| (at, later)).find(|(_, later)| is_arrival(event, later));
        let arrival = arrival.filter(|_| event.dropped_by.is_none());
        let end = arrival.and_then(|(at, later)| {
            if let Some(arrived) = arrived.get_mut(at) {
                *arrived = true;
            }
            Some((rows.y(at)?, later.dropped_by))
        });
        let is_from_client = event.host == "client";
        arrows.push(arrow(run, event, (y1, end), is_from_client, true));
    }
    arrows
}

/// Whether `later` is the segment `out`, seen at the other host.
fn is_arrival(out: &Happened, later: &Happened) -> bool {
    later.event == "segment"
        && later.direction.as_deref() == Some("in")
        && later.host != out.host
        && (&later.remote, &later.local) == (&out.local, &out.remote)
        && (&later.flags, later.seq, later.ack, later.len) == (&out.flags, out.seq, out.ack, out.len)
}

/// `end` is the row of the arrival and the rule that dropped it there.
fn arrow(
    run: &RunReport,
    event: &Happened,
    (y1, end): (u32, Option<(u32, Option<usize>)>),
    is_from_client: bool,
    was_seen_leaving: bool,
) -> Arrow {
    let [client, server] = [MIDDLE[0] + BAND / 2 + 2, MIDDLE[1] - BAND / 2 - 2];
    let (from, to) = if is_from_client { (client, server) } else { (server, client) };
    let half = u32::midpoint(from, to);
    let dropped_by = end.map_or(event.dropped_by, |(_, rule)| rule);
    let (x1, x2, y2) = match end {
        Some((y2, None)) => (from, to, y2),
        Some((y2, Some(_))) => (from, if is_from_client { to - 14 } else { to + 14 }, y2),
        None if was_seen_leaving => (from, half, y1 + ROW / 2),
        None if dropped_by.is_some() => (half, if is_from_client { to - 14 } else { to + 14 }, y1),
        None => (half, to, y1),
    };
    let again = again(run, event);
    let mut label = segment(event);
    if let Some(again) = &again {
        label = format!("{label}, {again}");
    }
    if let Some(rule) = dropped_by {
        let name = run.rules.get(rule).map_or("?", |rule| rule.rule.as_str());
        label = format!("{label} \u{2605} lost: {name}");
    } else if end.is_none() && was_seen_leaving {
        label = format!("{label} (arrival not seen)");
    } else if !was_seen_leaving {
        label = format!("{label} (departure not seen)");
    }
    let (label_x, anchor) = if is_from_client { (client + 10, "start") } else { (server - 10, "end") };
    let is_lost = dropped_by.is_some() || (end.is_none() && was_seen_leaving);
    Arrow { x1, y1, x2, y2, is_lost, again, label, label_x, anchor, details: details(event) }
}

/// Which retransmission it is, if its report is within 2 ms.
fn again(run: &RunReport, segment: &Happened) -> Option<String> {
    let is_near = |event: &&Happened| {
        event.event == "retransmit"
            && event.host == segment.host
            && event.mono_ns.abs_diff(segment.mono_ns) < 2_000_000
            && is_kind(segment, event.kind.as_deref().unwrap_or_default())
    };
    let near = run.story.iter().filter(is_near);
    let report = near.min_by_key(|event| event.mono_ns.abs_diff(segment.mono_ns))?;
    let attempt = report.attempt.map_or_else(String::new, |attempt| format!(" {attempt}"));
    let after = report.since_last_s.map_or_else(String::new, |gap| format!(" after {gap:.3} s"));
    Some(format!("retry{attempt}{after}"))
}

fn is_kind(segment: &Happened, kind: &str) -> bool {
    let flags = segment.flags.as_deref().unwrap_or_default();
    let (syn, ack, fin) = (flags.contains("SYN"), flags.contains("ACK"), flags.contains("FIN"));
    match kind {
        "syn" => syn && !ack,
        "syn_ack" => syn && ack,
        "fin" => fin,
        "data" => segment.len.unwrap_or(0) > 0,
        _ => !syn && !fin,
    }
}

/// A segment in words: its flags and its bytes.
fn segment(event: &Happened) -> String {
    let flags = event.flags.as_deref().unwrap_or("no flags");
    match event.len.unwrap_or(0) {
        0 => flags.to_owned(),
        1 => format!("{flags}, 1 byte"),
        len => format!("{flags}, {len} bytes"),
    }
}

fn details(event: &Happened) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
    format!(
        "{} seq {} ack {} window {}",
        segment(event),
        number(event.seq),
        number(event.ack),
        number(event.window)
    )
}

fn notes(run: &RunReport, rows: &Rows) -> Vec<Note> {
    let noted = run.story.iter().enumerate().filter_map(|(index, event)| {
        let y = rows.y(index)? + 4;
        let (x, anchor) = match event.host.as_str() {
            "client" => (MIDDLE[0] - BAND / 2 - 10, "end"),
            _ => (MIDDLE[1] + BAND / 2 + 10, "start"),
        };
        let text = note(event)?;
        let color = event.to.as_deref().map_or("note", color);
        Some(Note { x, y, anchor, color, text })
    });
    noted.collect()
}

/// What is written beside the host; `None` for a segment.
fn note(event: &Happened) -> Option<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some(match event.event.as_str() {
        "state" => {
            let reason = event.reason.as_ref().map_or_else(String::new, |why| format!(", {why}"));
            let after = event.in_state_s.filter(|_| event.to.as_deref() == Some("CLOSED"));
            let after = after.map_or_else(String::new, |time| format!(" after {time:.3} s"));
            format!("{}{reason}{after}", text(&event.to))
        }
        "call" => format!("{} \u{2026}", text(&event.call)),
        "return" => match (&event.errno_name, event.result) {
            (Some(error), _) => format!("{} = -1 {error}", text(&event.call)),
            (None, None | Some(0)) if event.name.as_deref() != Some("recv") => text(&event.call),
            (None, result) => format!("{} = {}", text(&event.call), result.unwrap_or(0)),
        },
        "signal" => text(&event.signal),
        "rule_set" => format!("rule {}", text(&event.rule)),
        "rule_released" => format!("rule {} released", text(&event.rule)),
        "reset" => {
            let why = event.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            format!("reset {}{why}", text(&event.direction))
        }
        "error" => text(&event.error),
        // Segments are arrows; the others are not drawn.
        _ => return None,
    })
}

/// The class of a state's colour.
fn color(state: &str) -> &'static str {
    match state {
        "LISTEN" | "SYN_SENT" | "SYN_RECV" => "setup",
        "ESTABLISHED" => "established",
        "TIME_WAIT" => "hidden",
        "CLOSED" => "closed",
        _ => "teardown",
    }
}

/// Nanoseconds as seconds with microseconds.
fn seconds(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000)
}
