//! The server on a thread and a runtime of its own, beside a pipeline that it must not slow down.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
};

use tokio::{runtime, sync::oneshot};

use super::{Pages, Server};

/// A running server; dropped, it stops.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Serves `pages` on a new thread, which has the capabilities of the calling one.
    ///
    /// # Errors
    /// If the kernel refuses a thread or what a runtime needs.
    pub fn spawn(self, pages: Arc<dyn Pages>) -> io::Result<Handle> {
        let address = self.local_addr();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        // A runtime must not be dropped by a thread that drives another, so it is made where it runs.
        let thread = thread::Builder::new().name("tcpwatch-http".to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            if tell.send(()).is_err() {
                return Ok(());
            }
            runtime.block_on(self.run(pages, async {
                // A handle that is gone has said the same.
                drop(stopped.await);
            }))
        })?;
        let mut handle = Handle { address, stop: Some(stop), thread: Some(thread) };
        if told.recv().is_err() {
            handle.end()?;
        }
        Ok(handle)
    }
}

impl Handle {
    /// Where the server listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server and waits for it: until the answers in flight are finished, within the limit.
    ///
    /// # Errors
    /// Why it ended before.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the HTTP server's thread panicked")))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!("the HTTP server ended early: {error}");
        }
    }
}
