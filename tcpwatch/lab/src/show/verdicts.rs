//! The table of verdicts: what was expected, what was measured, and whether that holds.

use std::{cmp::Ordering, time::Duration};

use anstyle::Style;
use tcpwatch_view::terminal::style;

use super::{
    TerminalLayout,
    table::{Cell, fits, table, wrapped},
    words::{round_seconds, seconds},
};
use crate::{
    story::Run,
    verdict::{Times, Verdict},
};

/// Appends a run's verdicts, its notes, and in the last line the totals.
pub fn verdicts(layout: TerminalLayout, run: &Run, out: &mut Vec<u8>) {
    judged(layout, run, out);
    notes(layout, run, out);
    let shown = if run.scenario.by_hand.is_empty() { "explained" } else { "by hand" };
    let text = format!("{} \u{b7} {shown}: tcpwatch lab show {}", sum(run), run.scenario.word);
    let look = if run.holds() { style::SETUP } else { style::FAILURE };
    out.push(b'\n');
    style::paint(look.bold(), text.as_bytes(), layout.color, out);
    out.push(b'\n');
}

/// `3 of 3 hold`
pub(super) fn sum(run: &Run) -> String {
    let held = run.verdicts.iter().filter(|verdict| verdict.holds).count();
    let failed = if run.failure.is_some() { ", but the run failed" } else { "" };
    format!("{held} of {} hold{failed}", run.verdicts.len())
}

/// The table itself. The origin of an expectation is in the last column if the width suffices, otherwise below.
fn judged(layout: TerminalLayout, run: &Run, out: &mut Vec<u8>) {
    if run.verdicts.is_empty() {
        return;
    }
    let (wide, below) = (rows(run, true), rows(run, false));
    let rows = if fits(&wide, layout.columns()) { wide } else { below };
    table(&rows, layout.columns(), layout.color, out);
}

fn rows(run: &Run, wide: bool) -> Vec<(Vec<Cell>, Option<Cell>)> {
    let timed = run.verdicts.iter().any(|verdict| verdict.times.is_some());
    let explained = wide && run.verdicts.iter().any(|verdict| verdict.because.is_some());
    let title = |word: &str| Cell::new(word, style::HEADER);
    let mut titles = vec![title("what"), title("expected"), title("measured")];
    titles.extend(timed.then(|| title("difference")));
    titles.push(title("verdict"));
    titles.extend(explained.then(|| title("because")));
    let mut rows = vec![(titles, None)];
    for verdict in &run.verdicts {
        let mut cells = row(verdict, timed);
        let because = verdict.because.as_ref();
        let because = because.map(|because| Cell::new(because, style::HEADER));
        if explained {
            cells.extend(because);
            rows.push((cells, None));
        } else {
            rows.push((cells, because));
        }
    }
    rows
}

fn row(verdict: &Verdict, timed: bool) -> Vec<Cell> {
    let look = if verdict.holds { style::PLAIN } else { style::FAILURE };
    let mut row = vec![
        Cell::new(&verdict.what, look),
        Cell::new(expected(verdict), style::PLAIN),
        Cell::new(measured(verdict), look),
    ];
    let difference = verdict.times.as_ref().map(difference);
    row.extend(timed.then(|| Cell::new(difference.unwrap_or_default(), look)));
    row.push(if verdict.holds {
        Cell::new("pass", style::SETUP)
    } else {
        Cell::new("FAIL", style::FAILURE.bold())
    });
    row
}

/// What was measured, in words or as a time: `60.270 s`.
#[must_use]
pub fn measured(verdict: &Verdict) -> String {
    let time = verdict.times.map(|times| seconds(times.measured, 3));
    time.unwrap_or_else(|| verdict.measured.clone())
}

/// What was expected, in words or as a time: `60 s, at most 62.05 s`.
#[must_use]
pub fn expected(verdict: &Verdict) -> String {
    let Some(times) = &verdict.times else { return verdict.expected.clone() };
    let promise = if verdict.expected.is_empty() {
        round_seconds(times.allowed.promise)
    } else {
        verdict.expected.clone()
    };
    if promise.contains("at most") {
        return promise;
    }
    format!("{promise}, at most {}", round_seconds(times.allowed.latest))
}

/// `+0.270 s of 2.05 s`; or by how much it is too early or too late.
#[must_use]
pub fn difference(times: &Times) -> String {
    let Times { allowed, measured } = *times;
    let later = measured.checked_sub(allowed.promise);
    match (later, measured.cmp(&allowed.latest)) {
        (None, _) => {
            format!("{} too early", seconds(allowed.promise.saturating_sub(measured), 3))
        }
        (Some(_), Ordering::Greater) => {
            format!("{} too late", seconds(measured.saturating_sub(allowed.latest), 3))
        }
        (Some(later), _) => {
            let most: Duration = allowed.latest.saturating_sub(allowed.promise);
            format!("+{} of {}", seconds(later, 3), round_seconds(most))
        }
    }
}

/// Appends warnings, losses, and why a run failed.
pub(super) fn notes(layout: TerminalLayout, run: &Run, out: &mut Vec<u8>) {
    let mut note = |word: &str, text: &str, look: Style| {
        out.push(b'\n');
        style::paint(look.bold(), word.as_bytes(), layout.color, out);
        let indent = word.len();
        for (number, line) in text.lines().enumerate() {
            let room = layout.columns().saturating_sub(indent);
            for (part, line) in wrapped(line, room).into_iter().enumerate() {
                if number + part > 0 {
                    out.resize(out.len() + indent, b' ');
                }
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
            }
        }
    };
    for warning in &run.warnings {
        note("warning: ", warning, style::HIDDEN);
    }
    if run.lost > 0 {
        let text = format!("{} records were lost: what is shown may have holes", run.lost);
        note("warning: ", &text, style::HIDDEN);
    }
    if let Some(failure) = &run.failure {
        note("failed: ", failure, style::FAILURE);
    }
}

/// Appends what is shown of a run that does not hold, among others: the table and the notes.
pub(super) fn details(layout: TerminalLayout, run: &Run, out: &mut Vec<u8>) {
    judged(layout, run, out);
    notes(layout, run, out);
}
