//! Sockets that have entered and left each state, from the counted changes.

use tcpwatch_common::counts::{WORDS, transition};
use tcpwatch_core::event::TcpState;

/// A number of sockets: its label, and the states that it has together.
pub(super) type Group = (&'static str, &'static [TcpState]);

/// Every state that a socket can be in. FIN_WAIT_2 and TIME_WAIT are one: when the peer's FIN comes to a mini-socket,
/// `tcp_timewait_state_process` in `net/ipv4/tcp_minisocks.c` changes its substate and moves its timer, which runs no
/// hook as long as the timer stays in its bucket. With a `tcp_fin_timeout` of 60 s that is the rule.
pub(super) const GROUPS: [Group; 9] = [
    ("listen", &[TcpState::Listen]),
    ("syn_sent", &[TcpState::SynSent]),
    ("syn_recv", &[TcpState::SynRecv]),
    ("established", &[TcpState::Established]),
    ("fin_wait_1", &[TcpState::FinWait1]),
    ("fin_wait_2_or_time_wait", &[TcpState::FinWait2, TcpState::TimeWait]),
    ("close_wait", &[TcpState::CloseWait]),
    ("closing", &[TcpState::Closing]),
    ("last_ack", &[TcpState::LastAck]),
];

/// How many sockets have entered a state and left it, since the kernel side was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) entered: i64,
    pub(super) left: i64,
}

impl Flow {
    /// Of [`GROUPS`], each in its column.
    pub(super) fn all(words: &[u64; WORDS]) -> [Self; GROUPS.len()] {
        GROUPS.map(|(_, states)| {
            let mut flow = Self::default();
            for (from, to) in changes() {
                match (states.contains(&from), states.contains(&to)) {
                    (false, true) => flow.entered += count(words, from, to),
                    // A connection that comes in is counted as a change from LISTEN, where its listener stays.
                    (true, false) if from != TcpState::Listen || to == TcpState::Closed => {
                        flow.left += count(words, from, to);
                    }
                    _ => {}
                }
            }
            flow
        })
    }

    /// What these changes have added to the number of sockets in the state.
    pub(super) const fn net(self) -> i64 {
        self.entered - self.left
    }
}

fn changes() -> impl Iterator<Item = (TcpState, TcpState)> {
    TcpState::ALL.into_iter().flat_map(|from| TcpState::ALL.into_iter().map(move |to| (from, to)))
}

fn count(words: &[u64; WORDS], from: TcpState, to: TcpState) -> i64 {
    let count = words.get(transition(from.to_kernel(), to.to_kernel())).copied();
    i64::try_from(count.unwrap_or_default()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(changes: &[(TcpState, TcpState)]) -> Vec<(&'static str, i64)> {
        let mut words = [0; WORDS];
        for (from, to) in changes {
            words[transition(from.to_kernel(), to.to_kernel())] += 1;
        }
        let nets = GROUPS.iter().map(|(label, _)| *label).zip(Flow::all(&words).map(Flow::net));
        nets.filter(|(_, net)| *net != 0).collect()
    }

    #[test]
    fn an_accepted_connection_leaves_its_listener_where_it_is() {
        use TcpState::{Closed, Established, Listen, SynRecv};
        let changes = [(Closed, Listen), (Listen, SynRecv), (SynRecv, Established)];
        assert_eq!(nets(&changes), [("listen", 1), ("established", 1)]);
    }

    #[test]
    fn a_life_from_beginning_to_end_leaves_nothing() {
        use TcpState::{Closed, Established, FinWait1, FinWait2, SynSent, TimeWait};
        let life = [Closed, SynSent, Established, FinWait1, FinWait2, TimeWait, Closed];
        let changes: Vec<_> = life.windows(2).map(|pair| (pair[0], pair[1])).collect();
        assert_eq!(nets(&changes), []);
        for seen in [4, 5] {
            assert_eq!(nets(&changes[..seen]), [("fin_wait_2_or_time_wait", 1)], "{seen}");
        }
    }

    #[test]
    fn every_state_but_closed_is_in_one_group() {
        for state in TcpState::ALL {
            let groups = GROUPS.iter().filter(|(_, states)| states.contains(&state)).count();
            assert_eq!(groups, usize::from(state != TcpState::Closed), "{state}");
        }
    }
}
