//! A number comes in; so many TCP sockets live until they are let go.
//!
//! A process may have fewer descriptors than this needs, so that each thread that holds sockets has a
//! descriptor table of its own; and the server's end of a connection waits to be accepted, which takes
//! none.

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

/// Of each thread, below the 20,000 descriptors that are a usual limit.
const CONNECTIONS_IN_A_THREAD: u32 = 15_000;
/// Connections that may wait to be accepted, of this network namespace.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";

/// Sockets that live.
#[derive(Debug)]
pub(super) struct Held {
    holders: Vec<Holder>,
}

#[derive(Debug)]
struct Holder {
    let_go: Sender<()>,
    working: Working<()>,
}

impl Held {
    /// Returns when all are there, in the network namespace of this thread: a listening one, and both
    /// ends of connections.
    pub(super) fn open(sockets: u32) -> Result<Self> {
        fs::write(SOMAXCONN, CONNECTIONS_IN_A_THREAD.to_string())
            .with_context(|| format!("cannot set {SOMAXCONN}"))?;
        let mut holders = Vec::new();
        let mut left = sockets / 2;
        loop {
            let connections = left.min(CONNECTIONS_IN_A_THREAD);
            holders.push(Holder::open(connections)?);
            left -= connections;
            if left == 0 {
                return Ok(Self { holders });
            }
        }
    }

    /// Returns when none is there any more.
    pub(super) fn close(self) -> Result<()> {
        self.holders.into_iter().try_for_each(|holder| {
            drop(holder.let_go);
            holder.working.end()
        })
    }
}

impl Holder {
    fn open(connections: u32) -> Result<Self> {
        let (let_go, wait) = channel();
        let (announce, opened) = channel();
        let working = workload::begin(move || hold(connections, &announce, &wait))?;
        // An error means that the thread has one to tell.
        if opened.recv().is_err() {
            working.end()?;
            anyhow::bail!("a thread that holds sockets has ended");
        }
        Ok(Self { let_go, working })
    }
}

fn hold(connections: u32, opened: &Sender<()>, let_go: &Receiver<()>) -> Result<()> {
    // SAFETY: what this thread opens from here on it also closes; no descriptor goes from it to another
    // thread or comes from one.
    unsafe { unshare_unsafe(UnshareFlags::FILES) }
        .context("cannot have a descriptor table of its own")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    let address: SocketAddr = listener.local_addr().context("the listener has no address")?;
    let backlog = i32::try_from(CONNECTIONS_IN_A_THREAD)?;
    Socket::from(listener.as_fd().try_clone_to_owned()?).listen(backlog)?;
    let connect = |_| TcpStream::connect(address);
    let connections: Vec<_> =
        (0..connections).map(connect).collect::<Result<_, _>>().context("cannot connect")?;
    if opened.send(()).is_ok() {
        // Nothing is ever sent: it ends when the other end is dropped.
        let_go.recv().unwrap_or_default();
    }
    drop(connections);
    Ok(())
}
