//! What the hooks told of the trial's connections, as it came down the ordinary road.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tcpwatch_core::{
    event::{CgroupId, Netns, ResetDirection, Segment, TcpState, Via, WallClock},
    place::Place,
    sink::{Loss, Sink, Summary},
    track::{News, Reason},
};
use tcpwatch_kernel::trial::Ports;
use tokio::sync::Notify;

/// The end of the road.
#[derive(Clone)]
pub(super) struct Evidence {
    netns: Netns,
    ports: Ports,
    news: Rc<RefCell<Vec<News>>>,
    /// Cgroups whose paths are known.
    cgroups: Rc<RefCell<Vec<CgroupId>>>,
    /// There is more of it.
    pub(super) more: Rc<Notify>,
}

impl Evidence {
    pub(super) fn of(netns: Netns, ports: Ports) -> Self {
        Self { netns, ports, news: Rc::default(), cgroups: Rc::default(), more: Rc::default() }
    }

    /// Of no connections.
    pub(super) fn nobodys() -> Self {
        Self::of(Netns(0), Ports { server: 0, half_open: 0, closed: 0 })
    }

    fn any(&self, is_it: impl Fn(&News) -> bool) -> bool {
        self.news.borrow().iter().any(is_it)
    }

    /// Was this state entered, reported by the kernel itself?
    pub(super) fn entered(&self, state: TcpState) -> bool {
        self.any(
            |news| matches!(news, News::Change(change) if change.to == state && !change.inferred),
        )
    }

    /// Was there a connection in SYN_RECV that never became ESTABLISHED? Full sockets pass SYN_RECV on
    /// their way.
    pub(super) fn half_open(&self) -> bool {
        let port = self.ports.half_open;
        self.any(|news| {
            matches!(news, News::Change(change) if change.to == TcpState::SynRecv
                && !change.inferred && change.subject.ends.local.port == port)
        })
    }

    /// Was this state entered with a timer of its own, which only a mini-socket's hooks report?
    pub(super) fn timed(&self, state: TcpState) -> bool {
        self.any(
            |news| matches!(news, News::Change(change) if change.to == state && change.ends_at.is_some()),
        )
    }

    /// Did this state end in this way?
    pub(super) fn ended(&self, state: TcpState, why: Reason) -> bool {
        self.any(|news| {
            matches!(news, News::Change(change) if change.from == state && change.reason == Some(why)
                && !change.inferred)
        })
    }

    /// Was such a segment sent again?
    pub(super) fn again(&self, segment: Segment) -> bool {
        self.any(|news| matches!(news, News::Retransmit(again) if again.segment == segment))
    }

    /// Did a reset go this way?
    pub(super) fn reset(&self, direction: ResetDirection) -> bool {
        self.any(|news| matches!(news, News::Reset(reset) if reset.direction == direction))
    }

    /// Was the reset told that answers a SYN to a closed port, and why it was sent?
    pub(super) fn refusal(&self) -> bool {
        let port = self.ports.closed;
        self.any(|news| {
            matches!(news, News::Reset(reset) if reset.direction == ResetDirection::Sent
                && reset.why.is_some() && reset.subject.ends.local.port == port)
        })
    }

    /// Did a process show as the owner because it received or sent?
    pub(super) fn receiver(&self) -> bool {
        self.any(|news| news.subject().process.is_some_and(|owner| owner.via == Via::Io))
    }

    /// Was the cgroup of a socket named, and its path found?
    pub(super) fn located(&self) -> bool {
        let known = self.cgroups.borrow();
        self.any(|news| news.subject().cgroup.is_some_and(|id| known.contains(&id)))
    }

    /// Was an error told?
    pub(super) fn error(&self) -> bool {
        self.any(|news| matches!(news, News::Error(_)))
    }

    /// Were bytes each way and a round-trip time told of connections that ended?
    pub(super) fn totals(&self) -> bool {
        let totals = |wanted: fn(u64, u64) -> bool| {
            self.any(|news| {
                matches!(news, News::Connection(connection) if connection.totals.is_some_and(|totals|
                    wanted(totals.sent, totals.received) && totals.srtt.is_some()))
            })
        };
        totals(|sent, _| sent > 0) && totals(|_, received| received > 0)
    }
}

impl Sink for Evidence {
    fn place(&mut self, id: CgroupId, _place: &Arc<Place>) {
        self.cgroups.borrow_mut().push(id);
    }

    fn news(&mut self, news: &News, _clock: &WallClock, _out: &mut Vec<u8>) {
        if news.subject().netns == self.netns {
            self.news.borrow_mut().push(news.clone());
            self.more.notify_one();
        }
    }

    fn loss(&mut self, _loss: &Loss, _clock: &WallClock, _out: &mut Vec<u8>) {}

    fn summary(&mut self, _summary: &Summary, _clock: &WallClock, _out: &mut Vec<u8>) {}
}
