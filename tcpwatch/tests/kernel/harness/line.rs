//! One line of tcpwatch's JSON, with the fields that the tests use.

use std::{collections::BTreeMap, fmt, net::IpAddr, net::SocketAddr};

use serde::{Deserialize, Deserializer};

#[derive(Clone, Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the JSON")]
pub(crate) struct Line {
    pub(crate) event: String,
    pub(crate) mono_ns: u64,
    #[serde(default)]
    pub(crate) socket: Option<u64>,
    #[serde(default)]
    pub(crate) netns: u32,
    #[serde(default)]
    pub(crate) family: String,
    pub(crate) local: Option<End>,
    pub(crate) remote: Option<End>,
    #[serde(default)]
    pub(crate) direction: Option<String>,
    #[serde(default)]
    pub(crate) process: Option<Owner>,
    pub(crate) cgroup: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) runtime: Option<String>,
    pub(crate) container_name: Option<String>,
    #[serde(default)]
    pub(crate) from: String,
    #[serde(default)]
    pub(crate) to: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) in_state_s: Option<f64>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    pub(crate) late_data: Option<bool>,
    #[serde(default)]
    pub(crate) ends_in_s: Option<f64>,
    #[serde(default)]
    pub(crate) handshake: Option<String>,
    #[serde(default)]
    pub(crate) inferred: bool,
    #[serde(default)]
    pub(crate) cause: String,
    #[serde(default)]
    pub(crate) count: u64,
    pub(crate) listener: Option<Queues>,
    #[serde(default)]
    pub(crate) ack_dropped: bool,
    pub(crate) listener_dropped: Option<u32>,
    pub(crate) listener_dropped_within_s: Option<f64>,
    pub(crate) kind: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) attempts_at_most: Option<u32>,
    pub(crate) since_last_s: Option<f64>,
    pub(crate) expected_s: Option<f64>,
    #[serde(default)]
    pub(crate) early: bool,
    pub(crate) next_in_s: Option<f64>,
    pub(crate) next_in_at_most_s: Option<f64>,
    pub(crate) gives_up_in_s: Option<f64>,
    pub(crate) gives_up_in_at_most_s: Option<f64>,
    pub(crate) why: Option<String>,
    pub(crate) meaning: Option<String>,
    pub(crate) errno: Option<i32>,
    pub(crate) opened: Option<String>,
    pub(crate) opened_mono_ns: Option<u64>,
    pub(crate) lasted_s: Option<f64>,
    pub(crate) handshake_s: Option<f64>,
    #[serde(default)]
    pub(crate) states_s: BTreeMap<String, f64>,
    pub(crate) bytes_sent: Option<u64>,
    pub(crate) bytes_received: Option<u64>,
    pub(crate) srtt_s: Option<f64>,
    pub(crate) min_rtt_s: Option<f64>,
    pub(crate) bytes_undelivered: Option<u64>,
    pub(crate) retransmits: Option<u32>,
    pub(crate) not_sent: Option<Sent>,
    #[serde(default)]
    pub(crate) existing: bool,
    #[serde(default)]
    pub(crate) starts: bool,
    pub(crate) in_state_at_least_s: Option<f64>,
    #[serde(default)]
    pub(crate) retries: BTreeMap<String, u32>,
    pub(crate) closed_by: Option<String>,
    pub(crate) end: Option<String>,
    #[serde(default)]
    pub(crate) failed: bool,
    /// When it was read, by the kernel's clock.
    #[serde(skip)]
    pub(crate) read_ns: u64,
    /// The line itself, unless it is a change.
    #[serde(skip)]
    pub(crate) text: String,
}

/// `null` stands for no socket, hence no state.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The queues of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Queues {
    pub(crate) socket: Option<u64>,
    pub(crate) addr: IpAddr,
    pub(crate) port: u16,
    pub(crate) accept_queue: u32,
    pub(crate) accept_queue_max: u32,
    #[serde(default)]
    pub(crate) accept_queue_full: bool,
    #[serde(default)]
    pub(crate) last_place: bool,
    pub(crate) syn_queue: u32,
    pub(crate) dropped: u32,
}

/// Of a retransmission, whether it is one; of a connection, their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Sent {
    Not(bool),
    NotOften(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct End {
    pub(crate) addr: IpAddr,
    pub(crate) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Owner {
    /// 0 for a process outside of the pid namespace.
    #[serde(deserialize_with = "or_zero")]
    pub(crate) pid: u32,
    pub(crate) comm: String,
    #[serde(default)]
    pub(crate) thread: Option<String>,
    pub(crate) via: String,
}

/// The last line.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) changes: u64,
    pub(crate) inferred: u64,
    pub(crate) attempted: u64,
    pub(crate) received: u64,
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) open: u64,
}

impl Line {
    pub(crate) fn is_state(&self) -> bool {
        self.event == "state"
    }

    /// `FIN_WAIT_2>TIME_WAIT`.
    pub(crate) fn change(&self) -> String {
        format!("{}>{}", self.from, self.to)
    }

    pub(crate) fn is(&self, change: &str) -> bool {
        self.is_state() && self.change() == change
    }

    pub(crate) fn ends(&self) -> (End, End) {
        (self.local.unwrap(), self.remote.unwrap())
    }

    /// Whether it is about a socket with these endpoints, in this order.
    pub(crate) fn joins(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.local == Some(local.into()) && self.remote == Some(remote.into())
    }

    pub(crate) fn has_port(&self, port: u16) -> bool {
        [self.local, self.remote].into_iter().flatten().any(|end| end.port == port)
    }
}

impl Summary {
    /// Everything that the kernel side tried to send arrived or was counted as lost. A run that the kernel skipped was
    /// never counted as an attempt.
    pub(crate) fn balance(&self) {
        let in_queues: u64 = ["ring_full", "output_slow", "unreadable", "undecided"]
            .iter()
            .filter_map(|cause| self.lost.get(*cause))
            .sum();
        assert_eq!(self.attempted, self.received + in_queues, "the account balances: {self:?}");
    }
}

impl From<SocketAddr> for End {
    /// IPv4 in IPv6 counts as IPv4.
    fn from(address: SocketAddr) -> Self {
        Self { addr: address.ip().to_canonical(), port: address.port() }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.text.is_empty() {
            return f.write_str(&self.text);
        }
        let port = |end: Option<End>| end.map_or(0, |end| end.port);
        write!(
            f,
            "{:>14.6} {:<8} {:?} {}>{} {}{} {:?} {:?} ends in {:?} {:?} {}{}",
            std::time::Duration::from_nanos(self.mono_ns).as_secs_f64(),
            self.event,
            self.socket,
            port(self.local),
            port(self.remote),
            if self.from.is_empty() { self.state.clone() } else { self.change() },
            if self.inferred { " (inferred)" } else { "" },
            self.in_state_s,
            self.reason,
            self.ends_in_s,
            self.process,
            self.cause,
            self.count,
        )
    }
}
