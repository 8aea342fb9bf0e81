//! The server: accepts connections until it is stopped, independently of errors on any of them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use rustix::io::Errno;
use tokio::{select, task::yield_now, time::sleep};

use super::{
    BindError, Counters, Limits, Pages, answer::Responder, bind::bind, slots::ConnectionSlots,
};

/// Pause between attempts while the kernel refuses to accept connections for a reason that may last.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening server that is not running yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    counters: Counters,
    pub(super) limits: Limits,
}

impl Server {
    /// Listens on `address`; needs no runtime, so that it can be called before privileges are dropped.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let listener = bind(address)?;
        let address =
            listener.local_addr().map_err(|source| BindError::Other { address, source })?;
        Ok(Self { listener, address, counters: Counters::default(), limits: Limits::default() })
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Its address; with the port that the kernel chose if it was bound to port 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
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
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let responder = Responder::new(pages, self.counters.clone(), self.limits);
        let mut slots = ConnectionSlots::new(responder, self.counters.clone(), self.limits);
        let mut stop = pin!(stop);
        loop {
            select! {
                biased;
                () = &mut stop => break,
                () = slots.change() => {}
                accepted = listener.accept(), if slots.have_room() => match accepted {
                    Ok((tcp, _)) => {
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
        drop(listener);
        slots.finish().await;
        Ok(())
    }
}

fn out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
