//! Joins the sight of a segment at its sender with that at its receiver into one arrow.

use std::time::Duration;

use tcpwatch_core::{
    event::{KernelTime, SegmentEvent, SegmentKind, TcpFlags, Way},
    track::{TrackedEvent, TrackedRetransmit},
};

use crate::{
    host::Host,
    show::arrow::Fate,
    story::{MomentKind, Run},
};

/// Maximal time between the report of a retransmission and its segment.
const SAME: Duration = Duration::from_millis(2);

/// A segment's way from one host to the other.
#[derive(Debug)]
pub(super) struct Arrow<'a> {
    /// Its number in the order of the story, from 0.
    pub(super) number: usize,
    pub(super) from: Host,
    /// The segment at the sender's link, or at the receiver's if the sender's did not see it.
    pub(super) segment: &'a SegmentEvent,
    /// Index in the story of its departure.
    pub(super) left: Option<usize>,
    /// Index in the story of its arrival.
    pub(super) arrived: Option<usize>,
    pub(super) fate: Fate,
    /// The rule that dropped it.
    pub(super) rule: Option<u8>,
    /// The report that it was a retransmission.
    pub(super) again: Option<&'a TrackedRetransmit>,
}

/// All arrows, in the order in which their segments left.
pub(super) fn arrows(run: &Run) -> Vec<Arrow<'_>> {
    let mut arrows: Vec<Arrow<'_>> = Vec::new();
    for (place, moment) in run.story.iter().enumerate() {
        let MomentKind::Segment(segment) = &moment.what else { continue };
        match segment.way {
            Way::Out => arrows.push(Arrow {
                number: arrows.len(),
                from: moment.host,
                segment,
                left: Some(place),
                arrived: None,
                fate: if segment.dropped_by.is_some() { Fate::DroppedHere } else { Fate::Unknown },
                rule: segment.dropped_by,
                again: None,
            }),
            Way::In => arrive(&mut arrows, place, moment.host.peer(), segment),
        }
    }
    for moment in &run.story {
        let MomentKind::TrackedEvent(tracked) = &moment.what else { continue };
        let TrackedEvent::Retransmit(again) = &**tracked else { continue };
        let candidates = arrows.iter_mut().filter(|arrow| {
            arrow.from == moment.host
                && arrow.again.is_none()
                && is_kind(arrow.segment, again.segment)
                && apart(arrow.segment.at, moment.at) < SAME
        });
        if let Some(nearest) = candidates.min_by_key(|arrow| apart(arrow.segment.at, moment.at)) {
            nearest.again = Some(again);
        }
    }
    arrows
}

/// Completes the arrow of a segment that arrived, or makes a new one.
fn arrive<'a>(arrows: &mut Vec<Arrow<'a>>, place: usize, from: Host, segment: &'a SegmentEvent) {
    let fate = if segment.dropped_by.is_some() { Fate::DroppedThere } else { Fate::Arrived };
    let under_way = arrows.iter_mut().find(|arrow| {
        arrow.from == from && arrow.fate == Fate::Unknown && is_same(arrow.segment, segment)
    });
    match under_way {
        Some(arrow) => {
            arrow.arrived = Some(place);
            arrow.fate = fate;
            arrow.rule = segment.dropped_by;
        }
        None => arrows.push(Arrow {
            number: arrows.len(),
            from,
            segment,
            left: None,
            arrived: Some(place),
            fate,
            rule: segment.dropped_by,
            again: None,
        }),
    }
}

/// Whether these are the same segment, seen at either end.
fn is_same(out: &SegmentEvent, into: &SegmentEvent) -> bool {
    (out.ends.local, out.ends.remote) == (into.ends.remote, into.ends.local)
        && (out.seq, out.ack, out.len, out.flags) == (into.seq, into.ack, into.len, into.flags)
}

fn is_kind(segment: &SegmentEvent, kind: SegmentKind) -> bool {
    let has = |flags| segment.flags.has(flags);
    match kind {
        SegmentKind::Syn => has(TcpFlags::SYN) && !has(TcpFlags::ACK),
        SegmentKind::SynAck => has(TcpFlags::SYN) && has(TcpFlags::ACK),
        SegmentKind::Fin => has(TcpFlags::FIN),
        SegmentKind::Data => segment.len > 0,
    }
}

pub(super) fn apart(one: KernelTime, other: KernelTime) -> Duration {
    one.since(other).max(other.since(one))
}
