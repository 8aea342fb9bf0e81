//! The ways from one state to another, for changes that were missed: what all of them have in common
//! is certain, the rest is not known.

use crate::event::TcpState::{
    self, CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv,
    SynSent, TimeWait,
};

/// A change that was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissedChange {
    /// State that was left.
    pub from: TcpState,
    /// State that was entered, at once or later.
    pub to: TcpState,
    /// Other states may lie between: more than one way leads there.
    pub gap: bool,
}

/// The changes that one socket can make: RFC 9293, figure 5, as Linux does it (`tcp_close_state` and
/// `tcp_disconnect` in `net/ipv4/tcp.c`, `tcp_rcv_state_process` and `tcp_fin` in
/// `net/ipv4/tcp_input.c`). Any state can end in CLOSED. An accepted connection is another socket than
/// its listener.
const fn next(state: TcpState) -> &'static [TcpState] {
    match state {
        Closed => &[SynSent, Listen],
        SynSent => &[Established, SynRecv, Closed],
        // A fast open may bring its FIN along.
        SynRecv => &[Established, FinWait1, CloseWait, Closed],
        Established => &[FinWait1, CloseWait, Closed],
        FinWait1 => &[FinWait2, Closing, Closed],
        FinWait2 | Closing => &[TimeWait, Closed],
        CloseWait => &[LastAck, Closed],
        Listen | LastAck | TimeWait => &[Closed],
        TcpState::Unknown(_) => &[],
    }
}

/// Every change of the way, in order. A state that all ways lead through is passed; between two of those is
/// a gap if there is a choice. The way leads through CLOSED, to the socket's next connection, only if no
/// other does: two connections have different ends.
pub(super) fn way(from: TcpState, to: TcpState) -> Vec<MissedChange> {
    let between = from != Closed && to != Closed;
    if between && from != to && !leads(from, to, &[from, Closed], None) {
        let mut links = through(from, Closed, vec![from]);
        links.extend(through(Closed, to, vec![Closed]));
        return links;
    }
    through(from, to, if between { vec![from, Closed] } else { vec![from] })
}

/// The same, without entering the states `behind`.
fn through(from: TcpState, to: TcpState, mut behind: Vec<TcpState>) -> Vec<MissedChange> {
    let mut links = Vec::new();
    let mut at = from;
    while at != to {
        let stop = next_stop(at, to, &behind);
        let gap = !next(at).contains(&stop) || leads(at, stop, &behind, Some((at, stop)));
        links.push(MissedChange { from: at, to: stop, gap });
        behind.push(stop);
        at = stop;
    }
    links
}

/// The first state after `at` that no way to `to` leaves out.
fn next_stop(at: TcpState, to: TcpState, behind: &[TcpState]) -> TcpState {
    let avoidable = |state: TcpState| {
        let without: Vec<_> = behind.iter().copied().chain([state]).collect();
        leads(at, to, &without, None)
    };
    let is_between = |state: &TcpState| {
        !behind.contains(state) && *state != to && leads(at, *state, behind, None)
    };
    let certain: Vec<_> =
        TcpState::ALL.into_iter().filter(|state| is_between(state) && !avoidable(*state)).collect();
    // The first one is that from which the others still lie ahead.
    let is_first = |state: &&TcpState| {
        certain.iter().all(|other| {
            let without: Vec<_> = behind.iter().copied().chain([*other]).collect();
            other == *state || leads(at, **state, &without, None)
        })
    };
    certain.iter().find(is_first).copied().unwrap_or(to)
}

/// Does a way lead from `at` to `to` that enters none of the states `without`, nor makes the change `but`?
fn leads(
    at: TcpState,
    to: TcpState,
    without: &[TcpState],
    but: Option<(TcpState, TcpState)>,
) -> bool {
    next(at).iter().filter(|entered| but != Some((at, **entered))).any(|entered| {
        *entered == to
            || !without.contains(entered) && {
                let without: Vec<_> = without.iter().copied().chain([*entered]).collect();
                leads(*entered, to, &without, but)
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A-B` for a link, `A~B` for a gap.
    fn spelled(from: TcpState, to: TcpState) -> String {
        let links = way(from, to);
        links.iter().fold(from.to_string(), |text, link| {
            format!("{text}{}{}", if link.gap { '~' } else { '-' }, link.to)
        })
    }

    #[test]
    fn the_only_way_has_every_link_and_a_choice_is_a_gap() {
        for (from, to, way) in [
            (FinWait1, FinWait2, "FIN_WAIT_1-FIN_WAIT_2"),
            (Established, FinWait2, "ESTABLISHED-FIN_WAIT_1-FIN_WAIT_2"),
            (Established, LastAck, "ESTABLISHED-CLOSE_WAIT-LAST_ACK"),
            (Established, TimeWait, "ESTABLISHED-FIN_WAIT_1~TIME_WAIT"),
            (FinWait1, TimeWait, "FIN_WAIT_1~TIME_WAIT"),
            (FinWait2, TimeWait, "FIN_WAIT_2-TIME_WAIT"),
            (SynRecv, Established, "SYN_RECV-ESTABLISHED"),
            (SynRecv, LastAck, "SYN_RECV~CLOSE_WAIT-LAST_ACK"),
            (SynSent, Established, "SYN_SENT~ESTABLISHED"),
            (SynSent, Closed, "SYN_SENT~CLOSED"),
            (LastAck, Closed, "LAST_ACK-CLOSED"),
            (Listen, Closed, "LISTEN-CLOSED"),
            (Closed, SynSent, "CLOSED-SYN_SENT"),
            (FinWait1, Established, "FIN_WAIT_1~CLOSED-SYN_SENT~ESTABLISHED"),
            (Listen, Established, "LISTEN-CLOSED-SYN_SENT~ESTABLISHED"),
        ] {
            assert_eq!(spelled(from, to), way, "{from} {to}");
        }
    }

    #[test]
    fn every_way_ends_where_it_is_to_end() {
        for (from, to) in TcpState::ALL.iter().flat_map(|from| TcpState::ALL.map(|to| (*from, to)))
        {
            let links = way(from, to);
            assert_eq!(links.last().map_or(from, |link| link.to), to, "{from} {to}");
            for pair in links.windows(2) {
                assert_eq!(pair[0].to, pair[1].from, "{from} {to}");
            }
        }
        let strange = TcpState::Unknown(77);
        assert_eq!(way(strange, Closed), [MissedChange { from: strange, to: Closed, gap: true }]);
    }
}
