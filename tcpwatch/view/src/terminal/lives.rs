//! The log for people who ask for lives: one line per connection, when its last trace is gone.

use std::time::Duration;

use tcpwatch_core::{
    event::{SegmentKind, TcpState, WallClock},
    track::{Connection, MissedChange, Reason},
};

use super::{
    Humane, Terminal, TimeStyle, cell, char_count, columns::Titles, fold, place, queue, style,
    write_elapsed,
};

/// What is shown of a connection, and in how many columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    lasted: usize,
    /// Without these columns retransmissions are shown with the end.
    handshake: Option<usize>,
    bytes: usize,
    retries: Option<usize>,
    closed_by: Option<usize>,
    owner: usize,
}

/// All of it, for which a terminal of this width has room.
const ALL_FROM: usize = 160;
const ALL: Told = Told {
    lasted: 7,
    handshake: Some(9),
    bytes: 8,
    retries: Some(7),
    closed_by: Some(9),
    owner: 28,
};
/// From this width on, a terminal has room for short columns of all kinds.
const MOST_FROM: usize = 100;
const MOST: Told = Told {
    lasted: 6,
    handshake: Some(6),
    bytes: 6,
    retries: Some(5),
    closed_by: Some(6),
    owner: 16,
};
const LEAST: Told =
    Told { lasted: 6, handshake: None, bytes: 6, retries: None, closed_by: None, owner: 12 };

impl Told {
    const fn of(width: Option<usize>) -> Self {
        match width {
            None | Some(ALL_FROM..) => ALL,
            Some(MOST_FROM..) => MOST,
            Some(_) => LEAST,
        }
    }

    /// The titles behind those of the ends.
    fn titles(self) -> String {
        let all = self == ALL;
        let title = |long: &'static str, short: &'static str| if all { long } else { short };
        let numbers = [
            (Some(self.lasted), "LASTED"),
            (self.handshake, title("HANDSHAKE", "SHAKE")),
            (Some(self.bytes), "SENT"),
            (Some(self.bytes), title("RECEIVED", "RECV")),
            (self.retries, title("RETRIES", "RETRY")),
        ];
        let numbers =
            numbers.into_iter().filter_map(|(width, title)| Some(format!(" {title:>0$}", width?)));
        let closed_by =
            self.closed_by.map(|width| format!(" {:<width$}", title("CLOSED BY", "CLOSED")));
        let owner = format!(" {:<1$} END", "PROCESS", self.owner);
        numbers.chain(closed_by).chain([owner]).collect()
    }
}

/// The titles behind those of the ends, on a terminal of this width or for a file.
pub(super) fn titles(width: Option<usize>) -> String {
    Told::of(width).titles()
}

impl Terminal {
    pub(crate) fn connection(
        &mut self,
        connection: &Connection,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        let told = Told::of(self.layout.cut.then_some(self.layout.width));
        self.namespaces.begin(connection.subject.netns, connection.at);
        // Only the widest form has room for two whole addresses.
        self.columns.shorten(told != ALL);
        let grown = self.columns.fit(&connection.subject.ends);
        self.header(grown, Titles::Lives, out);
        let mut line = Vec::new();
        match connection.opened {
            Some(opened) => self.moment(opened, clock, &mut line),
            // Opened before tcpwatch started.
            None => cell::text("-", self.columns.form.time(), &mut line),
        }
        line.push(b' ');
        let start = char_count(&line);
        self.columns.ends(super::arrow(connection.subject.direction), &mut line);
        let mut cells = Vec::new();
        numbers(connection, told, &mut cells);
        let used = self.join(line, start, &cells, out);
        let mut owner = Vec::new();
        cell::owner(&connection.subject, self.guess(), &mut owner);
        place::append(&connection.subject, &mut self.places, told.owner, &mut owner);
        let look = if connection.end.is_failure() { style::FAILURE } else { style::PLAIN };
        let ends = [false, true].map(|brief| self.life_ends(connection, (told, brief), clock));
        self.end_life(used, (owner, told.owner), ends, look, out);
    }

