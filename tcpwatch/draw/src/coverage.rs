//! Which transitions of TCP's state machine runs have taken.

use std::collections::{BTreeMap, BTreeSet};

use tcpwatch_core::{event::TcpState, track::TrackedEvent};
use tcpwatch_lab::{report::Document, story::MomentKind};

use TcpState::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent,
    TimeWait,
};

/// The transitions of RFC 9293, figure 5, with the events that the figure writes at them, and the one that its note 2 adds.
/// What note 3 says, that a reset ends any state, is not drawn there.
pub(crate) const TRANSITIONS: [(TcpState, TcpState, &str); 21] = [
    (Closed, Listen, "passive OPEN"),
    (Closed, SynSent, "active OPEN"),
    (Listen, Closed, "CLOSE"),
    (Listen, SynRecv, "rcv SYN"),
    (Listen, SynSent, "SEND"),
    (SynSent, Closed, "CLOSE"),
    (SynSent, SynRecv, "rcv SYN"),
    (SynSent, Established, "rcv SYN,ACK"),
    // Note 1: if it came from LISTEN. Erratum 8710 adds a SYN as a cause.
    (SynRecv, Listen, "rcv RST (note 1)"),
    (SynRecv, Established, "rcv ACK of SYN"),
    (SynRecv, FinWait1, "CLOSE"),
    (Established, FinWait1, "CLOSE"),
    (Established, CloseWait, "rcv FIN"),
    (FinWait1, FinWait2, "rcv ACK of FIN"),
    (FinWait1, Closing, "rcv FIN"),
    (FinWait1, TimeWait, "rcv FIN and ACK of FIN (note 2)"),
    (FinWait2, TimeWait, "rcv FIN"),
    (Closing, TimeWait, "rcv ACK of FIN"),
    (CloseWait, LastAck, "CLOSE"),
    (LastAck, Closed, "rcv ACK of FIN"),
    (TimeWait, Closed, "Timeout=2MSL"),
];

/// The scenarios that took a transition, and for what reasons Linux took it on the way to CLOSED.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) scenarios: BTreeSet<String>,
    pub(crate) reasons: BTreeSet<&'static str>,
}

/// A transition.
#[derive(Debug)]
pub(crate) struct Transition {
    pub(crate) from: TcpState,
    pub(crate) to: TcpState,
    /// What the figure writes at it.
    pub(crate) cause: &'static str,
    /// The same without the number of the note.
    pub(crate) label: &'static str,
    pub(crate) taken: Taken,
}

impl Transition {
    pub(crate) fn is_taken(&self) -> bool {
        !self.taken.scenarios.is_empty()
    }
}

/// What was taken of the state machine.
#[derive(Debug)]
pub struct Coverage {
    /// The transitions of the figure.
    pub(crate) transitions: Vec<Transition>,
    /// Transitions that Linux has made and the figure does not have.
    pub(crate) others: Vec<(TcpState, TcpState, Taken)>,
}

impl Coverage {
    /// By the state changes of all runs. A change with a gap, which may stand for several, does not count.
    #[must_use]
    pub fn of(reports: &[Document]) -> Self {
        let mut all: BTreeMap<(u8, u8), Taken> = BTreeMap::new();
        for run in reports.iter().flat_map(|report| &report.runs) {
            for moment in &run.story {
                let MomentKind::TrackedEvent(tracked) = &moment.what else { continue };
                let TrackedEvent::Change(change) = &**tracked else { continue };
                if change.gap || change.from == change.to {
                    continue;
                }
                let key = (change.from.to_kernel(), change.to.to_kernel());
                let taken = all.entry(key).or_default();
                taken.scenarios.insert(run.scenario.name.clone());
                taken.reasons.extend(change.reason.map(tcpwatch_core::track::Reason::word));
            }
        }
        let transitions = TRANSITIONS.map(|(from, to, cause)| {
            let taken = all.remove(&(from.to_kernel(), to.to_kernel())).unwrap_or_default();
            let label = cause.split(" (").next().unwrap_or(cause);
            Transition { from, to, cause, label, taken }
        });
        let others = all.into_iter().map(|((from, to), taken)| {
            (TcpState::from_kernel(from), TcpState::from_kernel(to), taken)
        });
        Self { transitions: transitions.into(), others: others.collect() }
    }

    /// How many transitions of the figure were taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.transitions.iter().filter(|transition| transition.is_taken()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_entered_and_left_by_transitions_of_the_figure_and_none_is_there_twice() {
        let set: BTreeSet<(u8, u8)> =
            TRANSITIONS.iter().map(|(from, to, _)| (from.to_kernel(), to.to_kernel())).collect();
        assert_eq!(set.len(), TRANSITIONS.len());
        for state in TcpState::ALL {
            assert!(TRANSITIONS.iter().any(|(from, ..)| *from == state), "{state}");
            assert!(TRANSITIONS.iter().any(|(_, to, _)| *to == state), "{state}");
        }
    }
}
