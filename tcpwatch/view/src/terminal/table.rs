//! The table of the sockets that exist: `tcpwatch list`.

use std::time::Duration;

use jiff::tz::TimeZone;
use tcpwatch_core::{
    event::{KernelTime, SocketTimerKind, WallClock},
    place::Places,
    track::{SocketNow, StateAge, WaitsFor},
};

use super::{
    Humane, Naming, TimeStyle, arrow, cell, char_count, namespaces::Namespaces, place, style,
};
use crate::{
    timestamp::Calendar,
    words::{cut, wait_words},
};

/// Titles of the columns before the owner.
const TITLES: [&str; COLUMNS] =
    ["STATE", "AGE", "WAITS FOR", "UNTIL", "TRY", "LOCAL", "", "REMOTE"];
const COLUMNS: usize = 8;
const STATE: usize = 0;
const AGE: usize = 1;
const TRY: usize = 4;
const ARROW: usize = 6;
const REMOTE: usize = 7;
/// A remote end is not cut to less.
const LEAST_REMOTE: usize = 14;
/// A timer that is due later has no time of the day.
const LATER: Duration = Duration::from_hours(12);

/// What the table may assume about its reader.
#[derive(Clone, Copy, Debug)]
pub struct TableLayout {
    /// Colours are wanted.
    pub color: bool,
    /// How moments are shown.
    pub time: TimeStyle,
    /// Columns that a line should not exceed; `None` for a file or a pipe, where nothing is left out.
    pub width: Option<usize>,
    /// When tcpwatch started.
    pub started: KernelTime,
}

/// How much is shown, from all there is to the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Form {
    /// The local end is its port.
    port_only: bool,
    /// Short words, times without fractions, no column without anything in it.
    brief: bool,
    /// Columns of the remote end; a longer one is cut in the middle.
    remote: Option<usize>,
}

/// Writes the table.
#[derive(Debug)]
pub struct Table<'a> {
    layout: TableLayout,
    clock: &'a WallClock,
    calendar: Calendar,
    namespaces: Namespaces,
    /// Text of a line's cells.
    cells: [Vec<u8>; COLUMNS],
    owner: Vec<u8>,
}

impl<'a> Table<'a> {
    /// A table with nothing in it yet. Network namespaces may have names; without, they are inodes.
    #[must_use]
    pub fn new(layout: TableLayout, clock: &'a WallClock, naming: Naming) -> Self {
        let zone = match layout.time {
            TimeStyle::Local => TimeZone::system(),
            TimeStyle::Utc | TimeStyle::Elapsed => TimeZone::UTC,
        };
        Self {
            layout,
            clock,
            calendar: Calendar::new(zone, "%H:%M:%S"),
            namespaces: Namespaces::new(naming),
            cells: Default::default(),
            owner: Vec::new(),
        }
    }

    /// Appends titles and rows.
    pub fn write(&mut self, rows: &[SocketNow], places: &mut Places, out: &mut Vec<u8>) {
        // Every line of a table of several namespaces names its own.
        for row in rows {
            self.namespaces.begin(row.subject.netns, row.at);
        }
        let (form, widths) = self.fitting(rows);
        self.titles(widths, out);
        for row in rows {
            self.namespaces.begin(row.subject.netns, row.at);
            self.fill(row, form);
            self.line(row, widths, places, out);
        }
    }

    /// The form that leaves nothing out for which there is room, and its columns.
    fn fitting(&mut self, rows: &[SocketNow]) -> (Form, [usize; COLUMNS]) {
        let whole = Form::default();
        let port_only = Form { port_only: true, ..whole };
        let brief = Form { brief: true, ..port_only };
        let owner = rows.iter().map(|row| self.owner_of(row)).max().unwrap_or(0);
        let Some(room) = self.layout.width else { return (whole, self.measure(rows, whole)) };
        for form in [whole, port_only, brief] {
            let widths = self.measure(rows, form);
            if taken(widths) + owner <= room {
                return (form, widths);
            }
        }
        let mut widths = self.measure(rows, brief);
        let too_much = (taken(widths) + owner).saturating_sub(room);
        widths[REMOTE] = widths[REMOTE].saturating_sub(too_much).max(LEAST_REMOTE);
        (Form { remote: Some(widths[REMOTE]), ..brief }, widths)
    }

    /// The widths of the columns.
    fn measure(&mut self, rows: &[SocketNow], form: Form) -> [usize; COLUMNS] {
        let mut widths = TITLES.map(str::len);
        let mut tried = false;
        for row in rows {
            self.fill(row, form);
            for (width, cell) in widths.iter_mut().zip(&self.cells) {
                *width = (*width).max(char_count(cell));
            }
            tried |= self.cells.get(TRY).is_some_and(|cell| cell.as_slice() != b"-");
        }
        widths[ARROW] = 1;
        if form.brief && !tried {
            widths[TRY] = 0;
        }
        widths
    }

    /// Columns of the owner and what follows.
    fn owner_of(&mut self, row: &SocketNow) -> usize {
        self.owner.clear();
        cell::owner(&row.subject, cell::GUESS, &mut self.owner);
        char_count(&self.owner)
    }

    fn titles(&self, widths: [usize; COLUMNS], out: &mut Vec<u8>) {
        let mut line = Vec::new();
        for (column, (title, width)) in TITLES.into_iter().zip(widths).enumerate() {
            aligned(column, title.as_bytes(), width, &mut line);
        }
        line.extend_from_slice(b"PROCESS");
        style::paint(style::HEADER, &line, self.layout.color, out);
        out.push(b'\n');
    }

