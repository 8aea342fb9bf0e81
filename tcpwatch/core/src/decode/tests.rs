//! Records as bytes: made up, and cut out of the layout that `tcpwatch-common` fixes.

use std::time::Duration;

use proptest::{prelude::*, sample::select};
use tcpwatch_common::{
    MiniSocket, OwnerVia, RecordHead, Reset, Retransmit, SocketError, StateChange, StateChangeLast,
    Totals, segment::OPTION_WORDS,
};

use super::*;
use crate::event::{
    ResetDirection, ResetEvent, RetransmitEvent, SegmentEvent, SegmentKind, StateEvent, TcpFlags,
    TcpOptions, TcpState, Trigger, Way,
};

type Tapped<const WORDS: usize> = tcpwatch_common::Segment<WORDS>;

/// Offset of the tag in a record.
const KIND: usize = std::mem::offset_of!(RecordHead, kind);

fn understood(bytes: &[u8]) -> Result<Event, DecodeError> {
    decode(bytes, &Names::default())
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ignored: Result<Event, DecodeError> = understood(&bytes);
    }

    #[test]
    fn any_bytes_with_a_known_tag_decode_or_are_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 48..=216),
        tag in 1_u8..=8,
    ) {
        bytes[KIND] = tag;
        let _ignored: Result<Event, DecodeError> = understood(&bytes);
    }

    #[test]
    fn any_bytes_of_the_right_length_are_not_refused_for_it(
        mut bytes in proptest::collection::vec(any::<u8>(), 216),
        kind in select(RecordKind::ALL),
        ipv6: bool,
    ) {
        bytes[KIND] = kind.tag();
        bytes.truncate(kind.lengths()[usize::from(ipv6)]);
        let refused = matches!(understood(&bytes), Err(DecodeError::Length { .. }));
        prop_assert!(!refused, "{kind:?} of {} bytes", bytes.len());
    }
}

#[test]
fn a_record_has_one_of_two_lengths_and_no_other() {
    for kind in RecordKind::ALL {
        for bytes in 32..=216 {
            let mut record = vec![0; bytes];
            record[KIND] = kind.tag();
            let refused = matches!(understood(&record), Err(DecodeError::Length { .. }));
            assert_eq!(refused, !kind.lengths().contains(&bytes), "{kind:?} of {bytes} bytes");
        }
    }
}

#[test]
fn an_unknown_tag_is_refused_by_name() {
    let mut bytes = [0; 64];
    bytes[KIND] = 99;
    assert_eq!(understood(&bytes), Err(DecodeError::Kind { kind: 99 }));
}

const COOKIE: usize = std::mem::offset_of!(RecordHead, cookie);
const NETNS: usize = std::mem::offset_of!(RecordHead, netns);
const MINI_STATE: usize = std::mem::offset_of!(MiniSocket<1>, state);

#[test]
fn a_timewait_socket_is_in_one_of_its_two_states_or_refused() {
    for number in 0..=u8::MAX {
        let mut record = vec![1; size_of::<MiniSocket<1>>()];
        record[KIND] = RecordKind::MiniSocket.tag();
        record[MINI_STATE] = number;
        let refused = understood(&record);
        let states = [TcpState::FinWait2, TcpState::TimeWait];
        if states.contains(&TcpState::from_kernel(number)) {
            assert!(refused.is_ok(), "{number}: {refused:?}");
        } else {
            let kind = RecordKind::MiniSocket.tag();
            assert_eq!(refused, Err(DecodeError::Value { kind, value: number }));
        }
    }
}

/// Kinds of records that are about a full socket.
const IDENTIFIED: [RecordKind; 4] = [
    RecordKind::StateChange,
    RecordKind::StateChangeLast,
    RecordKind::SocketError,
    RecordKind::Owner,
];

