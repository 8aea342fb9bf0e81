//! What the hooks reported of the trial's connections, read through the pipeline of the log.

use tcpwatch_core::{
    event::{CgroupId, Netns, ResetDirection, SegmentKind, TcpState, Via},
    track::{Reason, TrackedEvent},
};
use tcpwatch_kernel::trial::Ports;
use tcpwatch_stream::batch::{Batch, Item};

/// Events in the trial's network namespace.
pub(super) struct Evidence {
    netns: Netns,
    ports: Ports,
    tracked: Vec<TrackedEvent>,
    /// Cgroups whose paths are known.
    cgroups: Vec<CgroupId>,
}

impl Evidence {
    pub(super) const fn of(netns: Netns, ports: Ports) -> Self {
        Self { netns, ports, tracked: Vec::new(), cgroups: Vec::new() }
    }

    /// Takes in what the run yields.
    pub(super) fn add(&mut self, batch: &Batch<'_>) {
        for item in batch.items {
            match item {
                Item::TrackedEvent(tracked) if tracked.subject().netns == self.netns => {
                    self.tracked.push(tracked.clone());
                }
                Item::Place(id, _) => self.cgroups.push(*id),
                _ => {}
            }
        }
    }

    fn any(&self, is_it: impl Fn(&TrackedEvent) -> bool) -> bool {
        self.tracked.iter().any(is_it)
    }

    /// Was this state entered, reported by the kernel itself?
    pub(super) fn entered(&self, state: TcpState) -> bool {
        self.any(
            |tracked| matches!(tracked, TrackedEvent::Change(change) if change.to == state && !change.inferred),
        )
    }

    /// Was there a connection in SYN_RECV that never became ESTABLISHED? Full sockets pass SYN_RECV on
    /// their way.
    pub(super) fn half_open(&self) -> bool {
        let port = self.ports.half_open;
        self.any(|tracked| {
            matches!(tracked, TrackedEvent::Change(change) if change.to == TcpState::SynRecv
                && !change.inferred && change.subject.ends.local.port == port)
        })
    }

    /// Was this state entered with a timer of its own, which only a mini-socket's hooks report?
    pub(super) fn timed(&self, state: TcpState) -> bool {
        self.any(
            |tracked| matches!(tracked, TrackedEvent::Change(change) if change.to == state && change.ends_at.is_some()),
        )
    }

    /// Did this state end in this way?
    pub(super) fn ended(&self, state: TcpState, why: Reason) -> bool {
        self.any(|tracked| {
            matches!(tracked, TrackedEvent::Change(change) if change.from == state && change.reason == Some(why)
                && !change.inferred)
        })
    }

    /// Was such a segment sent again?
    pub(super) fn again(&self, segment: SegmentKind) -> bool {
        self.any(|tracked| matches!(tracked, TrackedEvent::Retransmit(again) if again.segment == segment))
    }

    /// Did a reset go this way?
    pub(super) fn reset(&self, direction: ResetDirection) -> bool {
        self.any(
            |tracked| matches!(tracked, TrackedEvent::Reset(reset) if reset.direction == direction),
        )
    }

    /// Was the reset reported that answers a SYN to a closed port, and why it was sent?
    pub(super) fn refusal(&self) -> bool {
        let port = self.ports.closed;
        self.any(|tracked| {
            matches!(tracked, TrackedEvent::Reset(reset) if reset.direction == ResetDirection::Sent
                && reset.why.is_some() && reset.subject.ends.local.port == port)
        })
    }

    /// Did a process show as the owner because it received or sent?
    pub(super) fn receiver(&self) -> bool {
        self.any(|tracked| tracked.subject().process.is_some_and(|owner| owner.via == Via::Io))
    }

    /// Was the cgroup of a socket named, and its path found?
    pub(super) fn located(&self) -> bool {
        self.any(|tracked| tracked.subject().cgroup.is_some_and(|id| self.cgroups.contains(&id)))
    }

    /// Was an error reported?
    pub(super) fn error(&self) -> bool {
        self.any(|tracked| matches!(tracked, TrackedEvent::Error(_)))
    }

    /// Were bytes each way and a round-trip time reported of connections that ended?
    pub(super) fn totals(&self) -> bool {
        let totals = |wanted: fn(u64, u64) -> bool| {
            self.any(|tracked| {
                matches!(tracked, TrackedEvent::Connection(connection) if connection.totals.is_some_and(|totals|
                    wanted(totals.sent, totals.received) && totals.srtt.is_some()))
            })
        };
        totals(|sent, _| sent > 0) && totals(|_, received| received > 0)
    }
}
