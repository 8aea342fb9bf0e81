//! The table of the sockets that exist: `tcpwatch list`.

use std::time::Duration;

use jiff::tz::TimeZone;
use tcpwatch_core::{
    event::{KernelTime, SocketTimerKind, WallClock},
    place::Places,
    track::{SocketNow, StateAge, WaitsFor},
};

use super::{
    Humane, Naming, TimeStyle, arrow, cell, char_count, fold, namespaces::Namespaces, place, style,
};
use crate::{
    timestamp::Calendar,
    words::{cut, wait_words},
};

/// Columns before the ends: state, age, what is waited for, until when, tries.
const COLUMNS: usize = 5;
const AGE: usize = 1;
/// A remote end is not cut to less.
const LEAST_REMOTE: usize = 12;
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
struct ListDetail {
    /// The local end is its port.
    port_only: bool,
    /// Short words, how long a timer has to run, tries behind what is waited for, no spaces around arrows.
    brief: bool,
    /// Columns of the remote end; a longer one is cut in the middle.
    remote: Option<usize>,
}

impl ListDetail {
    const fn titles(self) -> [&'static str; COLUMNS] {
        if self.brief {
            ["STATE", "AGE", "WAITS FOR", "DUE IN", ""]
        } else {
            ["STATE", "AGE", "WAITS FOR", "UNTIL", "TRY"]
        }
    }

    /// Columns of the arrow between the ends.
    const fn gap(self) -> usize {
        if self.brief { 1 } else { 3 }
    }

    const fn guess(self) -> &'static str {
        if self.brief { cell::SHORT_GUESS } else { cell::GUESS }
    }
}

/// Columns of the cells.
#[derive(Clone, Copy, Debug)]
struct Widths {
    cells: [usize; COLUMNS],
    local: usize,
    gap: usize,
    remote: usize,
}

impl Widths {
    const fn ends(self) -> usize {
        self.local + self.gap + self.remote
    }

    /// Columns before the owner.
    fn taken(self) -> usize {
        self.cells.into_iter().filter(|width| *width > 0).map(|width| width + 1).sum::<usize>()
            + self.ends()
            + 1
    }
}

/// Writes the table.
#[derive(Debug)]
pub struct ListTable<'a> {
    layout: TableLayout,
    clock: &'a WallClock,
    calendar: Calendar,
    namespaces: Namespaces,
    /// Text of a line's cells.
    cells: [Vec<u8>; COLUMNS],
    local: Vec<u8>,
    arrow: &'static str,
    /// Empty where the local end stands alone.
    remote: Vec<u8>,
    owner: Vec<u8>,
}

