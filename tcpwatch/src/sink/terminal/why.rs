//! Lines that say why: retries, resets, errors.

use super::{Humane, Remarks, Terminal, cell, style};
use crate::{
    event::{ResetDirection, Segment, WallClock},
    sink::words,
    timing::Then,
    track::{Reset, Retransmit, SocketError},
};

impl Terminal {
    /// `SYN retry 3   4.10 s  nc 2410 · expected 4 s · next in 8 s · gives up after 6`
    pub(super) fn retransmit(&mut self, again: &Retransmit, clock: &WallClock, out: &mut Vec<u8>) {
        self.begin(again.at, &again.subject, clock, out);
        let what = match again.segment {
            Segment::Syn => "SYN",
            Segment::SynAck => "SYN+ACK",
            Segment::Fin => "FIN",
            Segment::Data => "data",
        };
        let start = self.cell.len();
        self.cell.extend_from_slice(what.as_bytes());
        self.cell.extend_from_slice(b" retry ");
        cell::number(again.attempt, &mut self.cell);
        if again.segment != Segment::Syn && again.segment != Segment::SynAck {
            self.cell.extend_from_slice(b" in ");
            cell::state(again.state, &mut self.cell);
        }
        cell::pad(start, super::columns::CHANGE, &mut self.cell);
        self.middle(style::FAILURE, again.since_last, out);
        self.schedule(again);
        let remarks = Remarks { odd: true, ..Remarks::default() };
        self.end(&again.subject, remarks, clock, out);
    }

    /// What was expected and what comes next, into the cell.
    fn schedule(&mut self, again: &Retransmit) {
        let mut words = Vec::new();
        match again.expected {
            Some(expected) => words.push(format!("expected {}", Humane(Some(expected)))),
            None if again.early && again.segment == Segment::SynAck => {
                words.push("the SYN came again".to_owned());
            }
            None if again.early => words.push("before its timeout".to_owned()),
            None => {}
        }
        if !again.sent {
            words.push("not sent: refused below".to_owned());
        }
        if let Some(next) = again.next {
            let wait = Humane(Some(next.wait.promise));
            words.push(match next.then {
                Then::Attempt => format!("next in {wait}"),
                Then::GivesUp => format!("gives up in {wait}"),
                Then::Either => format!("next in {wait}, or gives up"),
            });
            if let (Then::Attempt | Then::Either, Some(most)) = (next.then, again.most) {
                words.push(format!("gives up after {most}"));
            }
        }
        for word in words {
            self.cell.extend_from_slice(" \u{b7} ".as_bytes());
            self.cell.extend_from_slice(word.as_bytes());
        }
    }

    pub(super) fn reset(&mut self, reset: &Reset, clock: &WallClock, out: &mut Vec<u8>) {
        self.begin(reset.at, &reset.subject, clock, out);
        let start = self.cell.len();
        self.cell.extend_from_slice(match reset.direction {
            ResetDirection::Sent => b"RST sent",
            ResetDirection::Received => b"RST received",
        });
        if let Some(state) = reset.state {
            self.cell.extend_from_slice(b" in ");
            cell::state(state, &mut self.cell);
        }
        cell::pad(start, super::columns::CHANGE, &mut self.cell);
        self.middle(style::FAILURE, None, out);
        if let Some(why) = &reset.why {
            self.cell.extend_from_slice(" \u{b7} ".as_bytes());
            self.cell.extend_from_slice(why.replace('_', " ").as_bytes());
        }
        let remarks = Remarks { odd: true, ..Remarks::default() };
        self.end(&reset.subject, remarks, clock, out);
    }

    pub(super) fn error(&mut self, error: &SocketError, clock: &WallClock, out: &mut Vec<u8>) {
        self.begin(error.at, &error.subject, clock, out);
        let start = self.cell.len();
        self.cell.extend_from_slice(b"error in ");
        cell::state(error.state, &mut self.cell);
        cell::pad(start, super::columns::CHANGE, &mut self.cell);
        self.middle(style::FAILURE, None, out);
        self.cell.extend_from_slice(" \u{b7} ".as_bytes());
        self.cell.extend_from_slice(words::error(error.error).as_bytes());
        let remarks = Remarks { odd: true, ..Remarks::default() };
        self.end(&error.subject, remarks, clock, out);
    }
}

