//! How long records are, for the tests of the decoder and those with made-up records.

use tcpwatch_common::{
    ListenerQueue, MiniSocket, MiniSocketCancel, Owner, RecordKind, RequestStart, Reset,
    Retransmit, Segment, SocketError, StateChange, StateChangeLast, TimedRetransmit,
};

/// Every kind with its two lengths: IPv4 and IPv6.
pub(crate) const LENGTHS: [(RecordKind, [usize; 2]); 12] = [
    (RecordKind::StateChange, [size_of::<StateChange<1>>(), size_of::<StateChange<4>>()]),
    (RecordKind::MiniSocket, [size_of::<MiniSocket<1>>(), size_of::<MiniSocket<4>>()]),
    (
        RecordKind::MiniSocketCancel,
        [size_of::<MiniSocketCancel<1>>(), size_of::<MiniSocketCancel<4>>()],
    ),
    (
        RecordKind::StateChangeLast,
        [size_of::<StateChangeLast<1>>(), size_of::<StateChangeLast<4>>()],
    ),
    (RecordKind::Retransmit, [size_of::<Retransmit<1>>(), size_of::<Retransmit<4>>()]),
    (
        RecordKind::TimedRetransmit,
        [size_of::<TimedRetransmit<1>>(), size_of::<TimedRetransmit<4>>()],
    ),
    (RecordKind::Reset, [size_of::<Reset<1>>(), size_of::<Reset<4>>()]),
    (RecordKind::SocketError, [size_of::<SocketError<1>>(), size_of::<SocketError<4>>()]),
    (RecordKind::Segment, [size_of::<Segment<1>>(), size_of::<Segment<4>>()]),
    (RecordKind::Owner, [size_of::<Owner<1>>(), size_of::<Owner<4>>()]),
    (RecordKind::RequestStart, [size_of::<RequestStart<1>>(), size_of::<RequestStart<4>>()]),
    (RecordKind::ListenerQueue, [size_of::<ListenerQueue<1>>(), size_of::<ListenerQueue<4>>()]),
];
