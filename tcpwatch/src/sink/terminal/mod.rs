//! The log for people: one aligned line per change, plain text with colour added on a terminal.

mod columns;
mod duration;
mod style;

use std::{fmt::Write as _, io::Write as _, time::Duration};

use anstyle::Style;
use jiff::tz::TimeZone;

use self::columns::Columns;
pub use self::duration::Humane;
use super::{
    Loss, Sink, Summary,
    timestamp::{Calendar, write_fraction},
};
use crate::{
    event::{Direction, KernelTime, Process, WallClock},
    track::{Change, Handshake, Reason, Restart, Subject},
};

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

/// What the log may assume about its reader.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Colours are wanted.
    pub color: bool,
    /// How moments are shown.
    pub time: TimeStyle,
    /// Repeat the header after this many lines; `None` for a file or a pipe, where once is enough.
    pub page: Option<usize>,
    /// When tcpwatch started.
    pub started: KernelTime,
}

/// Writes the log.
#[derive(Debug)]
pub struct Terminal {
    layout: Layout,
    calendar: Calendar,
    columns: Columns,
    since_header: Option<usize>,
    line: String,
}

impl Terminal {
    /// A log with nothing in it yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let zone = match layout.time {
            TimeStyle::Local => TimeZone::system(),
            TimeStyle::Utc | TimeStyle::Elapsed => TimeZone::UTC,
        };
        Self {
            layout,
            calendar: Calendar::new(zone, "%H:%M:%S"),
            columns: Columns::default(),
            since_header: None,
            line: String::new(),
        }
    }

    /// The header, when the page is new or a column has grown.
    fn header(&mut self, grown: bool, out: &mut Vec<u8>) {
        let due = match (self.since_header, self.layout.page) {
            (None, _) => true,
            (Some(lines), Some(page)) => lines >= page || grown,
            (Some(_), None) => grown,
        };
        if !due {
            self.since_header = self.since_header.map(|lines| lines + 1);
            return;
        }
        self.since_header = Some(1);
        self.line.clear();
        self.columns.header(&mut self.line);
        style::paint(style::HEADER, &self.line, self.layout.color, out);
        out.push(b'\n');
    }

    fn moment(&mut self, at: KernelTime, clock: &WallClock, out: &mut Vec<u8>) {
        if self.layout.time == TimeStyle::Elapsed {
            let passed = at.since(self.layout.started);
            // Writing to a vector cannot fail.
            if write!(out, "{:>8}.", passed.as_secs()).is_err() {
                return;
            }
            write_fraction(passed.subsec_nanos().into(), 4, out);
        } else {
            self.calendar.write(clock.unix_ns(at), 4, out);
        }
    }

    /// Moment and ends: the part that every line about a socket begins with.
    fn begin(&mut self, at: KernelTime, subject: &Subject, clock: &WallClock, out: &mut Vec<u8>) {
        let grown = self.columns.fit(&subject.ends);
        self.header(grown, out);
        self.moment(at, clock, out);
        self.line.clear();
        self.columns.ends(arrow(subject.direction), &mut self.line);
        out.extend_from_slice(self.line.as_bytes());
    }

    /// What happened, and after how long.
    fn middle(&mut self, style: Style, after: Option<Duration>, out: &mut Vec<u8>) {
        style::paint(style, &self.line, self.layout.color, out);
        self.line.clear();
        push(&mut self.line, format_args!(" {:>7}  ", Humane(after)));
        out.extend_from_slice(self.line.as_bytes());
    }

    /// The last column: owner, and what is worth a word.
    fn end(&mut self, subject: &Subject, words: &[&str], odd: bool, out: &mut Vec<u8>) {
        self.line.clear();
        match subject.process {
            Some(Process { pid, comm, .. }) => {
                push(&mut self.line, format_args!("{comm} {pid}"));
                if subject.inherited {
                    self.line.push_str(" (listener)");
                }
            }
            None => self.line.push('-'),
        }
        for word in words {
            push(&mut self.line, format_args!(" \u{b7} {word}"));
        }
        let look = if odd { style::FAILURE } else { style::PLAIN };
        style::paint(look, &self.line, self.layout.color, out);
        out.push(b'\n');
    }

    /// `ends 19:48:09.8`
    fn ends_word(&mut self, ends_at: Option<KernelTime>, clock: &WallClock) -> Option<String> {
        let mut moment = b"ends ".to_vec();
        self.moment(ends_at?, clock, &mut moment);
        moment.truncate(moment.len().saturating_sub(3));
        Some(String::from_utf8_lossy(&moment).into_owned())
    }
}

