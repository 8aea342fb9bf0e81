//! The labels of the places in the kernel side's books.

use tcpwatch_common::{
    books::{HALF_OPEN, ORPHAN_FIN_WAIT_2},
    state::{
        CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, LISTEN, SYN_RECV,
        SYN_SENT, TIME_WAIT,
    },
};

/// Place and label.
pub(super) const LABELS: [(usize, &str); 12] = [
    (at(LISTEN), "listen"),
    (at(SYN_SENT), "syn_sent"),
    (at(SYN_RECV), "syn_recv"),
    (at(HALF_OPEN), "half_open"),
    (at(ESTABLISHED), "established"),
    (at(FIN_WAIT_1), "fin_wait_1"),
    (at(FIN_WAIT_2), "fin_wait_2"),
    (at(ORPHAN_FIN_WAIT_2), "fin_wait_2_or_time_wait"),
    (at(TIME_WAIT), "time_wait"),
    (at(CLOSE_WAIT), "close_wait"),
    (at(CLOSING), "closing"),
    (at(LAST_ACK), "last_ack"),
];

#[expect(clippy::as_conversions, reason = "small to large, and From is not const")]
const fn at(state: u8) -> usize {
    state as usize
}

/// Is it a place of mini-sockets?
pub(super) const fn is_mini(place: usize) -> bool {
    place == at(HALF_OPEN) || place == at(ORPHAN_FIN_WAIT_2) || place == at(TIME_WAIT)
}
