//! Runs the server on a thread with its own runtime, beside a pipeline that it must not slow down.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
};

use tokio::{runtime, sync::oneshot};

use super::{Pages, Server};

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct ServerHandle {
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Serves `pages` on a new thread, which has the capabilities of the calling one.
    ///
    /// # Errors
    /// If the kernel refuses a thread or what a runtime needs.
    pub fn spawn(self, pages: Arc<dyn Pages>) -> io::Result<ServerHandle> {
        let addresses = self.addresses().to_vec();
        let (stop, stopped) = oneshot::channel();
        let (sender, receiver) = mpsc::channel();
        // A runtime must not be dropped by a thread that drives another one, so it is made on its own thread.
        let thread = thread::Builder::new().name("tcpwatch-http".to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            if sender.send(()).is_err() {
                return Ok(());
            }
            runtime.block_on(self.run(pages, async {
                // A dropped handle means the same.
                drop(stopped.await);
            }))
        })?;
        let mut handle = ServerHandle { addresses, stop: Some(stop), thread: Some(thread) };
        if receiver.recv().is_err() {
            handle.end()?;
        }
        Ok(handle)
    }
}

impl ServerHandle {
    /// The addresses of the server.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops the server and waits for the responses in progress, within the limit.
    ///
    /// # Errors
    /// The error if it had ended before.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the HTTP server's thread panicked")))
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!("the HTTP server ended early: {error}");
        }
    }
}