impl Sink for Terminal {
    fn change(&mut self, change: &Change, clock: &WallClock, out: &mut Vec<u8>) {
        self.begin(change.at, &change.subject, clock, out);
        self.line.clear();
        push(&mut self.line, format_args!("{:<11} \u{2192} {:<11}", change.from, change.to));
        self.middle(style::of_change(change), change.in_state, out);
        let ends = self.ends_word(change.ends_at, clock);
        let words = [
            change.reason.and_then(reason_words),
            ends.as_deref(),
            change.handshake.map(handshake_words),
            change.inferred.then_some("inferred"),
        ];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        let odd = change.inferred || change.reason.is_some_and(is_failure);
        self.end(&change.subject, &words, odd, out);
    }

    fn restart(&mut self, restart: &Restart, clock: &WallClock, out: &mut Vec<u8>) {
        self.begin(restart.at, &restart.subject, clock, out);
        self.line.clear();
        push(&mut self.line, format_args!("{:<11} \u{21bb} {:<11}", restart.state, "starts anew"));
        self.middle(style::HIDDEN, restart.in_state, out);
        let ends = self.ends_word(restart.ends_at, clock);
        let words = [ends.as_deref(), restart.inferred.then_some("inferred")];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        self.end(&restart.subject, &words, true, out);
    }

    fn loss(&mut self, loss: &Loss, clock: &WallClock, out: &mut Vec<u8>) {
        self.moment(loss.at, clock, out);
        self.line.clear();
        push(
            &mut self.line,
            format_args!(" LOST {} \u{b7} {}", loss.count, loss.cause.explanation()),
        );
        style::paint(style::FAILURE, &self.line, self.layout.color, out);
        out.push(b'\n');
    }

    fn summary(&mut self, summary: &Summary, _clock: &WallClock, out: &mut Vec<u8>) {
        let inferred = match summary.inferred {
            0 => String::new(),
            count => format!(" ({count} inferred)"),
        };
        // Writing to a vector cannot fail.
        let _written = writeln!(
            out,
            "{} changes{inferred} in {} \u{b7} {} lost, {} missed \u{b7} {} connections seen, {} open",
            summary.changes,
            Humane(Some(Duration::from_nanos(summary.ran_ns))),
            summary.lost(),
            summary.missed(),
            summary.connections,
            summary.open,
        )
        .is_ok();
        for (cause, count) in &summary.lost {
            let _written =
                writeln!(out, "  {count} {}: {}", cause.word(), cause.explanation()).is_ok();
        }
        if summary.out_of_order > 0 {
            let count = summary.out_of_order;
            let _written =
                writeln!(out, "  {count} records came too late to be put in order").is_ok();
        }
    }
}

const fn arrow(direction: Option<Direction>) -> char {
    match direction {
        Some(Direction::Outgoing) => '\u{2192}',
        Some(Direction::Incoming) => '\u{2190}',
        Some(Direction::Both) => '\u{2194}',
        None => ' ',
    }
}

/// A normal end needs no words.
const fn reason_words(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Normal => return None,
        Reason::Refused => "refused",
        Reason::TimedOut => "timed out",
        Reason::ResetReceived => "reset by peer",
        Reason::ResetSent => "reset",
        Reason::Unreachable => "unreachable",
        Reason::Killed => "killed",
        Reason::Timer => "timer",
        Reason::Reused => "reused",
        Reason::ListenerClosed => "listener closed",
        Reason::NetnsGone => "netns gone",
        Reason::TimeWaitOverflow => "no room for TIME_WAIT",
        Reason::Unknown => "unknown end",
    })
}

const fn handshake_words(handshake: Handshake) -> &'static str {
    match handshake {
        Handshake::FastOpen => "fast open",
        Handshake::SynCookie => "SYN cookie",
    }
}

const fn is_failure(reason: Reason) -> bool {
    match reason {
        Reason::Normal
        | Reason::Timer
        | Reason::Reused
        | Reason::ListenerClosed
        | Reason::NetnsGone
        | Reason::Unknown => false,
        Reason::Refused
        | Reason::TimedOut
        | Reason::ResetReceived
        | Reason::ResetSent
        | Reason::Unreachable
        | Reason::TimeWaitOverflow
        | Reason::Killed => true,
    }
}

/// Appends to a string, which cannot fail.
fn push(to: &mut String, what: std::fmt::Arguments<'_>) {
    let _written = to.write_fmt(what).is_ok();
}
