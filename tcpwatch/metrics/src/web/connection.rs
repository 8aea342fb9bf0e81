//! One connection, from its first byte to its end.

use std::{convert::Infallible, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};
use tokio::{net::TcpStream, time::timeout};

use super::{
    Limits,
    answer::Responder,
    counters::Counters,
    open::{OpenedConnection, open},
    stream::Stream,
    turn::{Turn, Turns},
};

/// The size of hyper's read buffer, and so of the memory per connection.
const READ_BYTES: usize = 8 << 10;

pub(super) struct WebConnection {
    pub(super) responder: Arc<Responder>,
    pub(super) turn: Arc<Turn>,
    pub(super) turns: Arc<Turns>,
    pub(super) counters: Counters,
    pub(super) limits: Limits,
}

impl WebConnection {
    pub(super) async fn serve(self, tcp: TcpStream, watcher: Watcher) {
        let wrap = |tcp| {
            let (turn, turns) = (Arc::clone(&self.turn), Arc::clone(&self.turns));
            Stream::new(tcp, turn, turns, self.limits.take)
        };
        let tls = self.responder.gate.config().and_then(|config| config.tls.clone());
        match timeout(self.limits.ask, open(tcp, wrap, tls)).await {
            Ok(Ok(opened)) => self.answer(opened, watcher).await,
            Ok(Err(_)) => self.counters.no_handshake(),
            Err(_elapsed) => self.counters.too_slow(),
        }
    }

    async fn answer(
        &self,
        OpenedConnection { carrier, lacks_tls }: OpenedConnection,
        watcher: Watcher,
    ) {
        let service = service_fn(async |request| {
            let answer = if lacks_tls {
                self.responder.lacks_tls()
            } else {
                self.responder.answer(&request, || self.turn.begin_answer()).await
            };
            self.turn.hand_over(&self.turns);
            Ok::<_, Infallible>(answer)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.ask)
            // A client that has shut down its side may still wait for its response.
            .half_close(true)
            .max_buf_size(READ_BYTES)
            .serve_connection(TokioIo::new(carrier), service);
        if let Err(error) = watcher.watch(connection).await {
            self.counters.ended_by(&error);
        }
    }
}
