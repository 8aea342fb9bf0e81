//! Where the kernel's report of an end has to be put right. Why a socket ends, `tcpwatch_common::closing`
//! says, for the metrics, too.

use tcpwatch_common::{
    Closing, ResetWay,
    state_change::{FLAG_DEAD, FLAG_DONE, FLAG_LINGER2_OFF, FLAG_NO_PORT},
};

pub use tcpwatch_common::Reason;

use crate::event::{ResetDirection, StateEvent, TcpState};

/// The state a socket really enters, and why if that is CLOSED.
///
/// The kernel replaces a full socket by a mini-socket without a word and then reports CLOSED for the
/// full one (`tcp_time_wait` in `net/ipv4/tcp_minisocks.c`). Where the mini-sockets' timers are
/// watched, that removal is never seen here; a CLOSED that does is an end.
pub(super) fn of_change(
    event: &StateEvent,
    reset: Option<ResetDirection>,
    minis: bool,
) -> (TcpState, Option<Reason>) {
    if event.to != TcpState::Closed {
        return (event.to, None);
    }
    let closing = closing(event, reset);
    match closing.guessed_successor().filter(|_| !minis) {
        Some(state) => (TcpState::from_kernel(state), None),
        None => (TcpState::Closed, Some(closing.reason())),
    }
}

/// Did data come after the application had closed, which is why the socket was reset?
pub(super) fn is_by_late_data(event: &StateEvent) -> bool {
    event.to == TcpState::Closed && closing(event, None).is_by_late_data(event.reset_sent)
}

/// What is known of the end.
pub(super) fn closing(event: &StateEvent, reset: Option<ResetDirection>) -> Closing {
    let no_port = event.from == TcpState::SynSent && event.ends.local.port == 0;
    let named = [
        (FLAG_DEAD, event.orphaned),
        (FLAG_DONE, event.peer_finished),
        (FLAG_LINGER2_OFF, event.no_fin_wait),
        (FLAG_NO_PORT, no_port),
    ];
    let named = named.into_iter().filter(|(_, is)| *is).map(|(flag, _)| flag);
    let reset = reset.or(event.reset_sent.then_some(ResetDirection::Sent));
    Closing {
        from: event.from.to_kernel(),
        error: event.error,
        flags: named.fold(event.closing, |flags, flag| flags | flag),
        reset: reset.map(|direction| match direction {
            ResetDirection::Sent => ResetWay::Sent,
            ResetDirection::Received => ResetWay::Received,
        }),
    }
}
