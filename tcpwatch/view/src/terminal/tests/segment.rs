//! Segments, from made-up events.

use tcpwatch_core::event::{SegmentEvent, TcpFlags, TcpOptions, Way};

use super::*;

fn syn_ack() -> SegmentEvent {
    SegmentEvent {
        at: at(1),
        netns: Netns(7),
        ends: ends("192.168.2.105:43068", "192.168.2.100:11111"),
        way: Way::In,
        flags: TcpFlags(0x12),
        seq: 7,
        ack: 8,
        len: 0,
        window: 65_160,
        options: TcpOptions::default(),
        dropped_by: Some(2),
    }
}

fn told(segment: SegmentEvent) -> String {
    line(&TrackedEvent::Segment(Box::new(segment)), 160, true)
}

#[test]
fn a_segment_shows_its_flags_its_way_its_numbers_and_what_dropped_it() {
    let line = told(syn_ack());
    let (_, what) = line.split_once("SYN+ACK in ").expect("flags and way");
    assert!(what.ends_with("  seq 7 ack 8 len 0 win 65160 \u{b7} dropped by rule 2"), "{line}");
}

#[test]
fn an_acknowledgment_number_is_shown_only_where_it_counts() {
    let syn =
        told(SegmentEvent { flags: TcpFlags::SYN, dropped_by: None, way: Way::Out, ..syn_ack() });
    assert!(syn.contains("SYN out") && syn.ends_with("seq 7 len 0 win 65160"), "{syn}");
}
