//! One direction of a connection: what its sender's link saw, in bytes since the SYN.

use std::collections::BTreeMap;

use tcpwatch_core::event::{Endpoints, KernelTime, SegmentEvent, TcpFlags, Way};
use tcpwatch_lab::{
    host::Host,
    story::{MomentKind, Run},
};

/// A segment that the sender sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SentSegment {
    pub(super) at: KernelTime,
    pub(super) flags: TcpFlags,
    /// Bytes since the SYN before its first byte.
    pub(super) start: u32,
    /// Bytes of data.
    pub(super) len: u32,
    /// Nothing in it is sent for the first time.
    pub(super) again: bool,
    /// A rule dropped it, on either link.
    pub(super) dropped: bool,
    /// Without data, below what is acknowledged: it asks for an answer (`tcp_xmit_probe_skb()` in `net/ipv4/tcp_output.c`).
    pub(super) probe: bool,
}

impl SentSegment {
    /// The bytes since the SYN up to its end; SYN and FIN count as one each.
    pub(super) fn end(&self) -> u32 {
        let counted = |flag| u32::from(self.flags.has(flag));
        let control = counted(TcpFlags::SYN) + counted(TcpFlags::FIN);
        self.start.saturating_add(self.len).saturating_add(control)
    }
}

/// An acknowledgment that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acknowledgment {
    pub(super) at: KernelTime,
    /// Bytes since the SYN that are acknowledged.
    pub(super) up_to: u32,
    /// Bytes since the SYN that may be sent; `None` if the scale of the window is not known.
    pub(super) allowed: Option<u32>,
    /// It repeats the one before, without data and with the same window (RFC 5681, section 2): so many in a row.
    pub(super) repeated: u32,
    /// The window is zero.
    pub(super) zero: bool,
}

/// A reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResetMark {
    pub(super) at: KernelTime,
    pub(super) way: Way,
}

/// One direction of a connection.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// The sender.
    pub(super) from: Host,
    /// The number of the connection in the run, from 1.
    pub(super) connection: usize,
    pub(super) sent: Vec<SentSegment>,
    pub(super) acks: Vec<Acknowledgment>,
    pub(super) resets: Vec<ResetMark>,
}

/// Both directions of each connection of a run, in the order of their first segments.
pub(super) fn flows(run: &Run) -> Vec<Flow> {
    let mut connections: Vec<Endpoints> = Vec::new();
    let mut seen: BTreeMap<(usize, Host), Vec<(&SegmentEvent, bool)>> = BTreeMap::new();
    for (place, moment) in run.story.iter().enumerate() {
        let MomentKind::Segment(segment) = &moment.what else { continue };
        // By the client's end, so that both hosts' sights are of one connection.
        let Endpoints { local, remote } = segment.ends;
        let ends = match moment.host {
            Host::Client => segment.ends,
            Host::Server => Endpoints { local: remote, remote: local },
        };
        let known = connections.iter().position(|known| *known == ends);
        let number = known.unwrap_or_else(|| {
            connections.push(ends);
            connections.len() - 1
        });
        let dropped = segment.dropped_by.is_some()
            || (segment.way == Way::Out && dropped_there(run, place, segment));
        seen.entry((number, moment.host)).or_default().push((&**segment, dropped));
    }
    let flows = seen.into_iter().map(|((number, from), seen)| flow(number + 1, from, &seen));
    flows.collect()
}

/// Whether the first sight of a departed segment on the other link is that a rule dropped it.
fn dropped_there(run: &Run, place: usize, out: &SegmentEvent) -> bool {
    let mut later = run.story.iter().skip(place + 1).filter_map(|moment| match &moment.what {
        MomentKind::Segment(segment) => Some(segment),
        _ => None,
    });
    let same = later.find(|into| {
        (into.ends.local, into.ends.remote) == (out.ends.remote, out.ends.local)
            && (into.seq, into.ack, into.len, into.flags) == (out.seq, out.ack, out.len, out.flags)
    });
    same.is_some_and(|segment| segment.way == Way::In && segment.dropped_by.is_some())
}

