//! A connection's socket, for hyper: bounds the duration of a response, and resets the connection if it does not end in
//! order. If the socket were only closed, the kernel would keep it, with the data that the peer has not taken, for as
//! long as the peer likes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::turn::{Turn, Turns};

pub(super) struct Stream {
    tcp: TcpStream,
    turn: Arc<Turn>,
    turns: Arc<Turns>,
    take: Duration,
    /// Runs from the first write that had to wait to the end of the response.
    bound: Option<Pin<Box<Sleep>>>,
    closed: bool,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, turn: Arc<Turn>, turns: Arc<Turns>, take: Duration) -> Self {
        Self { tcp, turn, turns, take, bound: None, closed: false }
    }

    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.turn.hand_over(&self.turns);
            return written;
        }
        let bound = self.bound.get_or_insert_with(|| Box::pin(sleep(self.take)));
        ready!(bound.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    /// hyper flushes when it has written everything it had.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bound = None;
        self.turn.written();
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.closed
            && let Err(error) = self.tcp.set_zero_linger()
        {
            tracing::debug!("a connection is closed instead of reset: {error}");
        }
    }
}