    fn line(
        &mut self,
        row: &SocketNow,
        widths: [usize; COLUMNS],
        places: &mut Places,
        out: &mut Vec<u8>,
    ) {
        let mut text = Vec::new();
        for (column, (cell, width)) in self.cells.iter().zip(widths).enumerate() {
            aligned(column, cell, width, &mut text);
            if column == STATE {
                style::paint(style::of_state(row.state), &text, self.layout.color, out);
                text.clear();
            }
        }
        out.extend_from_slice(&text);
        self.owner.clear();
        cell::owner(&row.subject, cell::GUESS, &mut self.owner);
        let mark = self.namespaces.mark();
        let room = self
            .layout
            .width
            .map_or(usize::MAX, |width| width.saturating_sub(taken(widths) + char_count(mark)));
        place::append(&row.subject, places, room, &mut self.owner);
        out.extend_from_slice(&self.owner);
        out.extend_from_slice(mark);
        out.push(b'\n');
    }

    /// Puts a row into the cells.
    fn fill(&mut self, row: &SocketNow, form: Form) {
        let Self { cells, calendar, layout, clock, .. } = self;
        for cell in cells.iter_mut() {
            cell.clear();
        }
        let [state, age, waits, until, tries, local, arrow, remote] = cells;
        cell::display(&row.state, state);
        age.extend_from_slice(spaced(age_words(row.age), form).as_bytes());
        waits.extend_from_slice(waits_for(row, form.brief).as_bytes());
        match row.until() {
            Some(at) if layout.time == TimeStyle::Elapsed || at.since(row.at) >= LATER => {
                let left = spaced(Humane(Some(at.since(row.at))).to_string(), form);
                cell::display(&format_args!("in {left}"), until);
            }
            Some(at) => {
                calendar.write(clock.unix_ns(at), 1, until);
                if form.brief {
                    until.truncate("19:47:27".len());
                }
            }
            None => until.push(b'-'),
        }
        match (row.timer.map_or(0, |timer| timer.tries), row.most_tries) {
            (0, _) => tries.push(b'-'),
            (count, Some(most)) if u32::from(count) <= most => {
                cell::display(&format_args!("{count}/{most}"), tries);
            }
            (count, _) => cell::number(count.into(), tries),
        }
        let ends = &row.subject.ends;
        let listens = ends.remote.port == 0 && ends.remote.address.is_unspecified();
        if form.port_only && !listens {
            cell::port(&ends.local, local);
        } else {
            cell::endpoint(&ends.local, local);
        }
        arrow.extend_from_slice(self::arrow(row.subject.direction).trim().as_bytes());
        cell::endpoint(&ends.remote, remote);
        if let Some(room) = form.remote
            && remote.len() > room
        {
            *remote = cut(String::from_utf8_lossy(remote).into_owned(), room).into_bytes();
        }
    }
}

/// Columns before the owner.
fn taken(widths: [usize; COLUMNS]) -> usize {
    widths.into_iter().filter(|width| *width > 0).map(|width| width + 1).sum()
}

/// Appends a cell and a space; ages are numbers, and stand on the right.
fn aligned(column: usize, cell: &[u8], width: usize, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let padding = width.saturating_sub(char_count(cell));
    if column == AGE {
        out.resize(out.len() + padding, b' ');
    }
    out.extend_from_slice(cell);
    if column != AGE {
        out.resize(out.len() + padding, b' ');
    }
    out.push(b' ');
}

/// A time with or without a space before its unit.
fn spaced(text: String, form: Form) -> String {
    if form.brief { text.replace(' ', "") } else { text }
}

/// `41.2 s` if it is exact, `1.99 s-2.11 s` between two, `>41.2 s` if it is that at least.
fn age_words(age: StateAge) -> String {
    let humane = |time| Humane(Some(time)).to_string();
    match age {
        StateAge::Unknown => "-".to_owned(),
        StateAge::Timer(time) => humane(time),
        StateAge::Bound(time) => format!(">{}", humane(time)),
        StateAge::Schedule(least, most) => {
            let (least, most) = (humane(least), humane(most));
            match (least.split_once(' '), most.split_once(' ')) {
                _ if least == most => least,
                (Some((least, unit)), Some((_, same))) if unit == same => {
                    format!("{least}-{most}")
                }
                _ => format!("{least}-{most}"),
            }
        }
    }
}

fn waits_for(row: &SocketNow, brief: bool) -> String {
    let words = match row.wait.waits_for {
        Some(what) => wait_words(what),
        None if row.timer.is_some_and(|timer| timer.kind == SocketTimerKind::Keepalive) => {
            "(keepalive)"
        }
        None => "-",
    };
    let brief_words = || {
        let split = words.split_once(" by ").or_else(|| words.split_once(" of "));
        split.map_or(words, |(word, _)| word)
    };
    match (row.wait.waits_for, row.accept_queue) {
        (Some(WaitsFor::Accept), Some(queue)) => {
            let queued = if brief { "" } else { " queued" };
            format!("accept(), {} of {}{queued}", queue.waiting, queue.most)
        }
        _ if brief => brief_words().to_owned(),
        _ => words.to_owned(),
    }
}
