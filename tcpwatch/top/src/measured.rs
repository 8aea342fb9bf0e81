//! What the kernel says of a socket when it is asked for it: its round-trip time, bytes and queues.

use std::{collections::BTreeMap, time::Duration};

use tcpwatch_core::{
    event::{KernelTime, TcpState, Waiter},
    timing::wheel::TickRate,
    track::{SocketNow, sockets_now},
};
use tcpwatch_view::{grouped, terminal::Humane};

/// An answer about one socket.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What it waits for, and its queues.
    pub now: SocketNow,
    /// Its smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Bytes of data that were sent, each counted once.
    pub sent: Option<u64>,
    /// Bytes of data that came.
    pub received: Option<u64>,
}

impl Measured {
    /// What an answer says.
    #[must_use]
    pub fn of(waiter: &Waiter, rate: TickRate) -> Option<Self> {
        let now = sockets_now(&[*waiter], &BTreeMap::new(), rate).pop()?;
        let tcp = waiter.tcp;
        // The kernel counts the peer's FIN as a byte (`tcp_rcv_nxt_update`, `net/ipv4/tcp_input.c`).
        let has_fin = matches!(
            now.state,
            TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait
        );
        let fin = u64::from(has_fin);
        Some(Self {
            now,
            rtt: tcp.and_then(|tcp| tcp.rtt),
            sent: tcp.and_then(|tcp| tcp.bytes_sent),
            received: tcp.and_then(|tcp| tcp.bytes_received).map(|it| it.saturating_sub(fin)),
        })
    }

    /// In words, a line for each; and when that was, if it was a while ago.
    #[must_use]
    pub fn lines(&self, at: KernelTime) -> Vec<String> {
        let wait = &self.now.wait;
        let bytes = |count: Option<u64>, what| Some(format!("{what} {}", grouped(count?)));
        let some =
            |count: Option<u32>, what| bytes(count.filter(|count| *count > 0).map(u64::from), what);
        let sent = bytes(self.sent, "sent").map(|text| format!("{text} bytes"));
        let rtt = self.rtt.map(|rtt| format!("RTT {}", Humane(Some(rtt))));
        let queue = self.now.accept_queue;
        let queue = queue.map(|it| format!("accept queue {} of {}", it.waiting, it.most));
        let groups = [
            vec![rtt, some(wait.window, "window"), queue],
            vec![sent, bytes(self.received, "received")],
            vec![
                some(wait.unsent, "unsent"),
                some(wait.unacknowledged, "unacknowledged"),
                some(wait.unread, "unread"),
            ],
        ];
        let joined = |group: Vec<Option<String>>| {
            let words: Vec<String> = group.into_iter().flatten().collect();
            (!words.is_empty()).then(|| words.join(", "))
        };
        let mut lines: Vec<String> = groups.into_iter().filter_map(joined).collect();
        let ago = at.since(self.now.at);
        if ago >= Duration::from_secs(3) && !lines.is_empty() {
            lines.push(format!("({} ago)", Humane(Some(ago))));
        }
        lines
    }
}
