//! What looks at the kernel show and no event says: who waits for `accept()`, and in which queue.

use std::collections::BTreeMap;

use tcpwatch_core::{
    event::TcpState,
    facts::HostFacts,
    timing::wheel::TickRate,
    track::{AcceptQueue, SocketNow, sockets_now},
};

use super::Sockets;
use crate::row::RowId;

/// Nothing that is taken from a look depends on it.
const NO_RATE: TickRate = TickRate(1000);

impl Sockets {
    /// Takes in a look at the kernel. The rows that it touches are added to `touched`.
    pub fn facts(&mut self, facts: &HostFacts, touched: &mut Vec<RowId>) {
        for listener in facts.namespaces.iter().flat_map(|here| &here.listeners) {
            let queue = AcceptQueue { waiting: listener.waiting, most: listener.most };
            let Some(id) = self.of_cookie(listener.socket) else { continue };
            if let Some(row) = self.rows.get_mut(&id)
                && row.queue.replace(queue) != Some(queue)
            {
                touched.push(id);
            }
        }
        let waiters: Vec<_> = facts.sockets().copied().collect();
        let before = std::mem::take(&mut self.waiting);
        for now in sockets_now(&waiters, &BTreeMap::new(), NO_RATE) {
            touched.extend(self.waits(&now));
        }
        for id in before.difference(&self.waiting) {
            // It was accepted, or the peer has answered.
            if let Some(row) = self.rows.get_mut(id)
                && (row.state == TcpState::Established || row.waits_for_accept())
            {
                row.wait = None;
                touched.push(*id);
            }
        }
    }

    fn waits(&mut self, now: &SocketNow) -> Option<RowId> {
        now.wait.waits_for?;
        let id = self.of_cookie(now.subject.socket?)?;
        let row = self.rows.get_mut(&id)?;
        let is_same = row.ended.is_none() && row.state == now.state;
        if !is_same || !matches!(row.state, TcpState::Established | TcpState::CloseWait) {
            return None;
        }
        row.wait = Some((now.at, now.wait));
        self.waiting.insert(id);
        Some(id)
    }
}
