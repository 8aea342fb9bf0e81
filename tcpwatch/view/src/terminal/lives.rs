//! The log for people who ask for lives: one line per connection, when its last trace is gone.

use std::time::Duration;

use tcpwatch_core::{
    event::{SegmentKind, TcpState, WallClock},
    track::{Connection, MissedChange, Reason},
};

use super::{
    Humane, Terminal, TimeStyle, cell,
    columns::{BYTES, CLOSED_BY, HANDSHAKE, LASTED, OWNER, RETRIES, Titles},
    place, queue, style, write_elapsed,
};

impl Terminal {
    pub(crate) fn connection(
        &mut self,
        connection: &Connection,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        self.namespaces.begin(connection.subject.netns, connection.at);
        let grown = self.columns.fit(&connection.subject.ends);
        self.header(grown, Titles::Lives, out);
        match connection.opened {
            Some(opened) => self.moment(opened, clock, out),
            // Opened before tcpwatch started.
            None => cell::text("-", "23:59:59.9999".len(), out),
        }
        self.columns.ends(super::arrow(connection.subject.direction), out);
        right(&Humane(connection.lasted).to_string(), LASTED, out);
        right(&Humane(connection.handshake).to_string(), HANDSHAKE, out);
        let totals = connection.totals;
        right(&bytes(totals.map(|totals| totals.sent)), BYTES, out);
        right(&bytes(totals.map(|totals| totals.received)), BYTES, out);
        right(&connection.retransmits().to_string(), RETRIES, out);
        let by = connection.closed_by.map_or("-", |by| by.word());
        cell::text(by, CLOSED_BY, out);
        out.push(b' ');
        let start = out.len();
        let mut owner = Vec::new();
        cell::owner(&connection.subject, OWNER, true, &mut owner);
        place::append(&connection.subject, &mut self.places, OWNER, &mut owner);
        out.append(&mut owner);
        cell::pad(start, OWNER, out);
        out.push(b' ');
        let look = if connection.end.is_failure() { style::FAILURE } else { style::PLAIN };
        let end = self.life_ends(connection, clock);
        style::paint(look, end.as_bytes(), self.layout.color, out);
        out.extend_from_slice(self.namespaces.mark());
        out.push(b'\n');
    }
}

impl Terminal {
    /// How it ended, and what is to be known of it besides.
    fn life_ends(&mut self, connection: &Connection, clock: &WallClock) -> String {
        let mut text = end(connection);
        text += &queue::dotted(connection.queue.iter().flat_map(|queue| queue::phrases(queue)));
        if let Some(ends_at) = connection.ends_at {
            let mut moment = Vec::new();
            if self.layout.time == TimeStyle::Elapsed {
                write_elapsed(ends_at.since(self.layout.started), 1, &mut moment);
            } else {
                self.ends_calendar.write(clock.unix_ns(ends_at), 1, &mut moment);
            }
            text += " \u{b7} in TIME_WAIT until ";
            text += &String::from_utf8_lossy(&moment);
        }
        if connection.existed {
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
fn end(connection: &Connection) -> String {
    let mut text = ending(connection);
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
