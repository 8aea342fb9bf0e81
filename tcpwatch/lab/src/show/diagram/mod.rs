//! Draws a run's story as a sequence diagram.
//!
//! - [`join`]: joins departure and arrival of a segment into one arrow
//! - [`calls`]: combines a call and its return into one remark, or two if it took long
//! - [`rows`]: groups arrows, states and remarks that belong together into rows
//! - here: formats rows as lines, and folds long waits

mod calls;
mod join;
mod rows;

use std::time::Duration;

use tcpwatch_core::{
    event::{KernelTime, TcpState},
    track::TrackedEvent,
};
use tcpwatch_view::terminal::style;

use self::rows::Rows;
pub use self::rows::{DiagramRow, Drawn, Entered};
use super::{
    TerminalLayout,
    arrow::{Part, arrow, elbow, nothing},
    connections::Connections,
    grid::{ColoredText, Grid, GridLine, PerHost},
    is_open, words,
};
use crate::{
    host::Host,
    story::{MomentKind, Run},
};

/// A longer wait is folded, with its duration.
pub const FOLD: Duration = Duration::from_millis(500);

/// Appends the sequence diagram of a run. Times are seconds since the run's start; an arrow has the time when its
/// segment left.
pub fn diagram(layout: TerminalLayout, run: &Run, out: &mut Vec<u8>) {
    let mut grid = Grid::new(layout, is_numbered(run));
    let mut room = PerHost::default();
    for host in Host::ALL {
        *room.of_mut(host) = grid.room(host);
    }
    let rows = rows(run, room);
    grid.header("what was measured", &run.scenario, run.family, out);
    let mut before: Option<&DiagramRow> = None;
    let mut passing = Vec::new();
    for row in &rows {
        if let Some(before) = before {
            fold(&mut grid, before, row.at.since(before.at), &passing, out);
        }
        grid.write(&line(&grid, run, row, &mut passing), out);
        before = Some(row);
    }
}

/// The rows of the diagram, up to the states that outlast the run. `room` is the width of a remark, in columns: longer
/// ones have a shorter form.
#[must_use]
pub fn rows(run: &Run, room: PerHost<usize>) -> Vec<DiagramRow> {
    let mut rows = Rows::of(run, is_numbered(run), room);
    let last = end(run, rows.last_mut());
    rows.extend(last);
    rows
}

/// Whether connections are numbered: if there are several.
fn is_numbered(run: &Run) -> bool {
    let mut connections = Connections::default();
    for moment in &run.story {
        match &moment.what {
            MomentKind::TrackedEvent(tracked) if matches!(**tracked, TrackedEvent::Change(_)) => {
                let subject = tracked.subject();
                connections.number(moment.host, subject.socket, &subject.ends);
            }
            MomentKind::Segment(segment) => {
                connections.number(moment.host, None, &segment.ends);
            }
            _ => {}
        }
    }
    connections.count() > 1
}

fn line(grid: &Grid, run: &Run, row: &DiagramRow, passing: &mut Vec<usize>) -> GridLine {
    let field = grid.field();
    let field = match &row.arrow {
        None if passing.is_empty() => Vec::new(),
        None => nothing(field, passing),
        Some(drawn) => {
            let column = match drawn.from {
                Host::Client => elbow(field),
                Host::Server => field.saturating_sub(elbow(field) + 1),
            };
            if drawn.part == Part::Arrival
                && let Some(place) = passing.iter().position(|passes| *passes == column)
            {
                passing.remove(place);
            }
            let spans = arrow(field, drawn.from, &drawn.labels, (drawn.part, drawn.fate), passing);
            if drawn.part == Part::Departure {
                passing.push(column);
            }
            spans
        }
    };
    GridLine {
        time: Some(row.at.since(run.started)),
        panels: row.panels.clone(),
        field,
        folded: false,
        brings: row.arrow.as_ref().map(|drawn| drawn.from.peer()),
    }
}

/// Appends a folded wait if it was long.
fn fold(
    grid: &mut Grid,
    before: &DiagramRow,
    wait: Duration,
    passing: &[usize],
    out: &mut Vec<u8>,
) {
    if wait <= FOLD {
        return;
    }
    let mut line = GridLine { folded: true, ..GridLine::default() };
    for host in Host::ALL {
        line.panels.of_mut(host).stopped = before.panels.of(host).stopped;
    }
    line.field = if passing.is_empty() {
        let text = words::seconds(wait, 2);
        vec![ColoredText::new(
            format!("{text:^field$}", field = grid.field()),
            anstyle::Style::new().bold(),
        )]
    } else {
        nothing(grid.field(), passing)
    };
    grid.write(&line, out);
}

/// States that outlast the run: in the last row if there is room, otherwise in a row of their own.
fn end(run: &Run, last: Option<&mut DiagramRow>) -> Option<DiagramRow> {
    let states = still(run);
    let last = last?;
    let panels = Host::ALL.map(|host| {
        let [state, others @ ..] = states.of(host).as_slice() else { return (host, None) };
        let several = others.len() + 1;
        let text = match others {
            [] => format!("{state}, still"),
            others if others.iter().all(|other| other == state) => {
                format!("{several} \u{d7} {state}")
            }
            _ => format!("{several} still open"),
        };
        let state = ColoredText::new(text, style::of_state(*state));
        (host, Some(state))
    });
    let panels = panels.into_iter().filter_map(|(host, state)| Some((host, state?)));
    let mut panels = panels.peekable();
    panels.peek()?;
    let mut fill = |row: &mut DiagramRow| {
        for (host, state) in panels.by_ref() {
            let panel = row.panels.of_mut(host);
            panel.state = Some(state);
            panel.still = true;
        }
    };
    let free = Host::ALL.iter().all(|host| {
        let panel = last.panels.of(*host);
        states.of(*host).is_empty() || (panel.state.is_none() && panel.notes.is_empty())
    });
    if free && last.arrow.is_none() && run.ended.since(last.at) < FOLD {
        fill(last);
        return None;
    }
    let mut row = DiagramRow::new(run.ended.max(last.at));
    fill(&mut row);
    Some(row)
}

/// The states of connections at the end.
fn still(run: &Run) -> PerHost<Vec<TcpState>> {
    let mut latest: Vec<(Host, Option<usize>, KernelTime, TcpState)> = Vec::new();
    let mut connections = Connections::default();
    for moment in &run.story {
        let MomentKind::TrackedEvent(tracked) = &moment.what else { continue };
        let TrackedEvent::Change(change) = &**tracked else { continue };
        let subject = &change.subject;
        let number = connections.number(moment.host, subject.socket, &subject.ends);
        latest.retain(|(host, known, ..)| (*host, *known) != (moment.host, number));
        latest.push((moment.host, number, moment.at, change.to));
    }
    let mut states: PerHost<Vec<TcpState>> = PerHost::default();
    for (host, .., state) in latest.into_iter().filter(|(.., state)| is_open(*state)) {
        states.of_mut(host).push(state);
    }
    states
}
