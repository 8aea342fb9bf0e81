//! The open connections, at most so many: at the cap, who kept the server waiting for longest makes
//! room. While the server itself is what all wait for, newcomers stay in the kernel's queue.

use std::{convert::Infallible, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use rustc_hash::FxHashMap;
use tokio::{
    net::TcpStream,
    select,
    task::{AbortHandle, Id, JoinSet},
    time::timeout,
};

use super::{
    Limits,
    answer::Desk,
    counters::Counters,
    stream::Stream,
    turn::{Turn, Turns},
};

/// hyper reads no more at a time, and so keeps no more per connection.
const READ_BYTES: usize = 8 << 10;

struct Slot {
    turn: Arc<Turn>,
    task: AbortHandle,
}

pub(super) struct Slots {
    open: FxHashMap<Id, Slot>,
    tasks: JoinSet<()>,
    turns: Arc<Turns>,
    graceful: GracefulShutdown,
    desk: Arc<Desk>,
    counters: Counters,
    limits: Limits,
}

impl Slots {
    pub(super) fn new(desk: Desk, counters: Counters, limits: Limits) -> Self {
        Self {
            open: FxHashMap::default(),
            tasks: JoinSet::new(),
            turns: Arc::default(),
            graceful: GracefulShutdown::new(),
            desk: Arc::new(desk),
            counters,
            limits,
        }
    }

    /// Is there room for one more, or can there be?
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
        let turns = Arc::clone(&self.turns);
        let stream = Stream::new(tcp, Arc::clone(&turn), Arc::clone(&turns), self.limits.take);
        let desk = Arc::clone(&self.desk);
        let service = service_fn(move |request| {
            turn.begin_answer();
            let (desk, turn, turns) = (Arc::clone(&desk), Arc::clone(&turn), Arc::clone(&turns));
            async move {
                let answer = desk.answer(&request).await;
                turn.hand_over(&turns);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.ask)
            // A client that has said all it will may still wait for its answer.
            .half_close(true)
            .max_buf_size(READ_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let connection = self.graceful.watch(connection);
        let counters = self.counters.clone();
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                counters.ended_by(&error);
            }
        })
    }

    /// Gives a connection up for a newer one; `false` if the server is what all of them wait for.
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

    /// Waits until a connection is gone, or until one may have to go.
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

    /// Finishes the answers in flight, and ends what is not finished within the limit.
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
