//! Triggers every hook: complete connections over loopback, refused connects, and connects whose answer is dropped, so
//! that SYNs and SYN+ACKs are retransmitted.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, SockFilter, Socket, Type};

/// A classic BPF program that drops every segment: `BPF_RET | BPF_K`, 0 bytes.
const LOSE_ALL: SockFilter = SockFilter::new(0x06, 0, 0, 0);
/// Connects whose answer is dropped.
const UNANSWERED: usize = 250;
/// Complete connections, and refused connects.
const LIVES: usize = 5000;
/// The first retries come after one second.
const RETRIES: Duration = Duration::from_millis(3500);

pub(super) fn run() -> Result<()> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any).context("cannot listen")?;
    let address = listener.local_addr().context("the listener has no address")?;
    for _ in 0..LIVES {
        let client = TcpStream::connect(address).context("cannot connect")?;
        let (server, _) = listener.accept().context("cannot accept")?;
        drop(client);
        drop(server);
    }
    drop(listener);
    let refused = (0..LIVES).filter(|_| TcpStream::connect(address).is_err()).count();
    anyhow::ensure!(refused == LIVES, "{} connects were not refused", LIVES - refused);

    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&any.into())?;
    listener.listen(1024)?;
    let address = listener.local_addr()?;
    let mut waiting = Vec::with_capacity(UNANSWERED);
    for _ in 0..UNANSWERED {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        client.attach_filter(&[LOSE_ALL])?;
        client.set_nonblocking(true)?;
        // The connect is in progress (`EINPROGRESS`).
        drop(client.connect(&address));
        waiting.push(client);
    }
    // The kernel's timers have to run out: their events are what is measured.
    thread::sleep(RETRIES);
    Ok(())
}
