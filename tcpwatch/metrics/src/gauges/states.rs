//! The number of sockets in each state.

use tcpwatch_core::event::{KnownKind, TcpState};
use tcpwatch_kernel::source::snapshot::Surveyed;

use crate::family::ScrapeFamily;

/// The label of half-open connections, which the kernel includes in `SYN_RECV`.
const HALF_OPEN: &str = "half_open";

/// A count for each state, and one for request mini-sockets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StateGauges {
    full: [u32; TcpState::ALL.len()],
    half_open: u32,
}

impl StateGauges {
    pub(super) fn add(&mut self, socket: &Surveyed) {
        if socket.kind == KnownKind::Request {
            self.half_open += 1;
        } else if let Some(count) = TcpState::ALL
            .iter()
            .position(|it| *it == socket.state)
            .and_then(|at| self.full.get_mut(at))
        {
            *count += 1;
        }
    }

    pub(super) fn of(&self, state: TcpState) -> u32 {
        let counts = TcpState::ALL.iter().zip(self.full);
        counts.filter(|(it, _)| **it == state).map(|(_, count)| count).sum()
    }
}

/// The sockets in the states of each list.
pub(super) fn family(tallies: &[(&[TcpState], &StateGauges)]) -> ScrapeFamily {
    let mut family = ScrapeFamily::gauge(
        "tcpwatch_sockets",
        "TCP sockets by state, half_open being connections that wait for the last segment of \
         their handshake (sock_diag; time_wait and fin_wait_2 at tcpwatch_socket_dump_timestamp_\
         seconds). Sockets that are only bound are in none. Network namespace of this process.",
    );
    for (states, counts) in tallies {
        for state in *states {
            let name = label(*state);
            family.add(&[("state", &name)], counts.of(*state).into());
            if *state == TcpState::SynRecv {
                family.add(&[("state", HALF_OPEN)], counts.half_open.into());
            }
        }
    }
    family
}

/// A state's name as a label.
pub(super) fn label(state: TcpState) -> String {
    state.to_string().to_ascii_lowercase()
}
