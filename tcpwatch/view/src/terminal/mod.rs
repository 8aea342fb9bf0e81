//! The log for people: one aligned line per change, plain text with colour added on a terminal.

mod cell;
mod columns;
mod duration;
mod fit;
mod fold;
mod lives;
mod namespaces;
mod place;
mod queue;
mod reasons;
mod segment;
mod still;
pub mod style;
mod table;
#[cfg(test)]
mod tests;
mod why;

use std::{mem, sync::Arc, time::Duration};

use anstyle::Style;
use jiff::tz::TimeZone;
use tcpwatch_core::{
    event::{CgroupId, Direction, KernelTime, Netns, WallClock},
    place::{CgroupPlace, Places},
    sink::{Loss, Sink, Summary},
    track::{Change, Existing, Reason, Restart, Subject, TrackedEvent},
};

use self::{
    columns::{Columns, LineRoom, Titles},
    fit::Cells,
    namespaces::Namespaces,
};
pub use self::{
    duration::Humane,
    namespaces::Naming,
    reasons::{change_words, handshake_words, reason_words},
    table::{ListTable, TableLayout},
};
use super::{
    line_of,
    timestamp::{Calendar, write_fraction},
};

/// Behind a line that stands below one of a later moment.
const LATE: &[u8] = " \u{b7} late".as_bytes();

/// How moments are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// In the local time zone.
    Local,
    /// In UTC.
    Utc,
    /// Seconds since tcpwatch started.
    Elapsed,
}

impl TimeStyle {
    fn zone(self) -> TimeZone {
        match self {
            Self::Local => TimeZone::system(),
            Self::Utc | Self::Elapsed => TimeZone::UTC,
        }
    }
}

/// What the log may assume about its reader.
#[derive(Clone, Copy, Debug)]
pub struct LogLayout {
    /// Colours are wanted.
    pub color: bool,
    /// How moments are shown.
    pub time: TimeStyle,
    /// Repeat the header after this many lines; `None` for a file or a pipe, where once is enough.
    pub page: Option<usize>,
    /// Columns that a line should not exceed.
    pub width: usize,
    /// Write no line that is longer. Without, as for a file or a pipe, a line is as long as it has to be, and only
    /// what can be spared is left out.
    pub cut: bool,
    /// When tcpwatch started.
    pub started: KernelTime,
}

/// How many columns and rows the terminal has now, if it is one.
pub type AskSize = fn() -> Option<(usize, usize)>;

/// Writes the log.
#[derive(Debug)]
pub struct Terminal {
    layout: LogLayout,
    calendar: Calendar,
    /// Another second than the line's own is cached here.
    ends_calendar: Calendar,
    columns: Columns,
    namespaces: Namespaces,
    /// The latest moment of a line so far.
    newest: KernelTime,
    /// The line that is being written is about an earlier moment.
    late: bool,
    places: Places,
    since_header: Option<usize>,
    /// How large the terminal is now.
    asking: Option<AskSize>,
    /// Of a line for a terminal.
    cells: Cells,
    cell: Vec<u8>,
    owner: Vec<u8>,
}

/// Was it there before the first event?
#[derive(Clone, Copy, Default)]
enum Existed {
    #[default]
    No,
    Yes,
    /// And it is at least so long in its state.
    For(Duration),
}

/// What a line says besides the change itself.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a remark that a line has or has not")]
struct Remarks<'a> {
    reason: Option<&'static str>,
    ends_at: Option<KernelTime>,
    handshake: Option<&'static str>,
    inferred: bool,
    /// Learned by asking the kernel: the moment is exact to one of its ticks.
    asked: bool,
    existed: Existed,
    /// Explains what the cell ends with. It makes a line long, and costs the owner no letter of its name.
    meaning: Option<&'static str>,
    gap: bool,
    odd: bool,
    /// More phrases, each behind a dot.
    more: &'a str,
}