#[test]
fn a_record_of_no_namespace_or_without_the_full_socket_it_is_about_is_refused() {
    for &kind in RecordKind::ALL {
        let mut record = vec![1; kind.lengths()[0]];
        record[KIND] = kind.tag();
        if kind == RecordKind::Owner {
            record[FLAGS..FLAGS + 2].copy_from_slice(&u16::from(OwnerVia::Io).to_ne_bytes());
        }
        let minis =
            [RecordKind::MiniSocket, RecordKind::MiniSocketCancel, RecordKind::RequestStart];
        if minis.contains(&kind) {
            record[MINI_STATE] = TcpState::TimeWait.to_kernel();
        }
        assert!(understood(&record).is_ok(), "{kind:?}");
        let mut nowhere = record.clone();
        nowhere[NETNS..NETNS + 4].fill(0);
        let what = "network namespace";
        assert_eq!(understood(&nowhere), Err(DecodeError::Nobody { kind: kind.tag(), what }));
        record[COOKIE..COOKIE + 8].fill(0);
        let refused =
            matches!(understood(&record), Err(DecodeError::Nobody { what: "socket", .. }));
        assert_eq!(refused, IDENTIFIED.contains(&kind), "{kind:?}");
    }
}

/// A record of zeros, of a socket and a namespace, with these bytes at these offsets.
fn record<const LENGTH: usize>(kind: RecordKind, parts: &[(usize, &[u8])]) -> Event {
    let mut bytes = [0; LENGTH];
    bytes[KIND] = kind.tag();
    bytes[NETNS] = 1;
    if IDENTIFIED.contains(&kind) {
        bytes[COOKIE] = 1;
    }
    for (offset, part) in parts {
        bytes[*offset..offset + part.len()].copy_from_slice(part);
    }
    understood(&bytes).expect("a good record")
}

const FLAGS: usize = std::mem::offset_of!(RecordHead, flags);

/// The last change of a socket with these totals.
fn last(flags: u16, totals: Totals) -> StateEvent {
    const AT: usize = std::mem::offset_of!(StateChangeLast<1>, totals);
    let Totals { bytes_sent, bytes_retransmitted, bytes_received, .. } = totals;
    let Totals { retransmits, srtt_us_8, min_rtt_us, undelivered, .. } = totals;
    let event = record::<{ size_of::<StateChangeLast<1>>() }>(
        RecordKind::StateChangeLast,
        &[
            (FLAGS, &flags.to_ne_bytes()),
            (AT, &bytes_sent.to_ne_bytes()),
            (AT + 8, &bytes_retransmitted.to_ne_bytes()),
            (AT + 16, &bytes_received.to_ne_bytes()),
            (AT + 24, &retransmits.to_ne_bytes()),
            (AT + 28, &srtt_us_8.to_ne_bytes()),
            (AT + 32, &min_rtt_us.to_ne_bytes()),
            (AT + 36, &undelivered.to_ne_bytes()),
        ],
    );
    let Event::State(event) = event else { panic!("a change: {event:?}") };
    event
}

const COUNTED: Totals = Totals {
    bytes_sent: 1500,
    bytes_retransmitted: 500,
    bytes_received: 301,
    retransmits: 2,
    srtt_us_8: 8 * 412,
    min_rtt_us: 390,
    undelivered: 0,
};

#[test]
fn totals_count_each_byte_once_and_no_fin() {
    for (flags, received) in [(tcpwatch_common::state_change::FLAG_DONE, 300), (0, 301)] {
        let totals = last(flags, COUNTED).totals.expect("totals");
        assert_eq!((totals.sent, totals.received), (1000, received), "{flags}");
        assert_eq!(totals.retransmits, 2);
        assert_eq!(totals.srtt, Some(Duration::from_micros(412)), "an eighth of the kernel's");
        assert_eq!(totals.min_rtt, Some(Duration::from_micros(390)));
    }
}

#[test]
fn a_round_trip_that_was_never_measured_is_not_zero() {
    let totals = Totals { srtt_us_8: 0, min_rtt_us: u32::MAX, ..COUNTED };
    let totals = last(0, totals).totals.expect("totals");
    assert_eq!((totals.srtt, totals.min_rtt), (None, None));
}

#[test]
fn counts_that_do_not_fit_each_other_do_not_wrap() {
    let totals = Totals { bytes_sent: 0, bytes_received: 0, ..COUNTED };
    let totals = last(tcpwatch_common::state_change::FLAG_DONE, totals).totals.expect("totals");
    assert_eq!((totals.sent, totals.received), (0, 0));
}

