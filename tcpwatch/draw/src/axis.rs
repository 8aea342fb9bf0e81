//! The time axis: a row for each row of the text diagram, in order. Equal distances are not equal times; a gap of more than
//! half a second is folded, and its length is written in it.

use std::time::Duration;

use tcpwatch_core::event::KernelTime;
use tcpwatch_lab::{
    host::Host,
    show::{DiagramRow, FOLD},
    story::Run,
};

use crate::{
    notes,
    shape::{LINE, ROW, TOP},
    words::{PageWords, fill},
};

/// More rows than these are not all drawn: half of them from the beginning, half from the end.
const MOST: usize = 400;

/// A gap that is not drawn to scale, or rows that are left out.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) y: u32,
    pub(crate) height: u32,
    pub(crate) text: String,
}

impl Fold {
    /// Where its text is.
    pub(crate) const fn middle(&self) -> u32 {
        self.y + self.height / 2
    }
}

/// A row and its place.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) y: u32,
    pub(crate) row: &'a DiagramRow,
}

/// The axis of one picture.
#[derive(Debug)]
pub(crate) struct Axis<'a> {
    pub(crate) started: KernelTime,
    ended: KernelTime,
    pub(crate) rows: Vec<Placed<'a>>,
    pub(crate) folds: Vec<Fold>,
    /// The y of the run's end.
    pub(crate) bottom: u32,
}

impl<'a> Axis<'a> {
    pub(crate) fn of(run: &Run, rows: &'a [DiagramRow], words: &PageWords) -> Self {
        let (started, ended) = (run.started, run.ended);
        let mut axis = Self { started, ended, rows: Vec::new(), folds: Vec::new(), bottom: TOP };
        let left_out = rows.len().saturating_sub(MOST);
        let hidden = MOST / 2..MOST / 2 + left_out;
        let mut before = started;
        for (number, row) in rows.iter().enumerate() {
            if left_out > 0 && hidden.contains(&number) {
                if number == hidden.start {
                    axis.fold(48, fill(words.rows_left_out, left_out));
                }
                before = row.at;
                continue;
            }
            axis.wait(row.at.since(before), words);
            axis.rows.push(Placed { y: axis.bottom, row });
            axis.bottom += height(row);
            before = row.at;
        }
        axis.wait(ended.since(before), words);
        axis
    }

    /// Folds a long wait: 24 high, and 12 more for each factor of ten.
    fn wait(&mut self, wait: Duration, words: &PageWords) {
        if wait <= FOLD {
            return;
        }
        let factor = wait.as_nanos() / FOLD.as_nanos();
        let height = 24 + 12 * factor.checked_ilog10().unwrap_or(0);
        self.fold(height, fill(words.passes, seconds(wait, 2)));
    }

    fn fold(&mut self, height: u32, text: String) {
        // Below the arrow of the row before, above the label of the next one.
        self.folds.push(Fold { y: self.bottom - 13, height, text });
        self.bottom += height + 6;
    }

    /// The place of a moment, between those of the rows around it.
    pub(crate) fn y(&self, at: KernelTime) -> u32 {
        let next = self.rows.partition_point(|placed| placed.row.at <= at);
        let before = next.checked_sub(1).and_then(|before| self.rows.get(before));
        let (from, y1) = before.map_or((self.started, TOP), |before| (before.row.at, before.y));
        let after = self.rows.get(next);
        let (to, y2) = after.map_or((self.ended, self.bottom), |after| (after.row.at, after.y));
        let (part, whole) = (at.since(from).as_nanos(), to.since(from).as_nanos());
        if part >= whole {
            return y2.max(y1);
        }
        let way = u128::from(y2.saturating_sub(y1)) * part / whole;
        y1 + u32::try_from(way).unwrap_or(0)
    }
}

fn height(row: &DiagramRow) -> u32 {
    let lines = Host::ALL.map(|host| notes::lines(row, host).len()).into_iter().max();
    let more = u32::try_from(lines.unwrap_or(0).saturating_sub(1)).unwrap_or(0);
    ROW + LINE * more
}

/// Seconds with `decimals` decimals, truncated; without a point if there are none.
pub(crate) fn seconds(time: Duration, decimals: usize) -> String {
    let mut fraction = format!("{:09}", time.subsec_nanos());
    fraction.truncate(decimals);
    if decimals == 0 {
        time.as_secs().to_string()
    } else {
        format!("{}.{fraction}", time.as_secs())
    }
}