impl Terminal {
    /// A log with nothing in it yet.
    #[must_use]
    pub fn new(layout: LogLayout) -> Self {
        let zone = layout.time.zone();
        Self {
            layout,
            calendar: Calendar::new(zone.clone(), "%H:%M:%S"),
            ends_calendar: Calendar::new(zone, "%H:%M:%S"),
            columns: Columns::new(layout.cut.then_some(layout.width)),
            namespaces: Namespaces::new(|_| None),
            newest: KernelTime(0),
            late: false,
            places: Places::default(),
            since_header: None,
            asking: None,
            cells: Cells::default(),
            cell: Vec::new(),
            owner: Vec::new(),
        }
    }

    /// The same, where network namespaces may have names; without, they are inodes.
    #[must_use]
    pub fn naming(mut self, naming: Naming) -> Self {
        self.namespaces = Namespaces::new(naming);
        self
    }

    /// The same, where lines about a network namespace need no mark.
    #[must_use]
    pub const fn home(mut self, home: Netns) -> Self {
        self.namespaces.set_home(home);
        self
    }

    /// The same, where the terminal is asked before each line how large it is.
    #[must_use]
    pub fn asking(mut self, size: AskSize) -> Self {
        self.asking = Some(size);
        self
    }

    /// If the terminal has another size now, the next line has new columns, and the header comes again.
    fn resize(&mut self) {
        let Some((width, rows)) = self.asking.and_then(|ask| ask()) else { return };
        if width != self.layout.width {
            self.layout.width = width;
            self.columns = Columns::new(self.layout.cut.then_some(width));
            self.since_header = None;
        }
        self.layout.page = Some(rows);
    }