#[test]
fn a_change_without_totals_has_none() {
    let bytes = size_of::<StateChange<1>>();
    let mut record = vec![0; bytes];
    record[KIND] = RecordKind::StateChange.tag();
    (record[NETNS], record[COOKIE]) = (1, 1);
    let Ok(Event::State(event)) = understood(&record) else { panic!("a change") };
    assert_eq!(event.totals, None);
}

/// A retransmission with these flags, TCP flags, count of timeouts and `TCP_SYNCNT`.
fn retransmit(flags: u16, segment: u8, timeouts: u8, syn_retries: u8) -> RetransmitEvent {
    const STATE: usize = std::mem::offset_of!(Retransmit<1>, state);
    let event = record::<{ size_of::<Retransmit<1>>() }>(
        RecordKind::Retransmit,
        &[
            (FLAGS, &flags.to_ne_bytes()),
            (std::mem::offset_of!(Retransmit<1>, rto), &51_u32.to_ne_bytes()),
            (STATE, &[1, segment, timeouts, syn_retries]),
        ],
    );
    let Event::Retransmit(event) = event else { panic!("a retransmission: {event:?}") };
    event
}

#[test]
fn a_segment_is_named_by_its_flags() {
    use tcpwatch_common::retransmit::{TCP_ACK, TCP_FIN, TCP_SYN};
    for (flags, segment) in [
        (TCP_SYN, SegmentKind::Syn),
        (TCP_SYN | TCP_ACK, SegmentKind::SynAck),
        (TCP_FIN | TCP_ACK, SegmentKind::Fin),
        (TCP_ACK, SegmentKind::Data),
    ] {
        assert_eq!(retransmit(0, flags, 1, 0).segment, segment);
    }
}

#[test]
fn what_made_the_kernel_send_again_is_told_by_counts_and_flags() {
    use tcpwatch_common::retransmit::{
        FLAG_NOT_SENT, FLAG_ORPHAN, FLAG_REQUEST, FLAG_SYN_CAME_AGAIN,
    };
    for (flags, timeouts, trigger) in [
        (0, 0, Trigger::Early { rto: 51 }),
        (0, 3, Trigger::Timeout { in_a_row: 3, rto: 51 }),
        (FLAG_REQUEST, 2, Trigger::RequestTimeout { in_a_row: 2 }),
        (FLAG_REQUEST | FLAG_SYN_CAME_AGAIN, 2, Trigger::SynCameAgain),
    ] {
        assert_eq!(retransmit(flags, 16, timeouts, 0).trigger, trigger);
    }
    let plain = retransmit(0, 16, 1, 0);
    assert_eq!((plain.orphan, plain.sent, plain.syn_retries), (false, true, None));
    assert_eq!((plain.socket, plain.user_timeout), (None, None));
    let special = retransmit(FLAG_ORPHAN | FLAG_NOT_SENT, 16, 1, 3);
    assert_eq!((special.orphan, special.sent, special.syn_retries), (true, false, Some(3)));
}

/// A reset with these flags, in this state of the kernel's numbers.
fn reset(flags: u16, state: u8) -> ResetEvent {
    let event = record::<{ size_of::<Reset<1>>() }>(
        RecordKind::Reset,
        &[
            (FLAGS, &flags.to_ne_bytes()),
            (std::mem::offset_of!(Reset<1>, reason), &[9, 0, 0, 0]),
            (std::mem::offset_of!(Reset<1>, state), &[state]),
        ],
    );
    let Event::Reset(event) = event else { panic!("a reset: {event:?}") };
    event
}

#[test]
fn a_reset_has_a_reason_only_where_the_kernel_tells_one_and_a_state_only_of_a_socket() {
    use tcpwatch_common::reset::{FLAG_REASON, FLAG_SENT};
    let sent = reset(FLAG_SENT | FLAG_REASON, 1);
    assert_eq!((sent.direction, sent.state), (ResetDirection::Sent, Some(TcpState::Established)));
    assert_eq!(sent.why.as_deref(), Some("reason#9"), "without names, the number");
    let received = reset(0, 0);
    assert_eq!((received.direction, received.state), (ResetDirection::Received, None));
    assert_eq!(received.why, None);
}