    /// Appends time and ends, of which the latter begin in a column, and the cells behind them, which take a line of their
    /// own where the ends take most of one. Returns how many columns of the last line are taken.
    fn join(&self, mut line: Vec<u8>, start: usize, cells: &[u8], out: &mut Vec<u8>) -> usize {
        let width = char_count(&line).max(start + self.columns.ends_width()) + 1;
        let cells_width = char_count(cells);
        if self.layout.cut && width + cells_width > self.layout.width {
            let indent = self.columns.indent();
            out.append(&mut line);
            out.push(b'\n');
            fill(indent, &mut line);
            out.append(&mut line);
            out.extend_from_slice(cells);
            return indent + cells_width;
        }
        fill(width, &mut line);
        out.append(&mut line);
        out.extend_from_slice(cells);
        width + cells_width
    }

    /// Writes owner and end: the end in many words if they have room, or else in few, or on a line of its own.
    fn end_life(
        &self,
        used: usize,
        (mut owner, room): (Vec<u8>, usize),
        ends: [String; 2],
        look: anstyle::Style,
        out: &mut Vec<u8>,
    ) {
        let mark = String::from_utf8_lossy(self.namespaces.mark()).into_owned();
        let [whole, brief] = ends.map(|end| format!("{end}{mark}"));
        let close = char_count(&owner);
        if !self.layout.cut {
            fill(room, &mut owner);
            out.extend_from_slice(&owner);
            out.push(b' ');
            style::paint(look, whole.as_bytes(), self.layout.color, out);
            out.push(b'\n');
            return;
        }
        let left = |end: &String| {
            let taken = used + 1 + fold::columns(end);
            self.layout.width.checked_sub(taken).filter(|left| *left >= close)
        };
        let fitting = [&whole, &brief].into_iter().find_map(|end| Some((end, left(end)?)));
        if let Some((end, left)) = fitting {
            fill(room.min(left), &mut owner);
            out.extend_from_slice(&owner);
            out.push(b' ');
            style::paint(look, end.as_bytes(), self.layout.color, out);
            out.push(b'\n');
        } else {
            let owner = String::from_utf8_lossy(&owner);
            self.fold(&format!("{owner}{}{whole}", fold::DOT), used, look, out);
        }
    }
}

/// How long it lasted, what was sent, and which end closed it.
fn numbers(connection: &Connection, told: Told, out: &mut Vec<u8>) {
    let spaced = |text: String| if told == ALL { text } else { text.replace(' ', "") };
    let totals = connection.totals;
    right(&spaced(Humane(connection.lasted).to_string()), told.lasted, out);
    if let Some(width) = told.handshake {
        right(&spaced(Humane(connection.handshake).to_string()), width, out);
    }
    right(&spaced(bytes(totals.map(|totals| totals.sent))), told.bytes, out);
    right(&spaced(bytes(totals.map(|totals| totals.received))), told.bytes, out);
    if let Some(width) = told.retries {
        right(&connection.retransmits().to_string(), width, out);
    }
    if let Some(width) = told.closed_by {
        cell::text(connection.closed_by.map_or("-", |by| by.word()), width, out);
        out.push(b' ');
    }
}

/// Appends spaces, so that a line of any text is so many columns wide.
fn fill(columns: usize, line: &mut Vec<u8>) {
    let missing = columns.saturating_sub(char_count(line));
    line.resize(line.len() + missing, b' ');
}

impl Terminal {
    /// How it ended, and what is to be known of it besides.
    fn life_ends(
        &mut self,
        connection: &Connection,
        (told, brief): (Told, bool),
        clock: &WallClock,
    ) -> String {
        let mut text = end(connection, brief);
        let again = connection.retransmits();
        if told.retries.is_none() && again > 0 && !brief {
            text += fold::DOT;
            text += &retries(again);
        }
        text += &queue::dotted(connection.queue.iter().flat_map(|queue| queue::phrases(queue)));
        match connection.ends_at {
            Some(_) if brief => text += " \u{b7} in TIME_WAIT",
            Some(ends_at) => {
                let mut moment = Vec::new();
                if self.layout.time == TimeStyle::Elapsed {
                    write_elapsed(ends_at.since(self.layout.started), (0, 1), &mut moment);
                } else {
                    self.ends_calendar.write(clock.unix_ns(ends_at), 1, &mut moment);
                }
                text += " \u{b7} in TIME_WAIT until ";
                text += &String::from_utf8_lossy(&moment);
            }
            None => {}
        }
        // Without a moment of its opening it is.
        if connection.existed && !brief {
            text += " \u{b7} older than tcpwatch";
        }
        text
    }
}