    /// The mark of an owner that is a guess.
    const fn guess(&self) -> &'static str {
        match self.columns.form {
            LineRoom::Full => cell::GUESS,
            LineRoom::Short => cell::SHORT_GUESS,
        }
    }

    /// The header, when the page is new or a column has grown.
    fn header(&mut self, grown: bool, titles: Titles, out: &mut Vec<u8>) {
        let due = match (self.since_header, self.layout.page) {
            (None, _) => true,
            (Some(shown), Some(page)) => shown >= page || grown,
            (Some(_), None) => grown,
        };
        if !due {
            self.since_header = self.since_header.map(|shown| shown + 1);
            return;
        }
        self.since_header = Some(1);
        let mut text = self.columns.header(titles);
        if titles == Titles::Lives {
            text += &lives::titles(self.layout.cut.then_some(self.layout.width));
        }
        let titles = text;
        style::paint(style::HEADER, titles.as_bytes(), self.layout.color, out);
        out.push(b'\n');
    }

    /// What every line may end with.
    fn marks(&self, out: &mut Vec<u8>) {
        if self.late {
            out.extend_from_slice(LATE);
        }
        out.extend_from_slice(self.namespaces.mark());
    }

    /// Columns that these take.
    fn marked(&self) -> usize {
        let late = if self.late { char_count(LATE) } else { 0 };
        late + char_count(self.namespaces.mark())
    }

    fn moment(&mut self, at: KernelTime, clock: &WallClock, out: &mut Vec<u8>) {
        let digits = self.columns.form.digits();
        if self.layout.time == TimeStyle::Elapsed {
            write_elapsed(at.since(self.layout.started), (8, digits), out);
        } else {
            self.calendar.write(clock.unix_ns(at), digits, out);
        }
    }

    /// Moment and ends: the part that every line about a socket begins with.
    fn begin(&mut self, at: KernelTime, subject: &Subject, clock: &WallClock, out: &mut Vec<u8>) {
        self.namespaces.begin(subject.netns, at);
        self.late = at < self.newest;
        self.newest = self.newest.max(at);
        let grown = self.columns.fit(&subject.ends);
        self.header(grown, Titles::Changes, out);
        self.cell.clear();
        if self.layout.cut {
            self.begin_cells(at, subject.direction, clock);
            return;
        }
        self.moment(at, clock, out);
        out.push(b' ');
        self.columns.ends(arrow(subject.direction), out);
        out.push(b' ');
    }

    /// The same, for a line that is put together at its end.
    fn begin_cells(&mut self, at: KernelTime, direction: Option<Direction>, clock: &WallClock) {
        let mut cells = mem::take(&mut self.cells);
        cells.time.clear();
        cells.ends.clear();
        self.moment(at, clock, &mut cells.time);
        self.columns.ends(arrow(direction), &mut cells.ends);
        self.cells = cells;
    }

    /// What happened, which is in the cell, and after how long.
    fn middle(&mut self, style: Style, after: Option<Duration>, out: &mut Vec<u8>) {
        if self.layout.cut {
            self.cells.style = style;
            mem::swap(&mut self.cells.change, &mut self.cell);
            self.cells.after.clear();
            Humane(after).write(&mut self.cells.after);
            if self.columns.form == LineRoom::Short {
                self.cells.after.retain(|byte| *byte != b' ');
            }
            self.cell.clear();
            return;
        }
        style::paint(style, &self.cell, self.layout.color, out);
        out.push(b' ');
        self.cell.clear();
        Humane(after).write(&mut self.cell);
        out.resize(out.len() + 7_usize.saturating_sub(self.cell.len()), b' ');
        out.extend_from_slice(&self.cell);
        out.extend_from_slice(b"  ");
        self.cell.clear();
    }

    /// The last column: owner, and what is worth a word.
    fn end(
        &mut self,
        subject: &Subject,
        remarks: Remarks<'_>,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        self.remark(remarks, clock);
        let taken = self.columns.last_cell() + char_count(&self.cell);
        let room = self.layout.width.saturating_sub(taken);
        self.owner.clear();
        cell::owner(subject, self.guess(), &mut self.owner);
        let meaning = remarks.meaning.map_or(0, |meaning| 2 + meaning.chars().count());
        let room = room.saturating_sub(meaning + self.marked());
        place::append(subject, &mut self.places, room, &mut self.owner);
        self.owner.append(&mut self.cell);
        if let Some(meaning) = remarks.meaning {
            self.owner.extend_from_slice(b": ");
            self.owner.extend_from_slice(meaning.as_bytes());
        }
        let look = if remarks.odd { style::FAILURE } else { style::PLAIN };
        self.close_owner(look, out);
    }

    /// Ends the line with what is in the last cell.
    fn close_owner(&mut self, look: Style, out: &mut Vec<u8>) {
        let tail = mem::take(&mut self.owner);
        self.close(look, &tail, out);
        self.owner = tail;
    }

    /// Puts the remarks into the cell.
    fn remark(&mut self, remarks: Remarks<'_>, clock: &WallClock) {
        let Remarks { reason, ends_at, handshake, inferred, asked, existed, gap, more, .. } =
            remarks;
        let mut cell = mem::take(&mut self.cell);
        let mut word = |word: &str| {
            cell.extend_from_slice(" \u{b7} ".as_bytes());
            cell.extend_from_slice(word.as_bytes());
        };
        if let Some(reason) = reason {
            word(reason);
        }
        if let Some(handshake) = handshake {
            word(handshake);
        }
        match existed {
            Existed::No => {}
            Existed::Yes => word("existing"),
            Existed::For(time) => {
                word(&format!("existing \u{b7} for {} or longer", Humane(Some(time))));
            }
        }
        if inferred {
            word("inferred");
        }
        if asked {
            word("asked");
        }
        if gap {
            word("other states may lie between");
        }
        if let Some(ends_at) = ends_at {
            word("ends ");
            self.write_end(ends_at, clock, &mut cell);
        }
        cell.extend_from_slice(more.as_bytes());
        self.cell = cell;
    }

    /// Writes the moment at which a timer ends.
    fn write_end(&mut self, ends_at: KernelTime, clock: &WallClock, out: &mut Vec<u8>) {
        if self.layout.time == TimeStyle::Elapsed {
            write_elapsed(ends_at.since(self.layout.started), (0, 1), out);
        } else {
            self.ends_calendar.write(clock.unix_ns(ends_at), 1, out);
        }
    }
}

/// Seconds since the start: columns before the point, and digits behind it.
pub(crate) fn write_elapsed(
    passed: Duration,
    (columns, digits): (usize, usize),
    out: &mut Vec<u8>,
) {
    let mut seconds = itoa::Buffer::new();
    let seconds = seconds.format(passed.as_secs());
    out.resize(out.len() + columns.saturating_sub(seconds.len()), b' ');
    out.extend_from_slice(seconds.as_bytes());
    out.push(b'.');
    write_fraction(passed.subsec_nanos(), digits, out);
}

