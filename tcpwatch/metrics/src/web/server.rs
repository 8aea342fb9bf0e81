//! The server: accepts connections until it is stopped, independently of errors on any of them.

use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use rustix::io::Errno;
use tokio::{net::TcpStream, select, task::yield_now, time::sleep};

use super::{
    BindError, Counters, Limits, Pages, WebConfig,
    answer::Responder,
    bind::{bind, passed},
    gate::Gate,
    slots::ConnectionSlots,
};

/// Pause between attempts while the kernel refuses to accept connections for a reason that may last.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening server that is not running yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    counters: Counters,
    config: Option<WebConfig>,
    pub(super) limits: Limits,
}

impl Server {
    /// Listens on `address`; needs no runtime, so that it can be called before privileges are dropped.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::bind_all(&[address])
    }

    /// Listens on all these addresses.
    ///
    /// # Errors
    /// If the kernel refuses one of them.
    pub fn bind_all(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        Self::of(addresses.iter().copied().map(bind).collect::<Result<_, _>>()?)
    }

    /// Listens on the sockets that systemd passed to this process (`sd_listen_fds(3)`).
    ///
    /// # Errors
    /// If there is none.
    pub fn from_systemd() -> Result<Self, BindError> {
        Self::of(passed()?)
    }

    fn of(listeners: Vec<TcpListener>) -> Result<Self, BindError> {
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>();
        Ok(Self {
            addresses: addresses.map_err(BindError::Passed)?,
            listeners,
            counters: Counters::default(),
            config: None,
            limits: Limits::default(),
        })
    }

    /// The same, with what a configuration file asks for.
    #[must_use]
    pub fn with_config(mut self, config: Option<WebConfig>) -> Self {
        if let Some(config) = &config {
            self.counters.follow(config);
        }
        self.config = config;
        self
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Its addresses; with the port that the kernel chose for those that were bound to port 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its own counters, which are also updated while it runs.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Serves `pages` until `stop`, then finishes the responses in progress.
    ///
    /// # Errors
    /// If the runtime cannot wait for the listening socket; never because of a client.
    pub async fn run(
        self,
        pages: Arc<dyn Pages>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listeners = self.listeners.into_iter().map(tokio::net::TcpListener::from_std);
        let mut listeners = WebListeners(listeners.collect::<io::Result<_>>()?);
        let gate = Gate::new(self.config);
        let responder = Responder::new(pages, self.counters.clone(), self.limits, gate);
        let mut slots = ConnectionSlots::new(responder, self.counters.clone(), self.limits);
        let mut stop = pin!(stop);
        loop {
            select! {
                biased;
                () = &mut stop => break,
                () = slots.change() => {}
                accepted = listeners.accept(), if slots.have_room() => match accepted {
                    Ok(tcp) => {
                        slots.admit(tcp);
                        // Its request may already have arrived; new connections may displace it only after that.
                        yield_now().await;
                    }
                    Err(error) => {
                        self.counters.not_accepted();
                        // No connection is closed at once: without descriptors the kernel fails before it checks the
                        // queue (__sys_accept4_file, net/socket.c), so there may be no new connection, and one that has
                        // just been accepted needs time for its request.
                        sleep(PAUSE).await;
                        if out_of_descriptors(&error) && slots.make_room() {
                            yield_now().await;
                        }
                    }
                },
            }
        }
        drop(listeners);
        slots.finish().await;
        Ok(())
    }
}

/// Several listening sockets.
struct WebListeners(Vec<tokio::net::TcpListener>);

impl WebListeners {
    /// The next connection of any of them. They take turns, so that none is kept waiting by another.
    async fn accept(&mut self) -> io::Result<TcpStream> {
        let accepted = poll_fn(|cx| {
            for (index, listener) in self.0.iter().enumerate() {
                if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    return Poll::Ready((index, accepted));
                }
            }
            Poll::Pending
        });
        let (index, accepted) = accepted.await;
        self.0.rotate_left(index + 1);
        accepted.map(|(tcp, _)| tcp)
    }
}

fn out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
