//! Counts the holes in a story: events that must have happened, judged by the events around them, but that no record
//! reported. Pure.
//!
//! Some hardened kernels run no BPF program on a tracepoint while a shielded task is the current one, whatever an
//! interrupt handles then, and count that nowhere. The tap is not on a tracepoint, and its program does run: a segment
//! that it saw twice was retransmitted, so the live log must have reported a retransmission at that time.

use std::{collections::HashSet, time::Duration};

use tcpwatch_core::{
    event::{Endpoints, KernelTime, SegmentEvent, TcpFlags, Way},
    track::TrackedEvent,
};

use crate::{
    host::Host,
    story::{MomentKind, StoryEvent},
};

/// The kernel reports a retransmission immediately after it has passed the segment down.
const AT_ONCE: Duration = Duration::from_millis(2);

/// The number of missing changes and retransmissions.
pub(super) fn count(story: &[StoryEvent]) -> u64 {
    let reported: Vec<_> = story.iter().filter_map(retransmission).collect();
    let is_reported = |host: Host, segment: &SegmentEvent| {
        reported.iter().any(|(on, at, ends)| {
            *on == host
                && *ends == segment.ends
                && at.since(segment.at).max(segment.at.since(*at)) < AT_ONCE
        })
    };
    let mut sent = HashSet::new();
    let mut holes = 0;
    for moment in story {
        match &moment.what {
            MomentKind::Segment(segment)
                if segment.way == Way::Out && takes_sequence_space(segment) =>
            {
                let syn = segment.flags.has(TcpFlags::SYN);
                let it = (moment.host, segment.ends, segment.seq, syn);
                holes += u64::from(sent.contains(&it) && !is_reported(moment.host, segment));
                // A segment that was dropped before it left was never sent. It is sent later as a probe
                // (tcp_write_wakeup in net/ipv4/tcp_output.c), which is not a retransmission.
                if segment.dropped_by.is_none() {
                    sent.insert(it);
                }
            }
            MomentKind::TrackedEvent(tracked) => {
                holes += u64::from(
                    matches!(&**tracked, TrackedEvent::Change(change) if change.inferred),
                );
            }
            _ => {}
        }
    }
    holes
}

/// Of a SYN+ACK that is sent twice at once, only one is reported.
fn takes_sequence_space(segment: &SegmentEvent) -> bool {
    let SegmentEvent { flags, len, .. } = segment;
    let is_syn_ack = flags.has(TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0));
    let takes = *len > 0 || flags.has(TcpFlags::SYN) || flags.has(TcpFlags::FIN);
    takes && !is_syn_ack && !flags.has(TcpFlags::RST)
}

fn retransmission(moment: &StoryEvent) -> Option<(Host, KernelTime, Endpoints)> {
    match &moment.what {
        MomentKind::TrackedEvent(tracked) => match &**tracked {
            TrackedEvent::Retransmit(again) => Some((moment.host, again.at, again.subject.ends)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::{
        event::{Endpoint, Netns, SegmentKind, TcpOptions, TcpState},
        track::{Subject, TrackedRetransmit},
    };
    use tcpwatch_kernel::probe::filters::FamilyFilter;

    use super::*;

    fn ends() -> Endpoints {
        let end = |host: Host, port| Endpoint { address: host.address(FamilyFilter::V4), port };
        Endpoints { local: end(Host::Client, 40_000), remote: end(Host::Server, 11_111) }
    }

    fn syn(at: u64) -> StoryEvent {
        let segment = SegmentEvent {
            at: KernelTime(at),
            netns: Netns(1),
            ends: ends(),
            way: Way::Out,
            flags: TcpFlags::SYN,
            seq: 7,
            ack: 0,
            len: 0,
            window: 64_240,
            options: TcpOptions::default(),
            dropped_by: None,
        };
        let at = segment.at;
        StoryEvent { at, host: Host::Client, what: MomentKind::Segment(Box::new(segment)) }
    }

    fn retry(at: u64) -> StoryEvent {
        let at = KernelTime(at);
        let subject = Subject::unknown(None, Netns(1), ends());
        let tracked = TrackedEvent::Retransmit(TrackedRetransmit {
            at,
            subject,
            state: TcpState::SynSent,
            segment: SegmentKind::Syn,
            attempt: 1,
            early: false,
            since_last: None,
            expected: None,
            next: None,
            most: None,
            sent: true,
            queue: None,
        });
        StoryEvent { at, host: Host::Client, what: MomentKind::TrackedEvent(Box::new(tracked)) }
    }

    #[test]
    fn a_segment_sent_again_and_told_is_no_hole() {
        assert_eq!(count(&[syn(0), syn(1_000_000_000), retry(1_000_002_000)]), 0);
    }

    #[test]
    fn a_segment_that_was_dropped_before_it_left_is_not_sent_again_but_probed() {
        let dropped = |at| {
            let mut moment = syn(at);
            let MomentKind::Segment(segment) = &mut moment.what else { unreachable!() };
            segment.dropped_by = Some(0);
            moment
        };
        assert_eq!(count(&[dropped(0), dropped(500_000_000), syn(1_000_000_000)]), 0);
    }

    #[test]
    fn a_segment_sent_again_and_not_told_at_that_moment_is_a_hole() {
        assert_eq!(count(&[syn(0), syn(1_000_000_000)]), 1);
        assert_eq!(count(&[syn(0), syn(1_000_000_000), retry(3_000_000_000)]), 1);
    }
}
