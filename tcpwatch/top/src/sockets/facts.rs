//! What looks at the kernel show and no event says: who waits for `accept()`, and in which queue.

use std::collections::BTreeMap;

use tcpwatch_core::{
    event::{Netns, Process, TcpState},
    facts::HostFacts,
    timing::wheel::TickRate,
    track::{AcceptQueue, SocketNow, WaitsFor, sockets_now},
};

use super::Sockets;
use crate::row::RowId;

/// Nothing that is taken from a look depends on it.
const NO_RATE: TickRate = TickRate(1000);

impl Sockets {
    /// Takes in a look at the kernel. The rows that it touches are added to `touched`.
    pub fn facts(&mut self, facts: &HostFacts, touched: &mut Vec<RowId>) {
        self.listeners.clear();
        let all = facts
            .namespaces
            .iter()
            .flat_map(|here| here.listeners.iter().map(|listener| (here.netns, listener)));
        for (netns, listener) in all {
            let queue = AcceptQueue { waiting: listener.waiting, most: listener.most };
            let Some(id) = self.of_cookie(listener.socket) else { continue };
            self.listeners.insert((netns, listener.local.port), id);
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

    /// Who listens on a port, as the last look showed.
    fn listener(&self, netns: Netns, port: u16) -> Option<Process> {
        self.rows.get(self.listeners.get(&(netns, port))?)?.subject.process
    }

    /// Takes in what the kernel says of one socket. The row that it touches is added to `touched`.
    pub fn measured(&mut self, now: &SocketNow, touched: &mut Vec<RowId>) {
        touched.extend(self.waits(now));
        let id = now.subject.socket.and_then(|socket| self.of_cookie(socket));
        if let Some((id, queue)) = id.zip(now.accept_queue)
            && let Some(row) = self.rows.get_mut(&id)
        {
            row.queue = Some(queue);
            touched.push(id);
        }
    }

    fn waits(&mut self, now: &SocketNow) -> Option<RowId> {
        now.wait.waits_for?;
        let id = self.of_cookie(now.subject.socket?)?;
        let listener = self.listener(now.subject.netns, now.subject.ends.local.port);
        let row = self.rows.get_mut(&id)?;
        let is_same = row.ended.is_none() && row.state == now.state;
        if !is_same || !matches!(row.state, TcpState::Established | TcpState::CloseWait) {
            return None;
        }
        row.wait = Some((now.at, now.wait));
        if now.wait.waits_for == Some(WaitsFor::Accept) && row.subject.process.is_none() {
            // As long as nobody has accepted it: a guess.
            row.subject.process = listener;
            row.subject.inherited = listener.is_some();
        }
        self.waiting.insert(id);
        Some(id)
    }
}
