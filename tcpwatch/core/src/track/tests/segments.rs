//! Segments on a link of the laboratory, which pass through as they are.

use super::*;
use crate::event::{SegmentEvent, TcpFlags, TcpOptions, Way};

#[test]
fn a_segment_passes_in_its_place_and_is_nobodys() {
    let segment = SegmentEvent {
        at: ms(105),
        netns: NETNS,
        ends: client_ends(),
        way: Way::Out,
        flags: TcpFlags(0x11),
        seq: 1,
        ack: 1,
        len: 0,
        window: 502,
        options: TcpOptions::default(),
        dropped_by: Some(0),
    };
    let mut events = client_until_fin_wait_2();
    events.insert(3, Event::Segment(segment.clone()));
    let mut tracker = tracker();
    let yielded = tell(&mut tracker, events);
    assert_eq!(lines(&yielded)[2..4], ["ESTABLISHED FIN_WAIT_1 99", "segment FIN+ACK"]);
    let TrackedEvent::Segment(told) = &yielded[3] else { panic!("the segment: {:?}", yielded[3]) };
    assert_eq!(**told, segment);
    let subject = yielded[3].subject();
    assert_eq!((subject.netns, subject.ends), (NETNS, client_ends()));
    assert_eq!((subject.socket, subject.process), (None, None), "a link knows no sockets");
    assert!(!TcpState::ALL.iter().any(|state| yielded[3].touches(*state)));
    assert_eq!(tracker.open(), 1, "the socket is tracked as without it");
}
