//! A bounded number of open connections: at the cap, the one whose peer has kept the server waiting for longest is
//! closed. While all wait for the server itself, new connections stay in the kernel's accept queue.

use std::sync::Arc;

use hyper_util::server::graceful::GracefulShutdown;
use rustc_hash::FxHashMap;
use tokio::{
    net::TcpStream,
    select,
    task::{AbortHandle, Id, JoinSet},
    time::timeout,
};

use super::{
    Limits,
    answer::Responder,
    connection::WebConnection,
    counters::Counters,
    turn::{Turn, Turns},
};

struct Slot {
    turn: Arc<Turn>,
    task: AbortHandle,
}

pub(super) struct ConnectionSlots {
    open: FxHashMap<Id, Slot>,
    tasks: JoinSet<()>,
    turns: Arc<Turns>,
    graceful: GracefulShutdown,
    responder: Arc<Responder>,
    counters: Counters,
    limits: Limits,
}

impl ConnectionSlots {
    pub(super) fn new(responder: Responder, counters: Counters, limits: Limits) -> Self {
        Self {
            open: FxHashMap::default(),
            tasks: JoinSet::new(),
            turns: Arc::default(),
            graceful: GracefulShutdown::new(),
            responder: Arc::new(responder),
            counters,
            limits,
        }
    }

    /// Whether there is a free slot, or one can be freed.
    pub(super) fn have_room(&self) -> bool {
        self.open.len() < self.limits.connections || self.next_to_go().is_some()
    }

    /// Serves a new connection.
    pub(super) fn admit(&mut self, tcp: TcpStream) {
        if self.open.len() >= self.limits.connections {
            self.make_room();
        }
        let turn = Arc::new(Turn::new(&self.turns));
        let task = self.serve(tcp, Arc::clone(&turn));
        self.open.insert(task.id(), Slot { turn, task });
        self.counters.accepted();
        self.counters.open(self.open.len());
    }

    fn serve(&mut self, tcp: TcpStream, turn: Arc<Turn>) -> AbortHandle {
        let connection = WebConnection {
            responder: Arc::clone(&self.responder),
            turn,
            turns: Arc::clone(&self.turns),
            counters: self.counters.clone(),
            limits: self.limits,
        };
        self.tasks.spawn(connection.serve(tcp, self.graceful.watcher()))
    }

    /// Closes a connection for a new one; returns false if all of them wait for the server.
    pub(super) fn make_room(&mut self) -> bool {
        let Some(slot) = self.next_to_go().and_then(|id| self.open.remove(&id)) else {
            return false;
        };
        slot.task.abort();
        self.counters.made_room();
        true
    }

    fn next_to_go(&self) -> Option<Id> {
        let ranks = self.open.iter().filter_map(|(id, slot)| Some((slot.turn.rank()?, *id)));
        ranks.min().map(|(_, id)| id)
    }

    /// Waits until a connection has ended, or until one may be closed.
    pub(super) async fn change(&mut self) {
        select! {
            Some(gone) = self.tasks.join_next_with_id() => {
                let id = match gone {
                    Ok((id, ())) => id,
                    Err(aborted) => aborted.id(),
                };
                self.open.remove(&id);
                self.counters.open(self.open.len());
            }
            () = self.turns.theirs.notified() => {}
        }
    }

    /// Finishes the responses in progress, and closes what is not finished within the limit.
    pub(super) async fn finish(self) {
        let Self { open, mut tasks, graceful, limits, .. } = self;
        for slot in open.values().filter(|slot| slot.turn.asks()) {
            slot.task.abort();
        }
        if timeout(limits.stop, graceful.shutdown()).await.is_err() {
            tracing::warn!("some HTTP answers were not finished within {:?}", limits.stop);
        }
        tasks.shutdown().await;
    }
}
