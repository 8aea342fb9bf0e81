//! How events are shown: what each form of output makes of them.

use tcpwatch_core::{
    event::{SegmentEvent, WallClock},
    track::{
        Change, Connection, Existing, Others, Restart, Still, TrackedReset, TrackedRetransmit,
    },
};

use crate::{
    json_lines::{Members, life, reset, retransmit, segment, states, still},
    terminal::Terminal,
};

/// An event as a line.
pub(crate) trait Line {
    /// Appends its line to the log for people.
    fn text(&self, log: &mut Terminal, clock: &WallClock, out: &mut Vec<u8>);

    /// Adds the members of its JSON.
    fn json(&self, line: &mut Members<'_, '_>);
}

impl<L: Line> Line for Box<L> {
    fn text(&self, log: &mut Terminal, clock: &WallClock, out: &mut Vec<u8>) {
        L::text(self, log, clock, out);
    }

    fn json(&self, line: &mut Members<'_, '_>) {
        L::json(self, line);
    }
}

macro_rules! shown {
    ($($event:ident by $text:ident, $json:path;)*) => {
        $(impl Line for $event {
            fn text(&self, log: &mut Terminal, clock: &WallClock, out: &mut Vec<u8>) {
                log.$text(self, clock, out);
            }

            fn json(&self, line: &mut Members<'_, '_>) {
                $json(line, self);
            }
        })*
    };
}
shown! {
    Change by change, states::change;
    Existing by existing, states::existing;
    Still by still, still::still;
    Others by others, still::others;
    Restart by restart, states::restart;
    TrackedRetransmit by retransmit, retransmit::retransmit;
    TrackedReset by reset, reset::reset;
    Connection by connection, life::connection;
    SegmentEvent by segment, segment::segment;
}