fn flow(connection: usize, from: Host, seen: &[(&SegmentEvent, bool)]) -> Flow {
    let (mut sent, mut acks, mut resets) = (Vec::new(), Vec::new(), Vec::new());
    let base = base(seen);
    let scale = window_scale(seen);
    let (mut highest, mut acknowledged) = (0, 0);
    let mut latest: Option<Acknowledgment> = None;
    for (segment, dropped) in seen {
        let SegmentEvent { at, flags, seq, len, way, .. } = **segment;
        if flags.has(TcpFlags::RST) {
            resets.push(ResetMark { at, way });
            continue;
        }
        if way == Way::Out {
            let start = seq.wrapping_sub(base);
            // Below the SYN is only the probe of a connection that has sent nothing.
            let below = start > u32::MAX / 2;
            let start = if below { 0 } else { start };
            let (again, probe) = (false, len == 0 && (below || start < acknowledged));
            let dropped = *dropped;
            let mut segment = SentSegment { at, flags, start, len, again, dropped, probe };
            let end = segment.end();
            segment.again = end > start && end <= highest;
            segment.probe = probe && end == start;
            highest = highest.max(end);
            sent.push(segment);
        } else if flags.has(TcpFlags::ACK) && !*dropped {
            let up_to = segment.ack.wrapping_sub(base);
            if up_to > u32::MAX / 2 {
                continue;
            }
            acknowledged = acknowledged.max(up_to);
            // The window of a SYN is not scaled (RFC 7323, section 2.2).
            let shift = if flags.has(TcpFlags::SYN) { Some(0) } else { scale };
            let window = shift.map(|shift| u32::from(segment.window) << shift.min(14));
            let allowed = window.map(|window| up_to.saturating_add(window));
            let zero = segment.closes_window();
            let before = latest.filter(|before| {
                (before.up_to, before.allowed) == (up_to, allowed) && len == 0 && up_to < highest
            });
            let repeated = before.map_or(0, |before| before.repeated + 1);
            let ack = Acknowledgment { at, up_to, allowed, repeated, zero };
            latest = Some(ack);
            acks.push(ack);
        }
    }
    Flow { from, connection, sent, acks, resets }
}

/// The sequence number that counts as 0: that of the SYN, or without one the lowest that was sent.
fn base(seen: &[(&SegmentEvent, bool)]) -> u32 {
    let sent = || seen.iter().map(|(segment, _)| *segment).filter(|sent| sent.way == Way::Out);
    let syn = sent().find(|segment| segment.flags.has(TcpFlags::SYN));
    let first = || {
        let mut numbers = sent().map(|segment| segment.seq);
        let first = numbers.next()?;
        Some(numbers.fold(
            first,
            |low, seq| {
                if seq.wrapping_sub(low) > u32::MAX / 2 { seq } else { low }
            },
        ))
    };
    syn.map(|syn| syn.seq).or_else(first).unwrap_or(0)
}

/// The shift of the windows that come in: 0 unless both SYNs have the option (RFC 7323, section 2.2); `None` if a SYN was
/// not seen.
fn window_scale(seen: &[(&SegmentEvent, bool)]) -> Option<u8> {
    let syn = |way| {
        let mut syns = seen.iter().map(|(segment, _)| segment);
        syns.find(|segment| segment.way == way && segment.flags.has(TcpFlags::SYN))
    };
    let (out, into) = (syn(Way::Out)?, syn(Way::In)?);
    let both = out.options.window_scale.and(into.options.window_scale);
    Some(both.unwrap_or(0))
}

impl Flow {
    /// Segments with data, retransmissions included.
    pub(super) fn data_segments(&self) -> usize {
        self.sent.iter().filter(|segment| segment.len > 0).count()
    }

    /// The highest byte since the SYN that was sent.
    pub(super) fn highest(&self) -> u32 {
        self.sent.iter().map(SentSegment::end).max().unwrap_or(0)
    }

    /// The times of everything that is drawn.
    pub(super) fn times(&self) -> Vec<KernelTime> {
        let sent = self.sent.iter().map(|segment| segment.at);
        let acks = self.acks.iter().map(|ack| ack.at);
        let mut times: Vec<_> =
            sent.chain(acks).chain(self.resets.iter().map(|reset| reset.at)).collect();
        times.sort_unstable();
        times
    }

    /// What the plot shows, in words.
    pub(super) fn summary(&self) -> String {
        let count = |is: fn(&SentSegment) -> bool| self.sent.iter().filter(|sent| is(sent)).count();
        let parts = [
            (self.data_segments(), "segments with data"),
            (count(|sent| sent.again), "retransmissions"),
            (count(|sent| sent.dropped), "dropped by a rule"),
            (count(|sent| sent.probe), "probes"),
            (self.acks.iter().filter(|ack| ack.zero).count(), "zero windows"),
            (self.resets.len(), "resets"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts.map(|(count, what)| format!("{what}: {count}")).collect();
        parts.join(", ")
    }
}