#[test]
fn an_error_keeps_its_number() {
    let event = record::<{ size_of::<SocketError<4>>() }>(
        RecordKind::SocketError,
        &[
            (std::mem::offset_of!(SocketError<4>, error), &[110, 0, 0, 0]),
            (std::mem::offset_of!(SocketError<4>, state), &[7]),
        ],
    );
    let Event::Error(event) = event else { panic!("an error: {event:?}") };
    assert_eq!((event.error, event.state), (110, TcpState::Closed));
    assert!(event.ends.local.address.is_ipv6());
}

/// A segment with these flags of the record, and these options.
fn segment(flags: u16, options: &[u8]) -> SegmentEvent {
    let event = record::<{ size_of::<Tapped<4>>() }>(
        RecordKind::Segment,
        &[
            (FLAGS, &flags.to_ne_bytes()),
            (std::mem::offset_of!(Tapped<4>, seq), &7_u32.to_ne_bytes()),
            (std::mem::offset_of!(Tapped<4>, ack), &8_u32.to_ne_bytes()),
            (std::mem::offset_of!(Tapped<4>, len), &9_u32.to_ne_bytes()),
            (std::mem::offset_of!(Tapped<4>, window), &64_240_u16.to_ne_bytes()),
            (std::mem::offset_of!(Tapped<4>, flags), &[0x12, 3]),
            (std::mem::offset_of!(Tapped<4>, options), options),
        ],
    );
    let Event::Segment(event) = event else { panic!("a segment: {event:?}") };
    event
}

#[test]
fn a_segment_has_a_way_and_the_rule_that_dropped_it_only_if_one_did() {
    use tcpwatch_common::segment::{FLAG_DROPPED, FLAG_OUT};
    let passed = segment(FLAG_OUT, &[]);
    assert_eq!((passed.way, passed.dropped_by), (Way::Out, None));
    let dropped = segment(FLAG_DROPPED, &[]);
    assert_eq!((dropped.way, dropped.dropped_by), (Way::In, Some(3)));
    assert_eq!((dropped.seq, dropped.ack, dropped.len, dropped.window), (7, 8, 9, 64_240));
    assert_eq!(dropped.flags, TcpFlags(0x12));
    assert!(dropped.ends.local.address.is_ipv6());
}

#[test]
fn options_are_read_as_the_kernel_writes_them() {
    // A SYN: MSS, SACK permitted, timestamps, no operation, window scale, fast open, padding.
    let syn = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7, 34, 2, 1, 1];
    let expected = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some((256, 0)),
        sack_blocks: 0,
        fast_open: true,
    };
    assert_eq!(segment(0, &syn).options, expected);
    let mut blocks = vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 18];
    blocks.resize(32, 0xff);
    let expected = TcpOptions { timestamps: Some((1, 2)), sack_blocks: 2, ..TcpOptions::default() };
    assert_eq!(segment(0, &blocks).options, expected);
}

#[test]
fn an_option_that_nobody_knows_is_passed_over_and_a_broken_one_ends_the_list() {
    let mss = TcpOptions { mss: Some(536), ..TcpOptions::default() };
    for (options, expected) in [
        (vec![30, 4, 0, 0, 2, 4, 2, 24], mss),
        (vec![0, 2, 4, 2, 24], TcpOptions::default()),
        (vec![30, 0, 2, 4, 2, 24], TcpOptions::default()),
        (vec![30, 1, 2, 4, 2, 24], TcpOptions::default()),
        (vec![30, 41, 2, 4, 2, 24], TcpOptions::default()),
        (vec![3, 4, 7, 7, 2, 4, 2, 24], mss),
    ] {
        assert_eq!(segment(0, &options).options, expected, "{options:?}");
    }
    let full = [1; OPTION_WORDS * 4];
    assert_eq!(segment(0, &full).options, TcpOptions::default(), "nothing but padding");
}
