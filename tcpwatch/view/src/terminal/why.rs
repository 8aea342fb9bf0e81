//! Lines that say why: retries, resets, and what goes wrong besides.

use tcpwatch_core::{
    event::{KernelTime, ResetDirection, SegmentKind, WallClock, reset_reason},
    timing::Then,
    track::{Subject, TrackedReset, TrackedRetransmit},
};

use super::{Humane, Remarks, Terminal, cell, char_count, columns::CHANGE, queue, style};

impl Terminal {
    /// `SYN retry 3 of 6   4.10 s  expected 4 s · next in 8 s · nc 2410`
    pub(crate) fn retransmit(
        &mut self,
        again: &TrackedRetransmit,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        self.begin(again.at, &again.subject, clock, out);
        let segment = match again.segment {
            SegmentKind::Syn => "SYN",
            SegmentKind::SynAck => "SYN+ACK",
            SegmentKind::Fin => "FIN",
            SegmentKind::Data => "data",
        };
        let (attempt, state) = (again.attempt, again.state);
        let what = match (again.most, again.segment) {
            (Some(most), _) => format!("{segment} retry {attempt} of {most}"),
            // With the longest state there is no room for a comma.
            (None, SegmentKind::Fin | SegmentKind::Data) if attempt > 9 => {
                format!("{segment} retry {attempt} {state}")
            }
            (None, SegmentKind::Fin | SegmentKind::Data) => {
                format!("{segment} retry {attempt}, {state}")
            }
            (None, SegmentKind::Syn | SegmentKind::SynAck) => format!("{segment} retry {attempt}"),
        };
        cell::text(&what, CHANGE, &mut self.cell);
        self.middle(style::FAILURE, again.since_last, out);
        let room = self.layout.width.saturating_sub(self.columns.last_cell());
        let schedule = fitting(&schedule(again), self.layout.cut.then_some(room));
        self.owner.clear();
        self.owner.extend_from_slice(schedule.as_bytes());
        self.owner_if_there_is_room(&again.subject, char_count(schedule.as_bytes()));
        self.close_owner(style::FAILURE, out);
    }

    /// The owner, who is known from other lines, behind a cell of so many characters.
    fn owner_if_there_is_room(&mut self, subject: &Subject, taken: usize) {
        if subject.process.is_none() {
            return;
        }
        self.cell.clear();
        self.cell.extend_from_slice(if taken > 0 { " \u{b7} ".as_bytes() } else { b"" });
        cell::owner(subject, self.guess(), &mut self.cell);
        let room = self.layout.width.saturating_sub(self.columns.last_cell() + taken);
        if !self.layout.cut || char_count(&self.cell) <= room {
            self.owner.append(&mut self.cell);
        }
        self.cell.clear();
    }

    pub(crate) fn reset(&mut self, reset: &TrackedReset, clock: &WallClock, out: &mut Vec<u8>) {
        self.begin(reset.at, &reset.subject, clock, out);
        let start = self.cell.len();
        self.cell.extend_from_slice(match reset.direction {
            ResetDirection::Sent => b"RST sent",
            ResetDirection::Received => b"RST received",
        });
        if let Some(state) = reset.state {
            self.cell.extend_from_slice(b", ");
            cell::state(state, &mut self.cell);
        }
        cell::pad(start, CHANGE, &mut self.cell);
        self.middle(style::FAILURE, None, out);
        let mut meaning = None;
        if let Some(why) = &reset.why {
            self.cell.extend_from_slice(" \u{b7} ".as_bytes());
            cell::foreign(&why.replace('_', " "), &mut self.cell);
            meaning = reset_reason::meaning(why);
        }
        let remarks = Remarks { odd: true, meaning, ..Remarks::default() };
        self.end(&reset.subject, remarks, clock, out);
    }

    /// A line about what went wrong: `what` in a few words, and what is remarked of it behind the owner.
    pub(crate) fn failure(
        &mut self,
        at: KernelTime,
        subject: &Subject,
        (what, remark): (&str, &str),
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        self.begin(at, subject, clock, out);
        cell::text(what, CHANGE, &mut self.cell);
        self.middle(style::FAILURE, None, out);
        self.cell.extend_from_slice(" \u{b7} ".as_bytes());
        self.cell.extend_from_slice(remark.as_bytes());
        let remarks = Remarks { odd: true, ..Remarks::default() };
        self.end(subject, remarks, clock, out);
    }
}

/// The phrases, or the last ones if there is too little room.
fn fitting(phrases: &[String], room: Option<usize>) -> String {
    let text = phrases.join(" \u{b7} ");
    match phrases {
        [_, rest @ ..]
            if !rest.is_empty() && room.is_some_and(|room| text.chars().count() > room) =>
        {
            fitting(rest, room)
        }
        _ => text,
    }
}

/// What was expected, what comes next and what is odd, the latter last.
fn schedule(again: &TrackedRetransmit) -> Vec<String> {
    let mut words = Vec::new();
    match again.expected {
        Some(expected) => words.push(format!("expected {}", Humane(Some(expected)).round())),
        None if again.early && again.segment == SegmentKind::SynAck => {
            words.push("the SYN came again".to_owned());
        }
        None if again.early => words.push("before its timeout".to_owned()),
        None => {}
    }
    if let Some(next) = again.next {
        let wait = Humane(Some(next.wait.promise)).round();
        words.push(match next.then {
            Then::Attempt => format!("next in {wait}"),
            Then::GivesUp => format!("gives up in {wait}"),
            Then::Either => format!("next in {wait} or end"),
        });
    }
    if !again.sent {
        words.push("refused below TCP".to_owned());
    }
    words.extend(again.queue.iter().flat_map(|queue| queue::phrases(queue)));
    words
}