fn right(text: &str, width: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + width.saturating_sub(text.len()), b' ');
    out.extend_from_slice(text.as_bytes());
    out.push(b' ');
}

/// `312 kB`, `1.20 MB`; `-` for a number that is not known.
fn bytes(count: Option<u64>) -> String {
    let Some(count) = count else { return "-".to_owned() };
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (size, unit) in units {
        if count >= size {
            let (whole, hundredths) = (count / size, count % size * 100 / size);
            return match whole {
                ..10 => format!("{whole}.{hundredths:02} {unit}"),
                10..100 => format!("{whole}.{} {unit}", hundredths / 10),
                _ => format!("{whole} {unit}"),
            };
        }
    }
    count.to_string()
}

/// How it ended, in words, and which changes are inferred.
fn end(connection: &Connection, brief: bool) -> String {
    let mut text = match connection.end {
        reason if brief => super::reason_words(reason).unwrap_or("normal").to_owned(),
        _ => ending(connection),
    };
    let undelivered = connection.totals.and_then(|totals| totals.undelivered);
    if let Some(undelivered) = undelivered.filter(|undelivered| *undelivered > 0) {
        text += " \u{b7} ";
        text += &bytes(Some(undelivered.into()));
        text += " not delivered";
    }
    if connection.not_sent > 0 {
        text += " \u{b7} ";
        text += &retries(connection.not_sent);
        text += " not sent";
    }
    let mut last = None;
    for MissedChange { from, to, gap } in &connection.inferred {
        if last != Some(*from) {
            text += if last.is_none() { " \u{b7} inferred " } else { ", " };
            text += &from.to_string();
        }
        text += cell::link(*gap);
        text += &to.to_string();
        last = Some(*to);
    }
    text
}

fn ending(connection: &Connection) -> String {
    let hidden = |state| connection.spent.time_in(state).filter(|time| *time > Duration::ZERO);
    match connection.end {
        Reason::Normal => match hidden(TcpState::TimeWait).filter(|_| connection.ends_at.is_none())
        {
            Some(time) => format!("normal, {} in TIME_WAIT", Humane(Some(time))),
            None => "normal".to_owned(),
        },
        Reason::TimedOut => {
            match (connection.syns(), connection.spent.time_in(TcpState::SynSent)) {
                (Some(syns), Some(_)) if connection.handshake.is_none() => {
                    format!("timed out after {}", many(syns, "SYN"))
                }
                _ => "timed out".to_owned(),
            }
        }
        Reason::HalfOpen => {
            let sent = 1 + count(connection, SegmentKind::SynAck);
            format!("handshake given up after {}", many(sent, "SYN+ACK"))
        }
        Reason::HalfClosed => match hidden(TcpState::FinWait2) {
            Some(time) => format!("the peer never closed, {} in FIN_WAIT_2", Humane(Some(time))),
            None => "the peer never closed".to_owned(),
        },
        Reason::GaveUp => format!("given up{}", unanswered(connection)),
        Reason::NeverAccepted => match connection.spent.time_in(TcpState::Established) {
            Some(time) => format!("never accepted in {}", Humane(Some(time))),
            None => "never accepted".to_owned(),
        },
        other => super::reason_words(other).unwrap_or_default().to_owned(),
    }
}

/// ` after 6.07 s and 5 SYNs without an answer`
fn unanswered(connection: &Connection) -> String {
    let time = connection.spent.time_in(TcpState::SynSent);
    let time = time.map_or(String::new(), |time| format!("{} and ", Humane(Some(time))));
    let syns = many(connection.syns().unwrap_or(0).max(connection.retransmits() + 1), "SYN");
    format!(" after {time}{syns} without an answer")
}

fn count(connection: &Connection, segment: SegmentKind) -> u32 {
    connection.again.iter().find(|(known, _)| *known == segment).map_or(0, |(_, count)| *count)
}

fn many(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn retries(count: u32) -> String {
    if count == 1 { "1 retry".to_owned() } else { format!("{count} retries") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        for (count, text) in [
            (None, "-"),
            (Some(0), "0"),
            (Some(999), "999"),
            (Some(1_200_000), "1.20 MB"),
            (Some(31_290), "31.2 kB"),
            (Some(312_999), "312 kB"),
            (Some(7_000_000_000), "7.00 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
