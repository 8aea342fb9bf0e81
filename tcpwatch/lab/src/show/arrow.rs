//! Draws an arrow in the field between the lifelines.

use tcpwatch_view::terminal::style;

use super::grid::ColoredText;
use crate::host::Host;

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It reached the other host.
    Arrived,
    /// A rule on the other host's link dropped it.
    DroppedThere,
    /// A rule on the sender's own link dropped it.
    DroppedHere,
    /// It left; whether it arrived is unknown.
    Unknown,
}

/// Which part of the arrow is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The sender's half, down to where it continues in a later line.
    Departure,
    /// The receiver's half.
    Arrival,
}

/// Columns from the sender's lifeline to where an arrow continues in a later line.
pub(super) const fn elbow(field: usize) -> usize {
    field * 2 / 3
}

/// Draws an arrow with the longest of the labels that fits. `passing` are columns, counted from the client's lifeline,
/// where arrows of earlier lines continue.
pub(super) fn arrow(
    field: usize,
    from: Host,
    labels: &[String],
    (part, fate): (Part, Fate),
    passing: &[usize],
) -> Vec<ColoredText> {
    let mirrored = from == Host::Server;
    let head = match (part, fate, mirrored) {
        (Part::Departure, _, false) => '\u{2510}',
        (Part::Departure, _, true) => '\u{250c}',
        (_, Fate::Arrived, false) => '\u{25b6}',
        (_, Fate::Arrived, true) => '\u{25c0}',
        (_, Fate::DroppedThere | Fate::DroppedHere, _) => '\u{2605}',
        (_, Fate::Unknown, _) => '?',
    };
    let before = if part == Part::Arrival { elbow(field) } else { 0 };
    let most = match (part, fate) {
        (Part::Departure, _) => elbow(field) + 1,
        (_, Fate::Arrived) => field - before,
        (..) => (field - before).saturating_sub(2),
    };
    let fits = |label: &&String| label.chars().count() + 4 <= most;
    let label = labels.iter().find(fits).or(labels.last()).map_or("", String::as_str);
    let label = match label {
        "" => String::new(),
        label => format!(" {label} "),
    };
    let label_width = label.chars().count();
    let length = if fate == Fate::DroppedHere { label_width + 3 } else { most };
    let strokes = length.saturating_sub(label_width + 1);
    let behind = strokes / 2;
    let tail = match (part, mirrored) {
        (Part::Arrival, false) => "\u{2514}",
        (Part::Arrival, true) => "\u{2518}",
        (Part::Whole | Part::Departure, _) => "",
    };
    let stroke = |count: usize| "\u{2500}".repeat(count);
    let first = stroke(strokes - behind).chars().skip(tail.chars().count()).collect::<String>();
    let blank = field.saturating_sub(before + length);
    let look = match fate {
        Fate::Arrived => style::HEADER,
        Fate::DroppedThere | Fate::DroppedHere | Fate::Unknown => style::FAILURE,
    };
    let mut spans = vec![
        ColoredText::plain(" ".repeat(before)),
        ColoredText::new(tail, style::HEADER),
        ColoredText::new(first, style::HEADER),
        ColoredText::plain(label),
        ColoredText::new(stroke(behind), style::HEADER),
        ColoredText::new(head, look),
        ColoredText::plain(" ".repeat(blank)),
    ];
    if mirrored {
        spans.reverse();
    }
    crossed(&spans, passing)
}

/// An empty field.
pub(super) fn nothing(field: usize, passing: &[usize]) -> Vec<ColoredText> {
    crossed(&[ColoredText::plain(" ".repeat(field))], passing)
}

/// Draws the arrows of earlier lines that pass in these columns.
fn crossed(spans: &[ColoredText], passing: &[usize]) -> Vec<ColoredText> {
    let mut column = 0;
    spans
        .iter()
        .map(|span| {
            let text = span.text.chars().map(|c| {
                column += 1;
                match c {
                    ' ' if passing.contains(&(column - 1)) => '\u{2502}',
                    '\u{2500}' if passing.contains(&(column - 1)) => '\u{253c}',
                    other => other,
                }
            });
            ColoredText::new(text.collect::<String>(), span.style)
        })
        .filter(|span| !span.text.is_empty())
        .collect()
}