/// Characters of UTF-8 text.
fn char_count(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

impl Terminal {
    pub(crate) fn change(&mut self, change: &Change, clock: &WallClock, out: &mut Vec<u8>) {
        self.begin(change.at, &change.subject, clock, out);
        cell::state(change.from, &mut self.cell);
        self.cell.extend_from_slice(cell::link(change.gap).as_bytes());
        cell::state(change.to, &mut self.cell);
        self.middle(style::of_change(change), change.in_state, out);
        let more = queue::of_change(change);
        let remarks = Remarks {
            reason: change_words(change),
            ends_at: change.ends_at,
            handshake: change.handshake.map(handshake_words),
            inferred: change.inferred,
            asked: change.asked,
            existed: Existed::No,
            meaning: None,
            gap: change.gap,
            odd: change.inferred
                || change.reason.is_some_and(Reason::is_failure)
                || !more.is_empty(),
            more: &more,
        };
        self.end(&change.subject, remarks, clock, out);
    }

    pub(crate) fn restart(&mut self, restart: &Restart, clock: &WallClock, out: &mut Vec<u8>) {
        self.begin(restart.at, &restart.subject, clock, out);
        cell::state(restart.state, &mut self.cell);
        let what = if restart.starts { " \u{21bb} timer starts" } else { " \u{21bb} starts anew" };
        self.cell.extend_from_slice(what.as_bytes());
        self.middle(style::HIDDEN, restart.in_state, out);
        let Restart { ends_at, inferred, .. } = *restart;
        let remarks = Remarks { ends_at, inferred, odd: true, ..Remarks::default() };
        self.end(&restart.subject, remarks, clock, out);
    }
}

impl Terminal {
    pub(crate) fn existing(&mut self, existing: &Existing, clock: &WallClock, out: &mut Vec<u8>) {
        let Existing { at, ref subject, state, in_state, at_least, ends_at } = *existing;
        self.begin(at, subject, clock, out);
        cell::state(state, &mut self.cell);
        self.middle(style::of_state(state), in_state, out);
        let existed = at_least.map_or(Existed::Yes, Existed::For);
        let remarks = Remarks { ends_at, existed, ..Remarks::default() };
        self.end(subject, remarks, clock, out);
    }
}

impl Sink for Terminal {
    fn place(&mut self, id: CgroupId, place: &Arc<CgroupPlace>) {
        self.places.learn(id, Some(Arc::clone(place)));
    }

    fn tracked(&mut self, tracked: &TrackedEvent, clock: &WallClock, out: &mut Vec<u8>) {
        self.resize();
        line_of(tracked).text(self, clock, out);
    }

    fn loss(&mut self, loss: &Loss, clock: &WallClock, out: &mut Vec<u8>) {
        self.resize();
        self.moment(loss.at, clock, out);
        let text = format!(" LOST {} \u{b7} {}", loss.count, loss.cause.explanation());
        self.close_text(text.as_bytes(), self.columns.form.time(), style::FAILURE, out);
    }

    fn summary(&mut self, summary: &Summary, _clock: &WallClock, out: &mut Vec<u8>) {
        let inferred = match summary.inferred {
            0 => String::new(),
            count => format!(" ({count} inferred)"),
        };
        let mut line = |text: String| {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        };
        line(format!(
            "{} changes{inferred} in {} \u{b7} {} lost, {} missed \u{b7} {} connections seen, {} open",
            summary.changes,
            Humane(Some(summary.ran)),
            summary.lost(),
            summary.missed(),
            summary.connections,
            summary.open,
        ));
        for (cause, count) in &summary.lost {
            line(format!("  {count} {}: {}", cause.word(), cause.explanation()));
        }
        if summary.out_of_order > 0 {
            let count = summary.out_of_order;
            line(format!("  {count} records came too late to be put in order"));
        }
    }
}

/// With the spaces around it.
const fn arrow(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Outgoing) => " \u{2192} ",
        Some(Direction::Incoming) => " \u{2190} ",
        Some(Direction::Both) => " \u{2194} ",
        None => "   ",
    }
}
