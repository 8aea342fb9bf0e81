//! The hosts' sockets and their states, by the events of the live log. Pure.

use tcpwatch_core::{
    event::{Cookie, Endpoints, TcpState},
    track::Change,
};

use crate::host::Host;

/// A live socket.
#[derive(Clone, Copy, Debug)]
struct LiveSocket {
    host: Host,
    cookie: Option<Cookie>,
    ends: Endpoints,
    state: TcpState,
}

impl LiveSocket {
    /// Whether it is the socket that changed. A mini-socket may have no cookie: then endpoints are compared.
    fn is(&self, host: Host, change: &Change) -> bool {
        let subject = &change.subject;
        self.host == host
            && match (self.cookie, subject.socket) {
                (Some(one), Some(other)) => one == other,
                _ => self.ends == subject.ends,
            }
    }
}

/// All live sockets.
#[derive(Debug, Default)]
pub(super) struct Present(Vec<LiveSocket>);

impl Present {
    pub(super) fn change(&mut self, host: Host, change: &Change) {
        let known = self.0.iter().position(|socket| socket.is(host, change));
        let before = known.map(|place| self.0.swap_remove(place));
        if change.to != TcpState::Closed {
            self.0.push(LiveSocket {
                host,
                cookie: change.subject.socket.or(before.and_then(|socket| socket.cookie)),
                ends: change.subject.ends,
                state: change.to,
            });
        }
    }

    pub(super) fn has(&self, host: Host, state: TcpState) -> bool {
        self.0.iter().any(|socket| socket.host == host && socket.state == state)
    }

    /// The states of a host's sockets, in the kernel's order.
    pub(super) fn states(&self, host: Host) -> Vec<TcpState> {
        let of_host = self.0.iter().filter(|socket| socket.host == host);
        let mut states: Vec<_> = of_host.map(|socket| socket.state).collect();
        states.sort_unstable_by_key(|state| state.to_kernel());
        states
    }
}

#[cfg(test)]
mod tests {
    use tcpwatch_core::{
        event::{Endpoint, KernelTime, Netns},
        track::Subject,
    };
    use tcpwatch_kernel::probe::filters::FamilyFilter;

    use super::*;
    use TcpState::{Closed, Established, FinWait2, Listen, SynRecv, TimeWait};

    fn change(cookie: Option<u64>, from: TcpState, to: TcpState) -> Change {
        let end = |host: Host, port| Endpoint { address: host.address(FamilyFilter::V4), port };
        let remote = if from == Listen && to == Closed || to == Listen { 0 } else { 40_000 };
        let ends =
            Endpoints { local: end(Host::Server, 11_111), remote: end(Host::Client, remote) };
        let subject = Subject::unknown(cookie.map(Cookie), Netns(1), ends);
        Change::plain(KernelTime(0), subject, (from, None), to)
    }

    fn after(changes: &[Change]) -> Vec<TcpState> {
        let mut present = Present::default();
        for change in changes {
            present.change(Host::Server, change);
        }
        assert!(present.states(Host::Client).is_empty());
        present.states(Host::Server)
    }

    #[test]
    fn a_half_open_connection_becomes_the_socket_that_is_accepted() {
        let states = after(&[
            change(Some(1), Closed, Listen),
            change(None, Listen, SynRecv),
            change(Some(2), SynRecv, Established),
        ]);
        assert_eq!(states, [Established, Listen]);
    }

    #[test]
    fn a_mini_socket_takes_over_with_or_without_a_cookie() {
        for cookie in [None, Some(2)] {
            let states =
                after(&[change(Some(2), Closed, FinWait2), change(cookie, FinWait2, TimeWait)]);
            assert_eq!(states, [TimeWait], "{cookie:?}");
        }
    }

    #[test]
    fn a_closed_socket_is_gone() {
        assert!(
            after(&[change(Some(1), Closed, Listen), change(Some(1), Listen, Closed)]).is_empty()
        );
    }
}
