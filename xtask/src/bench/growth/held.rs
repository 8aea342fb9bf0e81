//! A given number of live TCP sockets, held until they are closed.
//!
//! The limit of descriptors of a process may be below this number. So each thread that holds sockets has a descriptor
//! table of its own, and the server's ends of the connections stay in the accept queue, where they need no descriptor.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    sync::mpsc::{Receiver, Sender, channel},
};

use anyhow::{Context, Result};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use socket2::Socket;

use crate::bench::workload::{self, Working};

/// Connections of each thread, below the usual limit of 20,000 descriptors.
const CONNECTIONS_IN_A_THREAD: u32 = 15_000;
/// The limit of the accept queue of this network namespace.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";

/// Live sockets.
#[derive(Debug)]
pub(super) struct Held {
    holders: Vec<HolderThread>,
}

#[derive(Debug)]
struct HolderThread {
    let_go: Sender<()>,
    working: Working<()>,
}

impl Held {
    /// Opens a listening socket and both ends of connections in the network namespace of this thread; returns when all
    /// exist.
    pub(super) fn open(sockets: u32) -> Result<Self> {
        fs::write(SOMAXCONN, CONNECTIONS_IN_A_THREAD.to_string())
            .with_context(|| format!("cannot set {SOMAXCONN}"))?;
        let mut holders = Vec::new();
        let mut left = sockets / 2;
        loop {
            let connections = left.min(CONNECTIONS_IN_A_THREAD);
            holders.push(HolderThread::open(connections)?);
            left -= connections;
            if left == 0 {
                return Ok(Self { holders });
            }
        }
    }

    /// Closes them; returns when none is left.
    pub(super) fn close(self) -> Result<()> {
        self.holders.into_iter().try_for_each(|holder| {
            drop(holder.let_go);
            holder.working.end()
        })
    }
}

impl HolderThread {
    fn open(connections: u32) -> Result<Self> {
        let (let_go, wait) = channel();
        let (announce, opened) = channel();
        let working = workload::begin(move || hold(connections, &announce, &wait))?;
        // An error means that the thread has ended with an error, which joining it returns.
        if opened.recv().is_err() {
            working.end()?;
            anyhow::bail!("a thread that holds sockets has ended");
        }
        Ok(Self { let_go, working })
    }
}

fn hold(connections: u32, opened: &Sender<()>, let_go: &Receiver<()>) -> Result<()> {
    // SAFETY: this thread closes all descriptors that it opens from here on; none is passed to another thread or comes
    // from one.
    unsafe { unshare_unsafe(UnshareFlags::FILES) }
        .context("cannot unshare the descriptor table")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    let address: SocketAddr = listener.local_addr().context("the listener has no address")?;
    let backlog = i32::try_from(CONNECTIONS_IN_A_THREAD)?;
    Socket::from(listener.as_fd().try_clone_to_owned()?).listen(backlog)?;
    let connect = |_| TcpStream::connect(address);
    let connections: Vec<_> =
        (0..connections).map(connect).collect::<Result<_, _>>().context("cannot connect")?;
    if opened.send(()).is_ok() {
        // Nothing is sent: this ends when the other end of the channel is dropped.
        let_go.recv().unwrap_or_default();
    }
    drop(connections);
    Ok(())
}
