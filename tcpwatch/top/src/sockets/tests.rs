//! Which row is whose.

use tcpwatch_core::{
    event::{Endpoint, Process, Via, process::Comm},
    track::Reason,
};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn subject(socket: Option<u64>, port: u16) -> Subject {
    let end = |port| Endpoint { address: [10, 0, 0, 1].into(), port };
    let ends = Endpoints { local: end(443), remote: end(port) };
    Subject::unknown(socket.map(Cookie), Netns(1), ends)
}

fn change(seconds: u64, subject: Subject, from: TcpState, to: TcpState) -> Change {
    Change::plain(KernelTime(seconds * SECOND), subject, (from, None), to)
}

/// Applies a change; returns the row that it touches.
fn apply(sockets: &mut Sockets, change: Change) -> RowId {
    let mut touched = Vec::new();
    sockets.apply(&Item::TrackedEvent(TrackedEvent::Change(change)), &mut touched);
    assert_eq!(touched.len(), 1, "a change is of one socket");
    touched.pop().unwrap_or(RowId(u64::MAX))
}

fn state(sockets: &Sockets, id: RowId) -> Option<(TcpState, bool)> {
    sockets.get(id).map(|row| (row.state, row.ended.is_some()))
}

#[test]
fn a_half_open_connection_is_the_socket_that_it_becomes() {
    let mut sockets = Sockets::default();
    let half = change(1, subject(None, 5), TcpState::Listen, TcpState::SynRecv);
    let half = apply(&mut sockets, half);
    let open = change(2, subject(Some(7), 5), TcpState::SynRecv, TcpState::Established);
    assert_eq!(apply(&mut sockets, open), half);
    let closed = change(3, subject(Some(7), 5), TcpState::Established, TcpState::Closed);
    assert_eq!(apply(&mut sockets, closed), half);
    assert_eq!(state(&sockets, half), Some((TcpState::Established, true)));
    assert_eq!(sockets.open(), 0);
}

#[test]
fn another_socket_with_the_same_ends_has_a_row_of_its_own() {
    let mut sockets = Sockets::default();
    let old = change(1, subject(Some(7), 5), TcpState::FinWait2, TcpState::TimeWait);
    let old = apply(&mut sockets, old);
    let new = change(2, subject(Some(8), 5), TcpState::Closed, TcpState::SynSent);
    let new = apply(&mut sockets, new);
    assert_ne!(old, new);
    let end = change(3, subject(Some(7), 5), TcpState::TimeWait, TcpState::Closed);
    assert_eq!(apply(&mut sockets, end), old, "by its cookie");
    assert_eq!(state(&sockets, new), Some((TcpState::SynSent, false)));
    assert_eq!(sockets.counts.of(TcpState::SynSent), 1);
    assert_eq!(sockets.counts.of(TcpState::TimeWait), 0);
}

#[test]
fn a_socket_that_connects_again_has_ended_before() {
    let mut sockets = Sockets::default();
    let first =
        apply(&mut sockets, change(1, subject(Some(7), 5), TcpState::Closed, TcpState::SynSent));
    let second =
        apply(&mut sockets, change(2, subject(Some(7), 6), TcpState::Closed, TcpState::SynSent));
    assert_ne!(first, second);
    assert_eq!(state(&sockets, first), Some((TcpState::SynSent, true)), "its end was missed");
    assert_eq!((sockets.open(), sockets.counts.of(TcpState::SynSent)), (1, 1));
}

#[test]
fn an_owner_that_is_known_stays_and_a_port_that_comes_late_is_taken() {
    let mut sockets = Sockets::default();
    let owner = Process::named(12, Comm::from_text("curl"), Via::Connect);
    let named = Subject { process: Some(owner), ..subject(Some(7), 0) };
    let id = apply(&mut sockets, change(1, named, TcpState::Closed, TcpState::SynSent));
    apply(&mut sockets, change(2, subject(Some(7), 5), TcpState::SynSent, TcpState::Established));
    let row = sockets.get(id).map(|row| (row.subject.process, row.subject.ends.remote.port));
    assert_eq!(row, Some((Some(owner), 5)));
}

#[test]
fn what_ended_stays_for_five_seconds_and_the_selected_one_as_long_as_it_is() {
    let mut sockets = Sockets::default();
    let ended = [5, 6].map(|port| {
        let mut end =
            change(1, subject(Some(port.into()), port), TcpState::SynSent, TcpState::Closed);
        end.reason = Some(Reason::Refused);
        apply(&mut sockets, end)
    });
    let mut gone = Vec::new();
    sockets.pass(KernelTime(5 * SECOND), Some(ended[0]), &mut gone);
    assert_eq!(gone, []);
    sockets.pass(KernelTime(6 * SECOND), Some(ended[0]), &mut gone);
    assert_eq!(gone, [ended[1]]);
    assert!(sockets.get(ended[0]).is_some() && sockets.get(ended[1]).is_none());
    sockets.pass(KernelTime(7 * SECOND), None, &mut gone);
    assert!(sockets.get(ended[0]).is_none());
}

#[test]
fn many_ends_at_once_are_bounded() {
    let mut sockets = Sockets::default();
    for number in 1..=3000_u16 {
        let ended = subject(Some(number.into()), number);
        apply(&mut sockets, change(1, ended, TcpState::TimeWait, TcpState::Closed));
        sockets.pass(KernelTime(SECOND), None, &mut Vec::new());
    }
    assert_eq!(sockets.ids().len(), MOST_ENDED);
    assert_eq!(sockets.open(), 0);
    assert!(sockets.by_cookie.len() == MOST_ENDED && sockets.by_ends.len() == MOST_ENDED);
}
