//! The server: accepts connections until it is told to stop, whatever happens to any of them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use rustix::io::Errno;
use tokio::{select, task::yield_now, time::sleep};

use super::{BindError, Counters, Limits, Pages, answer::Desk, bind::bind, slots::Slots};

/// Between two tries, while the kernel hands out no connection for a reason that may last.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening server that does not run yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    counters: Counters,
    pub(super) limits: Limits,
}

impl Server {
    /// Listens on `address`, with no need for a runtime: before privileges are dropped.
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

    /// Where it listens; the port the kernel chose if it was bound to port 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it counts of itself, also while it runs.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Serves `pages` until `stop`, then finishes what is in flight.
    ///
    /// # Errors
    /// If the runtime refuses to wait for the listening socket; never for a client's sake.
    pub async fn run(
        self,
        pages: Arc<dyn Pages>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let desk = Desk::new(pages, self.counters.clone(), self.limits);
        let mut slots = Slots::new(desk, self.counters.clone(), self.limits);
        let mut stop = pin!(stop);
        loop {
            select! {
                biased;
                () = &mut stop => break,
                () = slots.change() => {}
                accepted = listener.accept(), if slots.have_room() => match accepted {
                    Ok((tcp, _)) => {
                        slots.admit(tcp);
                        // It may have asked already; only then may others push it out.
                        yield_now().await;
                    }
                    Err(error) => {
                        self.counters.not_accepted();
                        // Nobody makes room at once: without descriptors the kernel fails before it
                        // looks for a connection (__sys_accept4_file, net/socket.c), so that this may be
                        // for nobody, and who has just come needs the time to ask.
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
