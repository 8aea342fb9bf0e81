//! Widths of the columns. They begin narrow and grow, never shrink, when a longer address comes.

use tcpwatch_core::event::Endpoints;

use super::cell;

/// `127.0.0.1:40000`; most IPv4 endpoints are a little longer.
const FIRST_WIDTH: usize = 15;
/// Columns of the cell that says what happened: two states and an arrow.
pub(super) const CHANGE: usize = 25;
/// From so many columns on there is room for everything about IPv4.
pub(super) const FULL_FROM: usize = 120;
/// Columns that addresses leave to the owner.
const OWNER_ROOM: usize = 23;
/// `:65535`.
const PORT: usize = 6;

/// How much room a line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineRoom {
    /// Whole addresses and times.
    Full,
    /// Of the local end the port, tenths of a second, units without a space.
    Short,
}

impl LineRoom {
    /// For a terminal of so many columns.
    pub(super) const fn of(width: usize) -> Self {
        if width >= FULL_FROM { Self::Full } else { Self::Short }
    }

    /// Columns of a moment.
    pub(super) const fn time(self) -> usize {
        match self {
            Self::Full => "23:59:59.9999".len(),
            Self::Short => "23:59:59.9".len(),
        }
    }

    /// Digits behind the second.
    pub(super) const fn digits(self) -> usize {
        match self {
            Self::Full => 4,
            Self::Short => 1,
        }
    }

    /// Columns of what happened.
    pub(super) const fn change(self) -> usize {
        match self {
            Self::Full => CHANGE,
            Self::Short => "ESTABLISHED".len() + 1 + "CLOSE_WAIT".len(),
        }
    }

    /// Columns of a duration.
    pub(super) const fn after(self) -> usize {
        match self {
            Self::Full => 7,
            Self::Short => 6,
        }
    }

    /// Columns between the ends: the arrow.
    const fn arrow(self) -> usize {
        match self {
            Self::Full => 3,
            Self::Short => 1,
        }
    }

    /// Before the last cell.
    pub(super) const fn gap(self) -> &'static str {
        match self {
            Self::Full => "  ",
            Self::Short => " ",
        }
    }
}

/// What the lines contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Titles {
    /// Changes, retries, resets.
    Changes,
    /// Whole connections.
    Lives,
}

/// Widths of the two endpoints.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) form: LineRoom,
    /// Columns for both addresses, beyond which they do not grow; `None` for a file or a pipe.
    room: Option<usize>,
    local: usize,
    remote: usize,
    local_text: Vec<u8>,
    remote_text: Vec<u8>,
    /// Every local end is a port.
    short: bool,
    /// The line's local end is a port, or stands alone.
    joined: bool,
}

impl Columns {
    /// For a terminal of `width` columns, or for a file or a pipe.
    pub(super) fn new(width: Option<usize>) -> Self {
        let form = width.map_or(LineRoom::Full, LineRoom::of);
        let others = form.time()
            + 1
            + form.arrow()
            + 1
            + form.change()
            + 1
            + form.after()
            + form.gap().len();
        Self {
            form,
            room: width.map(|width| match form {
                LineRoom::Full => width.saturating_sub(others + OWNER_ROOM),
                // Two whole addresses of IPv4 would not leave any room; one does.
                LineRoom::Short => PORT + "255.255.255.255:65535".len(),
            }),
            local: if form == LineRoom::Full { FIRST_WIDTH } else { PORT },
            remote: FIRST_WIDTH,
            local_text: Vec::new(),
            remote_text: Vec::new(),
            short: form == LineRoom::Short,
            joined: false,
        }
    }

    /// The local end is only its port, or is not.
    pub(super) const fn shorten(&mut self, short: bool) {
        if short && self.local == FIRST_WIDTH {
            self.local = PORT;
        }
        self.short = short;
    }

    /// Takes in the endpoints of the next line; true if a column had to grow.
    pub(super) fn fit(&mut self, ends: &Endpoints) -> bool {
        self.local_text.clear();
        self.remote_text.clear();
        cell::endpoint(&ends.local, &mut self.local_text);
        cell::endpoint(&ends.remote, &mut self.remote_text);
        let listens = ends.remote.port == 0 && ends.remote.address.is_unspecified();
        let (local, remote) = self.wanted();
        let too_wide = self.room.is_some_and(|room| local + remote > room);
        self.joined = self.short || too_wide;
        if self.joined && !listens {
            self.local_text.clear();
            cell::port(&ends.local, &mut self.local_text);
        }
        if self.joined && listens {
            self.remote_text.clear();
            return false;
        }
        let (local, remote) = self.wanted();
        let has_room = self.room.is_none_or(|room| local + remote <= room);
        let grown = has_room && (local > self.local || remote > self.remote);
        if grown {
            (self.local, self.remote) = (local, remote);
        }
        grown
    }

    fn wanted(&self) -> (usize, usize) {
        (self.local.max(self.local_text.len()), self.remote.max(self.remote_text.len()))
    }

    /// Appends the endpoints taken in last.
    pub(super) fn ends(&self, arrow: &str, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.local_text);
        if self.remote_text.is_empty() {
            return;
        }
        // A long remote end takes the room that the port leaves.
        let left = self.ends_width().saturating_sub(self.form.arrow() + self.remote_text.len());
        cell::pad(start, if self.joined { self.local.min(left) } else { self.local }, out);
        out.extend_from_slice(match self.form {
            LineRoom::Full => arrow.as_bytes(),
            LineRoom::Short => tight(arrow),
        });
        let start = out.len();
        out.extend_from_slice(&self.remote_text);
        if self.room.is_none() {
            cell::pad(start, self.remote, out);
        }
    }

    /// Columns of both endpoints.
    pub(super) const fn ends_width(&self) -> usize {
        self.local + self.form.arrow() + self.remote
    }

    /// Where the local end begins.
    pub(super) const fn indent(&self) -> usize {
        self.form.time() + 1
    }

    /// Where the last cell begins.
    pub(super) const fn last_cell(&self) -> usize {
        let form = self.form;
        self.indent() + self.ends_width() + 1 + form.change() + 1 + form.after() + form.gap().len()
    }

    /// The titles.
    pub(super) fn header(&self, titles: Titles) -> String {
        let (local, remote, form) = (self.local, self.remote, self.form);
        let (time, change, after) = (form.time(), form.change(), form.after());
        let gap = form.gap();
        let moment = if titles == Titles::Changes { "TIME" } else { "OPENED" };
        let arrow = form.arrow();
        let ends = format!("{moment:<time$} {:<local$}{:arrow$}{:<remote$}", "LOCAL", "", "REMOTE");
        match titles {
            Titles::Changes => {
                format!("{ends} {:<change$} {:>after$}{gap}PROCESS", "CHANGE", "AFTER")
            }
            Titles::Lives => ends,
        }
    }
}

/// Without the spaces around it, if it is one.
fn tight(arrow: &str) -> &[u8] {
    match arrow.trim() {
        "" => b" ",
        arrow => arrow.as_bytes(),
    }
}
