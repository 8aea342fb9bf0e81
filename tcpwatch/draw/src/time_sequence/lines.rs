//! Segments, acknowledgments and windows as paths of SVG.

use std::fmt::Write as _;

use super::{
    AREA,
    flow::{Flow, SentSegment},
    scale::{ByteScale, TimeScale, number},
};

/// The height of a segment at least, so that one of a byte is seen.
const LEAST: f64 = 3.0;

/// Bars that are drawn alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BarKind {
    /// Data that is sent for the first time.
    First,
    /// Anything that is sent again.
    Again,
    /// SYN and FIN without data.
    Control,
}

impl BarKind {
    /// The kind of a segment's bar; `None` for what takes no sequence numbers.
    fn of(sent: &SentSegment) -> Option<Self> {
        match (sent.again, sent.len > 0) {
            (true, _) => Some(Self::Again),
            (false, true) => Some(Self::First),
            (false, false) => (sent.end() > sent.start).then_some(Self::Control),
        }
    }
}

/// The segments of a kind as bars from their first byte to their last.
pub(super) fn segments(flow: &Flow, time: &TimeScale, bytes: &ByteScale, kind: BarKind) -> String {
    let mut path = String::new();
    // The x of the latest bar, its lower and its upper end: bars that touch at one place become one.
    let mut open: Option<(String, f64, f64)> = None;
    let mut end = |bar: Option<(String, f64, f64)>| {
        if let Some((x, low, high)) = bar {
            let high = high.min(low - LEAST);
            let (low, height) = (number(low), number(high - low));
            _ = write!(path, "M{x} {low}m-3 0h6m-3 0v{height}m-3 0h6");
        }
    };
    for sent in flow.sent.iter().filter(|sent| BarKind::of(sent) == Some(kind)) {
        // In steps of half a unit, the finest that can be seen, so that thousands of segments become one path of bounded length.
        let x = number((time.x(sent.at) * 2.0).round() / 2.0);
        let (low, high) = (bytes.y(sent.start), bytes.y(sent.end()));
        match &mut open {
            Some((place, _, top)) if *place == x && number(*top) == number(low) => *top = high,
            _ => end(open.replace((x, low, high))),
        }
    }
    end(open);
    path
}

/// The acknowledged bytes as a step line.
pub(super) fn acknowledged(flow: &Flow, time: &TimeScale, bytes: &ByteScale) -> String {
    steps(flow.acks.iter().map(|ack| (time.x(ack.at), bytes.y(ack.up_to))))
}

/// The bytes that may be sent as a step line; `None` if that is more than the plot shows all the time.
pub(super) fn allowed(flow: &Flow, time: &TimeScale, bytes: &ByteScale) -> Option<String> {
    let known = || flow.acks.iter().filter_map(|ack| Some((ack.at, ack.allowed?)));
    let is_seen = known().any(|(_, allowed)| f64::from(allowed) < bytes.most);
    let points = known().map(|(at, allowed)| (time.x(at), bytes.y(allowed).max(AREA.2 - 8.0)));
    is_seen.then(|| steps(points))
}

/// Acknowledgments that repeat the one before: a short stroke on the line.
pub(super) fn duplicates(flow: &Flow, time: &TimeScale, bytes: &ByteScale) -> String {
    let mut path = String::new();
    for ack in flow.acks.iter().filter(|ack| ack.repeated > 0) {
        let (x, y) = (number(time.x(ack.at)), number(bytes.y(ack.up_to)));
        _ = write!(path, "M{x} {y}v-7");
    }
    path
}

/// A line that keeps its height until the next point. Points at the same place, and those that change nothing, are left
/// out.
fn steps(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    let mut latest: Option<(String, String)> = None;
    for (x, y) in points {
        let (x, y) = (number(x), number(y));
        match &latest {
            None => _ = write!(path, "M{x} {y}"),
            Some((_, level)) if *level == y => continue,
            Some((place, _)) if *place == x => _ = write!(path, "V{y}"),
            Some(_) => _ = write!(path, "H{x}V{y}"),
        }
        latest = Some((x, y));
    }
    if latest.is_some() {
        _ = write!(path, "H{}", number(AREA.1));
    }
    path
}
