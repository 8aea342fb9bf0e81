//! What the hooks told of the trial's connections, as it came down the ordinary road.

use tcpwatch_core::{
    event::{Netns, ResetDirection, Segment, TcpState},
    track::{News, Reason},
};
use tcpwatch_kernel::trial::Ports;
use tcpwatch_stream::batch::{Batch, Item};

/// News of the trial's network namespace.
pub(super) struct Evidence {
    netns: Netns,
    ports: Ports,
    news: Vec<News>,
}

impl Evidence {
    pub(super) const fn of(netns: Netns, ports: Ports) -> Self {
        Self { netns, ports, news: Vec::new() }
    }

    /// Takes in what the run yields.
    pub(super) fn add(&mut self, batch: &Batch<'_>) {
        for item in batch.items {
            if let Item::News(news) = item
                && news.subject().netns == self.netns
            {
                self.news.push(news.clone());
            }
        }
    }

    fn any(&self, is_it: impl Fn(&News) -> bool) -> bool {
        self.news.iter().any(is_it)
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
