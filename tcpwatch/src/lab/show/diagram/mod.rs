//! A run's story becomes the sequence diagram of what was measured.
//!
//! - [`join`]: what left one host and what reached the other become one arrow
//! - [`calls`]: a call and its return become one remark, or two if it took long
//! - [`rows`]: arrows, states and remarks that belong together share a row
//! - here: rows become lines, long waits are folded

mod calls;
mod join;
mod rows;

use std::time::Duration;

use self::rows::{Row, Rows};
use super::{
    Layout,
    arrow::{Part, arrow, elbow, nothing},
    grid::{Grid, Line, Pair, Span},
    is_open,
    words::{self, Connections},
};
use crate::{
    event::{KernelTime, TcpState},
    lab::{
        host::Host,
        story::{Run, What},
    },
    sink::terminal::style,
    track::News,
};

/// A longer wait is folded and told.
const FOLD: Duration = Duration::from_millis(500);

/// Appends the sequence diagram of a run. Times are seconds since the run's start; an arrow has the
/// time when its segment left.
pub fn diagram(layout: Layout, run: &Run, out: &mut Vec<u8>) {
    let numbered = connections(run) > 1;
    let mut grid = Grid::new(layout, numbered);
    let rows = Rows::of(run, numbered, grid.room());
    grid.header(&run.scenario, run.family, out);
    let mut before: Option<&Row> = None;
    let mut passing = Vec::new();
    for row in &rows {
        if let Some(before) = before {
            fold(&mut grid, before, row.at.since(before.at), &passing, out);
        }
        grid.write(&line(&grid, run, row, &mut passing), out);
        before = Some(row);
    }
    if let Some(before) = before {
        end(&mut grid, run, before, out);
    }
}

/// How many connections there are.
fn connections(run: &Run) -> usize {
    let mut connections = Connections::default();
    for moment in &run.story {
        match &moment.what {
            What::News(news) if matches!(**news, News::Change(_)) => {
                connections.number(moment.host, &news.subject().ends);
            }
            What::Segment(segment) => {
                connections.number(moment.host, &segment.ends);
            }
            _ => {}
        }
    }
    connections.count()
}

fn line(grid: &Grid, run: &Run, row: &Row, passing: &mut Vec<usize>) -> Line {
    let field = grid.field();
    let field = match &row.arrow {
        None if passing.is_empty() => Vec::new(),
        None => nothing(field, passing),
        Some(drawn) => {
            let column = match drawn.from {
                Host::Client => elbow(field),
                Host::Server => field.saturating_sub(elbow(field) + 1),
            };
            if drawn.part == Part::Arrival {
                if let Some(place) = passing.iter().position(|passes| *passes == column) {
                    passing.remove(place);
                }
            }
            let spans = arrow(field, drawn.from, &drawn.labels, (drawn.part, drawn.fate), passing);
            if drawn.part == Part::Departure {
                passing.push(column);
            }
            spans
        }
    };
    Line { time: Some(row.at.since(run.started)), panels: row.panels.clone(), field, folded: false }
}

/// A wait, if it was long.
fn fold(grid: &mut Grid, before: &Row, wait: Duration, passing: &[usize], out: &mut Vec<u8>) {
    if wait <= FOLD {
        return;
    }
    let mut line = Line { folded: true, ..Line::default() };
    for host in Host::ALL {
        line.panels.of_mut(host).stopped = before.panels.of(host).stopped;
    }
    line.field = if passing.is_empty() {
        let text = words::seconds(wait, 2);
        vec![Span::new(
            format!("{text:^field$}", field = grid.field()),
            anstyle::Style::new().bold(),
        )]
    } else {
        nothing(grid.field(), passing)
    };
    grid.write(&line, out);
}

/// States that outlast the run.
fn end(grid: &mut Grid, run: &Run, last: &Row, out: &mut Vec<u8>) {
    let states = still(run);
    if Host::ALL.iter().all(|host| states.of(*host).is_empty()) {
        return;
    }
    let ended = run.ended.max(last.at);
    fold(grid, last, ended.since(last.at), &[], out);
    let mut line = Line { time: Some(ended.since(run.started)), folded: true, ..Line::default() };
    for host in Host::ALL {
        let panel = line.panels.of_mut(host);
        panel.notes = match states.of(host).as_slice() {
            [] => Vec::new(),
            [state] => vec![Span::new(format!("{state}, still"), style::of_state(*state))],
            [state, others @ ..] => {
                let text = format!("{state} and {} more, still", others.len());
                vec![Span::new(text, style::of_state(*state))]
            }
        };
    }
    grid.write(&line, out);
}

/// The states in which connections are at the end.
fn still(run: &Run) -> Pair<Vec<TcpState>> {
    let mut latest: Vec<(Host, Option<usize>, KernelTime, TcpState)> = Vec::new();
    let mut connections = Connections::default();
    for moment in &run.story {
        let What::News(news) = &moment.what else { continue };
        let News::Change(change) = &**news else { continue };
        let number = connections.number(moment.host, &change.subject.ends);
        latest.retain(|(host, known, ..)| (*host, *known) != (moment.host, number));
        latest.push((moment.host, number, moment.at, change.to));
    }
    let mut states: Pair<Vec<TcpState>> = Pair::default();
    for (host, .., state) in latest.into_iter().filter(|(.., state)| is_open(*state)) {
        states.of_mut(host).push(state);
    }
    states
}
