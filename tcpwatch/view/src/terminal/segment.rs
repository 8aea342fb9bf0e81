//! The line about a segment on a link of the laboratory.

use tcpwatch_core::{
    event::{SegmentEvent, TcpFlags, WallClock},
    track::Subject,
};

use super::{Terminal, cell, columns::CHANGE, style};

impl Terminal {
    /// `SYN+ACK in   -  seq 7 ack 8 len 0 win 64240 · dropped by rule 0`
    pub(crate) fn segment(&mut self, segment: &SegmentEvent, clock: &WallClock, out: &mut Vec<u8>) {
        let nobody = Subject::unknown(None, segment.netns, segment.ends);
        self.begin(segment.at, &nobody, clock, out);
        let what = format!("{} {}", segment.flags, segment.way.word());
        cell::text(&what, CHANGE, &mut self.cell);
        let look = if segment.dropped_by.is_some() { style::FAILURE } else { style::PLAIN };
        self.middle(look, None, out);
        self.close(look, numbers(segment).as_bytes(), out);
    }
}

fn numbers(segment: &SegmentEvent) -> String {
    let SegmentEvent { flags, seq, ack, len, window, dropped_by, .. } = *segment;
    let ack = if flags.has(TcpFlags::ACK) { format!(" ack {ack}") } else { String::new() };
    let rule = dropped_by.map(|slot| format!(" \u{b7} dropped by rule {slot}"));
    format!("seq {seq}{ack} len {len} win {window}{}", rule.unwrap_or_default())
}
