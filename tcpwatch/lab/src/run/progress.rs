//! The events of a run so far, as far as steps wait for them. Pure.

use std::collections::{BTreeMap, HashMap};

use tcpwatch_core::{
    event::{SegmentKind, TcpFlags, TcpState, Way},
    track::{Change, TrackedEvent},
};

use super::{present::Present, words};
use crate::{
    host::Host,
    scenario::{Condition, DropRule},
    story::{MomentKind, StoryEvent},
};

/// Counts and states.
#[derive(Debug, Default)]
pub(super) struct StepProgress {
    present: Present,
    /// States entered since the last step other than a wait.
    entered: Vec<(Host, TcpState)>,
    again: BTreeMap<(Host, SegmentKind), u32>,
    /// Segments that came in, with their flags and whether their window is zero.
    arrived: Vec<(Host, TcpFlags, bool)>,
    /// The latest calls, and whether they have returned.
    calls: BTreeMap<(Host, String, String), bool>,
    dropped: HashMap<(Host, u8), u32>,
    last: Option<String>,
}

impl StepProgress {
    /// To be called when a step other than a wait begins: states entered before it no longer count.
    pub(super) fn mark(&mut self) {
        self.entered.clear();
    }

    pub(super) fn take(&mut self, moment: &StoryEvent) {
        let host = moment.host;
        match &moment.what {
            MomentKind::TrackedEvent(tracked) => self.event(host, tracked),
            MomentKind::Segment(segment) => {
                if segment.way == Way::In {
                    self.arrived.push((host, segment.flags, segment.closes_window()));
                }
                if let Some(slot) = segment.dropped_by {
                    *self.dropped.entry((host, slot)).or_default() += 1;
                }
            }
            MomentKind::Called(call) => {
                let key = (host, call.socket.clone(), call.name.clone());
                self.calls.insert(key, false);
            }
            MomentKind::Returned(call) => {
                self.last = Some(format!("{host}: {}", call.line()));
                let key = (host, call.socket.clone(), call.name.clone());
                self.calls.insert(key, true);
            }
            MomentKind::Signal(_)
            | MomentKind::RuleSet(_)
            | MomentKind::RuleReleased(_)
            | MomentKind::Witness(_) => {}
        }
    }

    fn event(&mut self, host: Host, tracked: &TrackedEvent) {
        match tracked {
            TrackedEvent::Change(change) => self.change(host, change),
            TrackedEvent::Retransmit(again) => {
                *self.again.entry((host, again.segment)).or_default() += 1;
            }
            _ => {}
        }
    }

    fn change(&mut self, host: Host, change: &Change) {
        self.present.change(host, change);
        self.entered.push((host, change.to));
    }

    pub(super) fn holds(&self, condition: &Condition, rules: &[DropRule]) -> bool {
        match condition {
            Condition::State(host, state) => {
                self.entered.contains(&(*host, *state)) || self.present.has(*host, *state)
            }
            Condition::Retransmits { host, segment, count } => {
                self.sent_again(*host, *segment) >= *count
            }
            Condition::Segment { host, flags, zero_window, count } => {
                self.arrived(*host, *flags, *zero_window) >= *count
            }
            Condition::Returned { host, socket, call } => {
                self.calls.get(&(*host, socket.clone(), call.clone())) == Some(&true)
            }
            Condition::Dropped { rule, count } => self.dropped(*rule, rules) >= *count,
        }
    }

    fn sent_again(&self, host: Host, segment: SegmentKind) -> u32 {
        self.again.get(&(host, segment)).copied().unwrap_or(0)
    }

    fn arrived(&self, host: Host, flags: TcpFlags, zero_window: bool) -> u32 {
        let arrived = self
            .arrived
            .iter()
            .filter(|(on, seen, zero)| *on == host && seen.has(flags) && (*zero || !zero_window));
        u32::try_from(arrived.count()).unwrap_or(u32::MAX)
    }

    fn dropped(&self, rule: usize, rules: &[DropRule]) -> u32 {
        let (Some(DropRule { host, .. }), Ok(slot)) = (rules.get(rule), u8::try_from(rule)) else {
            return 0;
        };
        self.dropped.get(&(*host, slot)).copied().unwrap_or(0)
    }

    /// The state of the run, for the message about a wait that was too long.
    pub(super) fn describe(&self) -> String {
        let mut parts = Host::ALL.map(|host| self.states_of(host)).to_vec();
        for ((host, socket, call), _) in self.calls.iter().filter(|(_, returned)| !**returned) {
            parts.push(format!("{host}'s {call}() on {socket} has not returned"));
        }
        parts.extend(self.last.iter().map(|call| format!("the last call to return was {call}")));
        parts.join("; ")
    }

    /// The states of a host's sockets, in the kernel's order.
    pub(super) fn states(&self, host: Host) -> Vec<TcpState> {
        self.present.states(host)
    }

    fn states_of(&self, host: Host) -> String {
        let states = self.states(host);
        if states.is_empty() {
            return format!("{host} has no socket in any state");
        }
        format!("{host} is in {}", words::states(&states))
    }
}
