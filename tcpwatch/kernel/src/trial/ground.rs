//! Where connections of tcpwatch's own are made: a network namespace with nothing but loopback.

use std::{
    fs::{self, File},
    io::{self, Error},
    thread,
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkFlags, LinkMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, unshare};

use tcpwatch_core::event::Netns;

use crate::{
    netns::{EnterError, enter},
    source::snapshot::namespaces,
};

/// `ifindex` of the loopback link in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// There is no network namespace for the connections.
#[derive(Debug, thiserror::Error)]
pub enum NoGround {
    /// No thread can be started for it.
    #[error("no thread can be started for it: {0}")]
    Thread(#[source] Error),
    /// `unshare(CLONE_NEWNET)` was refused.
    #[error("no network namespace can be made for it: {0}")]
    Namespace(#[source] Error),
    /// There is a place, but nothing to make connections with.
    #[error("its sockets cannot be made: {0}")]
    Sockets(#[source] Error),
    /// It was made, but nothing passes its loopback link.
    #[error("the loopback link of its network namespace cannot be brought up: {0}")]
    Loopback(#[source] Error),
    /// It was made, but cannot be entered again.
    #[error("its network namespace cannot be entered: {0}")]
    Enter(#[from] EnterError),
}

/// A network namespace that nothing else is in. Dropped, it ends, with whatever is left in it.
#[derive(Debug)]
pub struct Ground {
    pub(crate) netns: Netns,
    way: File,
}

impl Ground {
    /// Makes it.
    ///
    /// # Errors
    /// As [`leave`], or if no thread or file can be had for it.
    pub fn make() -> Result<Self, NoGround> {
        let go = || {
            let netns = leave()?;
            let way = File::open(namespaces::OWN).map_err(NoGround::Namespace)?;
            Ok(Self { netns, way })
        };
        let thread = thread::Builder::new().name("ground".to_owned()).spawn(go);
        let made = thread.map_err(NoGround::Thread)?.join();
        made.unwrap_or_else(|_| Err(NoGround::Thread(Error::other("it panicked"))))
    }

    /// Does `work` there, in a thread of its own.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or if no thread can be had.
    pub fn on<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NoGround> {
        Ok(enter(&self.way, work)?)
    }
}

/// Moves the calling thread into a new network namespace with nothing but loopback.
///
/// # Errors
/// Without `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, or where a limit or a filter of system calls is in the
/// way. The thread is of no more use then.
pub fn leave() -> Result<Netns, NoGround> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|number| NoGround::Namespace(number.into()))?;
    bring_up_loopback().map_err(NoGround::Loopback)?;
    namespaces::own().map_err(NoGround::Namespace)
}

fn bring_up_loopback() -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = LOOPBACK;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let mut request = NetlinkMessage::new(header, RouteNetlinkMessage::SetLink(link).into());
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(refusal) if refusal.code.is_some() => Err(refusal.to_io()),
        _ => Ok(()),
    }
}

/// Has the calling thread's network namespace no connection any more, of any kind? Half-open ones are
/// not counted (`sockstat_seq_show`, `net/ipv4/proc.c`).
///
/// # Errors
/// If `/proc` cannot be read.
pub fn is_clear() -> io::Result<bool> {
    let statistics = fs::read_to_string("/proc/thread-self/net/sockstat")?;
    Ok(no_tcp(&statistics))
}

/// A line is `TCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0`; orphans are those of all namespaces.
fn no_tcp(statistics: &str) -> bool {
    let line = statistics.lines().find_map(|line| line.strip_prefix("TCP:"));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    ["inuse", "tw"]
        .iter()
        .all(|name| words.array_windows().any(|[word, count]| word == name && *count == "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_clear_without_sockets_and_timewait_sockets() {
        let line = |inuse: u32, tw: u32| {
            format!(
                "sockets: used 2\nTCP: inuse {inuse} orphan 7 tw {tw} alloc 9 mem 1\nUDP: inuse 0\n"
            )
        };
        assert!(no_tcp(&line(0, 0)));
        assert!(!no_tcp(&line(1, 0)));
        assert!(!no_tcp(&line(0, 1)));
        assert!(!no_tcp(""), "nothing is known");
    }
}