impl<'a> ListTable<'a> {
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
            local: Vec::new(),
            arrow: "",
            remote: Vec::new(),
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
        self.titles(form, widths, out);
        for row in rows {
            self.namespaces.begin(row.subject.netns, row.at);
            self.fill(row, form);
            self.line(row, (form, widths), places, out);
        }
    }

    /// The form that leaves nothing out for which there is room, and its columns.
    fn fitting(&mut self, rows: &[SocketNow]) -> (ListDetail, Widths) {
        let whole = ListDetail::default();
        let port_only = ListDetail { port_only: true, ..whole };
        let brief = ListDetail { brief: true, ..port_only };
        let Some(room) = self.layout.width else { return (whole, self.measure(rows, whole)) };
        for form in [whole, port_only, brief] {
            let widths = self.measure(rows, form);
            if widths.taken() + self.owners(rows, form) <= room {
                return (form, widths);
            }
        }
        let mut widths = self.measure(rows, brief);
        let too_much = (widths.taken() + self.owners(rows, brief)).saturating_sub(room);
        widths.remote = widths.remote.saturating_sub(too_much).max(LEAST_REMOTE);
        (ListDetail { remote: Some(widths.remote), ..brief }, widths)
    }

    /// The widths of the columns.
    fn measure(&mut self, rows: &[SocketNow], form: ListDetail) -> Widths {
        let cells = form.titles().map(str::len);
        let gap = form.gap();
        let mut widths = Widths { cells, local: "LOCAL".len(), gap, remote: "REMOTE".len() };
        for row in rows {
            self.fill(row, form);
            for (width, cell) in widths.cells.iter_mut().zip(&self.cells) {
                *width = (*width).max(char_count(cell));
            }
            if self.remote.is_empty() {
                let missing = self.local.len().saturating_sub(widths.ends());
                widths.remote += missing;
            } else {
                widths.local = widths.local.max(self.local.len());
                widths.remote = widths.remote.max(self.remote.len());
            }
        }
        widths
    }

    /// Columns of the longest owner; with its network namespace, unless that is one of the first things to go.
    fn owners(&mut self, rows: &[SocketNow], form: ListDetail) -> usize {
        let columns = |row: &SocketNow| {
            self.owner.clear();
            cell::owner(&row.subject, form.guess(), &mut self.owner);
            self.namespaces.begin(row.subject.netns, row.at);
            let mark = if form.brief { 0 } else { char_count(self.namespaces.mark()) };
            char_count(&self.owner) + mark
        };
        rows.iter().map(columns).max().unwrap_or(0)
    }

    fn titles(&self, form: ListDetail, widths: Widths, out: &mut Vec<u8>) {
        let mut line = Vec::new();
        for (column, (title, width)) in form.titles().into_iter().zip(widths.cells).enumerate() {
            aligned(column, title.as_bytes(), width, &mut line);
        }
        let Widths { local, gap, remote, .. } = widths;
        let ends = format!("{:<local$}{:gap$}{:<remote$} PROCESS", "LOCAL", "", "REMOTE");
        line.extend_from_slice(ends.as_bytes());
        style::paint(style::HEADER, &line, self.layout.color, out);
        out.push(b'\n');
    }

    fn line(
        &mut self,
        row: &SocketNow,
        (form, widths): (ListDetail, Widths),
        places: &mut Places,
        out: &mut Vec<u8>,
    ) {
        let mut text = Vec::new();
        for (column, (cell, width)) in self.cells.iter().zip(widths.cells).enumerate() {
            aligned(column, cell, width, &mut text);
            if column == 0 {
                style::paint(style::of_state(row.state), &text, self.layout.color, out);
                text.clear();
            }
        }
        out.append(&mut text);
        self.ends(widths, out);
        self.owner.clear();
        cell::owner(&row.subject, form.guess(), &mut self.owner);
        let mark = self.namespaces.mark();
        let room =
            |taken| self.layout.width.map_or(usize::MAX, |width| width.saturating_sub(taken));
        let has_room = char_count(&self.owner) + char_count(mark) <= room(widths.taken());
        let mark = if has_room { mark } else { b"" };
        let left = room(widths.taken() + char_count(mark));
        place::append(&row.subject, places, left, &mut self.owner);
        out.extend_from_slice(&self.owner);
        out.extend_from_slice(mark);
        out.push(b'\n');
    }

    fn ends(&self, widths: Widths, out: &mut Vec<u8>) {
        let mut text = self.local.clone();
        if !self.remote.is_empty() {
            cell::pad(0, widths.local, &mut text);
            let columns = fold::columns(self.arrow);
            let before = widths.gap.saturating_sub(columns) / 2;
            text.resize(text.len() + before, b' ');
            text.extend_from_slice(self.arrow.as_bytes());
            text.resize(text.len() + widths.gap - columns - before, b' ');
            text.extend_from_slice(&self.remote);
        }
        let missing = widths.ends().saturating_sub(char_count(&text)) + 1;
        text.resize(text.len() + missing, b' ');
        out.append(&mut text);
    }

    /// Puts a row into the cells.
    fn fill(&mut self, row: &SocketNow, form: ListDetail) {
        let Self { cells, calendar, layout, clock, local, remote, .. } = self;
        for cell in cells.iter_mut().chain([&mut *local, &mut *remote]) {
            cell.clear();
        }
        let [state, age, waits, until, tries] = cells;
        cell::display(&row.state, state);
        age.extend_from_slice(age_words(row.age, form.brief).as_bytes());
        waits.extend_from_slice(waits_for(row, form.brief).as_bytes());
        let left = |at: KernelTime| Humane(Some(at.since(row.at))).to_string();
        match row.until() {
            Some(at) if form.brief => until.extend_from_slice(left(at).replace(' ', "").as_bytes()),
            Some(at) if layout.time == TimeStyle::Elapsed || at.since(row.at) >= LATER => {
                cell::display(&format_args!("in {}", left(at)), until);
            }
            Some(at) => calendar.write(clock.unix_ns(at), 1, until),
            None => until.push(b'-'),
        }
        match tries_of(row) {
            Some(text) if form.brief => cell::display(&format_args!(" {text}"), waits),
            None if form.brief => {}
            text => tries.extend_from_slice(text.as_deref().unwrap_or("-").as_bytes()),
        }
        self.arrow = arrow(row.subject.direction).trim();
        let ends = &row.subject.ends;
        let listens = ends.remote.port == 0 && ends.remote.address.is_unspecified();
        if !form.port_only || listens {
            cell::endpoint(&ends.local, local);
        } else {
            cell::port(&ends.local, local);
        }
        if !form.port_only || !listens {
            cell::endpoint(&ends.remote, remote);
        }
        for end in [local, remote] {
            if let Some(room) = form.remote
                && end.len() > room
            {
                *end = cut(String::from_utf8_lossy(end).into_owned(), room).into_bytes();
            }
        }
    }
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

/// `2/10`, `3`, nothing before the first.
fn tries_of(row: &SocketNow) -> Option<String> {
    match (row.timer.map_or(0, |timer| timer.tries), row.most_tries) {
        (0, _) => None,
        (count, Some(most)) if u32::from(count) <= most => Some(format!("{count}/{most}")),
        (count, _) => Some(count.to_string()),
    }
}

/// `41.2 s` if it is exact, `1.99-2.11 s` between two, `>41.2 s` if it is that at least.
fn age_words(age: StateAge, brief: bool) -> String {
    let humane = |time| Humane(Some(time)).to_string();
    let text = match age {
        StateAge::Unknown => "-".to_owned(),
        StateAge::Timer(time) | StateAge::Seen(time) => humane(time),
        StateAge::Schedule(least, _) if brief => format!(">{}", humane(least)),
        StateAge::Bound(time) => format!(">{}", humane(time)),
        StateAge::Schedule(least, most) => {
            let (least, most) = (humane(least), humane(most));
            match (least.split_once(' '), most.split_once(' ')) {
                _ if least == most => least,
                (Some((least, unit)), Some((_, same))) if unit == same => format!("{least}-{most}"),
                _ => format!("{least}-{most}"),
            }
        }
    };
    if brief { text.replace(' ', "") } else { text }
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
            let (waiting, most) = (queue.waiting, queue.most);
            if brief {
                format!("accept() {waiting}/{most}")
            } else {
                format!("accept(), {waiting} of {most} queued")
            }
        }
        _ if brief => brief_words().to_owned(),
        _ => words.to_owned(),
    }
}
