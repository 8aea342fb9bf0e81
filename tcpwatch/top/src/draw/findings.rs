//! What is wrong: a line above the table, or a pane below it.

use ratatui_core::{layout::Rect, style::Style};
use tcpwatch_doctor::{Finding, Severity};

use super::{canvas::Canvas, look, text};
use crate::screen::Screen;

/// Findings that the pane has room for, and its title.
pub(super) const PANE_ROWS: u16 = 5;

const NOTHING: &str = "nothing is wrong that can be seen";

fn style(finding: &Finding) -> Style {
    match finding.severity {
        Severity::Notice => look::BOLD,
        Severity::Warning | Severity::Critical => look::failure(),
    }
}

fn sentence(finding: &Finding) -> String {
    let (whose, what) = (finding.whose.to_string(), text::foreign(&finding.what));
    let named = finding.whose.process.map(|process| process.comm.to_string());
    let says_whose = what.contains(&whose)
        || finding.whose.place.is_none() && named.is_some_and(|name| what.contains(&name));
    if says_whose { what } else { format!("{}: {what}", text::foreign(&whose)) }
}

/// One line: the chosen finding, and how many there are.
pub(super) fn line(screen: &Screen, canvas: &mut Canvas<'_>, y: u16, width: u16) {
    let findings = &screen.findings;
    let Some(chosen) = findings.chosen() else {
        canvas.put_within(1, y, nothing(screen), width.saturating_sub(2), look::DIM);
        return;
    };
    let number = format!("{}/{}", findings.chosen + 1, findings.list.len());
    canvas.put(0, y, "!", style(chosen));
    let room = width.saturating_sub(u16::try_from(number.len()).unwrap_or(width) + 4);
    let words = text::cut_end(sentence(chosen), room.into());
    canvas.put_within(2, y, &words, room, style(chosen));
    canvas.put_right(width.saturating_sub(1), y, &number, look::DIM);
}

/// As many as there is room for, the chosen one among them.
pub(super) fn pane(screen: &Screen, canvas: &mut Canvas<'_>, area: Rect) {
    let findings = &screen.findings;
    let count = findings.list.len();
    let title = match (count, findings.only) {
        (0, _) => String::new(),
        (_, true) => format!("findings: {count} (only their sockets are shown; ! shows all)"),
        (_, false) => format!("findings: {count} (! shows only their sockets, e explains)"),
    };
    canvas.row(area.y, area.width, "\u{2500}", look::DIM);
    if count == 0 {
        canvas.put_within(1, area.y, &format!(" {} ", nothing(screen)), area.width, look::DIM);
        return;
    }
    canvas.put_within(1, area.y, &format!(" {title} "), area.width, look::BOLD);
    let rows = usize::from(area.height.saturating_sub(1));
    let first = (findings.chosen + 1).saturating_sub(rows);
    let shown = findings.list.iter().enumerate().skip(first).take(rows);
    for (y, (place, finding)) in (area.y + 1..).zip(shown) {
        let mark = if place == findings.chosen { "\u{25b6}" } else { " " };
        canvas.put(0, y, mark, look::PLAIN);
        canvas.put(1, y, "!", style(finding));
        let room = usize::from(area.width.saturating_sub(4));
        canvas.put(3, y, &text::cut_end(sentence(finding), room), style(finding));
    }
}

/// Whether looking has begun, and how far it can see.
fn nothing(screen: &Screen) -> &'static str {
    if screen.judged() { NOTHING } else { "findings: not looked yet" }
}

/// The chosen finding with its causes, what to check and what to change.
pub(super) fn whole(screen: &mut Screen, canvas: &mut Canvas<'_>, area: Rect) {
    let Some(finding) = screen.findings.chosen().cloned() else {
        canvas.put(1, area.y, nothing(screen), look::DIM);
        return;
    };
    let (now, clock) = (screen.shown().sockets.now, screen.origin.clock);
    let lines = (screen.origin.explain)(&finding, now, &clock);
    let word = finding.kind.word();
    let more = format!("tcpwatch explain {word} says when this is found, and when not");
    let lines: Vec<&str> = lines.lines().chain([more.as_str()]).collect();
    let hidden = lines.len().saturating_sub(area.height.into());
    screen.scrolled = screen.scrolled.min(hidden);
    let shown = lines.iter().skip(screen.scrolled);
    for (y, line) in (area.y..area.y + area.height).zip(shown) {
        let style = if line.starts_with(' ') { look::PLAIN } else { look::BOLD };
        canvas.put_within(1, y, line, area.width.saturating_sub(1), style);
    }
    if screen.scrolled < hidden {
        let last = area.y + area.height - 1;
        canvas.put_right(area.width.saturating_sub(1), last, "Down: more", look::BOLD);
    }
}
