//! Connections at full speed or at a pace, inside one network namespace; the workload counts what it makes, and the
//! kernel's own counters must agree.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::{Add, AddAssign},
    thread,
    time::{Duration, Instant},
};

use socket2::Socket;

use super::snmp::Snmp;
use crate::harness::{
    netns::Netns,
    sockets::{self, Pair, V4},
};

/// Client ports of an address: enough that none is used again within the second in which the kernel does not allow it
/// (`tcp_tw_reuse_delay`), few enough for all of them to fit into `tcp_max_tw_buckets`.
const PORTS: &str = "20000 39999";
/// Addresses that a thread connects to in turn; each has all client ports.
const HOSTS: [&str; 2] = ["127.0.0.1", "127.0.0.2"];
/// Of this many connections one is refused, and one is reset.
const ODD: u64 = 32;
/// Loopback, a port without a listener.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// Counts of what was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    /// Connections that were closed by both ends, the client first.
    pub(super) whole: u64,
    /// Connections that the client reset.
    pub(super) reset: u64,
    /// Connects that were refused.
    pub(super) refused: u64,
    /// Connects that are never answered; all are abandoned at the end.
    pub(super) unanswered: u64,
}

impl Made {
    /// All connects.
    pub(super) const fn connects(self) -> u64 {
        self.whole + self.reset + self.refused + self.unanswered
    }
}

impl Add for Made {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            whole: self.whole + other.whole,
            reset: self.reset + other.reset,
            refused: self.refused + other.refused,
            unanswered: self.unanswered + other.unanswered,
        }
    }
}

impl AddAssign for Made {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub(super) enum Much {
    /// As much as possible in this time.
    For(Duration),
    /// This many connections per thread.
    Connects(u64),
    /// For this time this many per second, all threads together, if the machine can.
    Paced(Duration, u32),
}

/// Threads that connect, each to a listener of its own.
pub(super) struct Churn<'a> {
    netns: &'a Netns,
    listeners: Vec<TcpListener>,
    before: Snmp,
    /// By listener.
    made: Vec<Made>,
    unanswered: Vec<Socket>,
}

impl<'a> Churn<'a> {
    /// As many threads as there are CPUs. The listeners are older than a tcpwatch that is started afterwards.
    pub(super) fn new(netns: &'a Netns) -> Self {
        let threads = thread::available_parallelism().unwrap().get();
        let listen = |_| netns.inside(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        let listeners: Vec<_> = (0..threads).map(listen).collect();
        netns.set("ipv4.ip_local_port_range", PORTS).unwrap();
        let made = vec![Made::default(); threads];
        Self { netns, listeners, before: Snmp::of(netns), made, unanswered: Vec::new() }
    }

    pub(super) fn listeners(&self) -> u64 {
        self.listeners.len().try_into().unwrap()
    }

    /// The port of the first listener.
    pub(super) fn port(&self) -> u16 {
        self.listeners[0].local_addr().unwrap().port()
    }

    /// The counts for the first listener, without refused connects.
    pub(super) fn made_with_first(&self) -> Made {
        Made { refused: 0, ..self.made[0] }
    }

    /// All counts so far, as the kernel has them.
    pub(super) fn made(&self) -> Made {
        // The last one listens.
        let unanswered = self.unanswered.len().saturating_sub(1).try_into().unwrap();
        let others = Made { unanswered, ..Made::default() };
        let made = self.made.iter().fold(others, |sum, made| sum + *made);
        let counted = Snmp::of(self.netns).since(&self.before);
        assert_eq!(counted.get("Tcp", "ActiveOpens"), made.connects(), "by the kernel: {made:?}");
        assert_eq!(counted.get("Tcp", "PassiveOpens"), made.whole + made.reset, "{made:?}");
        made
    }

    /// Connects, this many times, to a listener that drops every SYN.
    pub(super) fn connect_in_vain(&mut self, count: usize) {
        self.unanswered = self.netns.inside(|| {
            let deaf = TcpListener::bind(V4).unwrap();
            sockets::lose_all(&deaf);
            let address = deaf.local_addr().unwrap();
            let connects = || sockets::start_connect(sockets::unbound(address), address);
            (0..count).map(|_| connects()).chain([deaf.into()]).collect()
        });
    }

    /// Does the work with all threads.
    pub(super) fn run(&mut self, much: Much) {
        let (netns, threads) = (self.netns, self.listeners());
        thread::scope(|scope| {
            for (listener, made) in self.listeners.iter().zip(&mut self.made) {
                scope.spawn(move || {
                    *made += netns.inside(|| work(listener, much, threads));
                });
            }
        });
    }
}

fn work(listener: &TcpListener, much: Much, threads: u64) -> Made {
    let begun = Instant::now();
    let mut made = Made::default();
    for number in 0.. {
        match much {
            Much::For(span) if begun.elapsed() >= span => break,
            Much::Connects(count) if number >= count => break,
            Much::Paced(span, per_second) => {
                let due = Duration::from_secs(number * threads) / per_second;
                if due >= span || begun.elapsed() >= span + span {
                    break;
                }
                keep_pace(due, begun.elapsed());
            }
            _ => {}
        }
        connect(listener, number, &mut made);
    }
    made
}

/// Waits for as long as this thread is ahead of its pace.
fn keep_pace(due: Duration, now: Duration) {
    if let Some(early) = due.checked_sub(now)
        && early > Duration::from_millis(1)
    {
        thread::sleep(early);
    }
}

fn connect(listener: &TcpListener, number: u64, made: &mut Made) {
    let host = HOSTS[usize::try_from(number).unwrap() % HOSTS.len()];
    match number % ODD {
        7 => {
            TcpStream::connect(NOBODY).unwrap_err();
            made.refused += 1;
        }
        odd => {
            let pair = Pair::over_port(listener, host);
            if odd == 15 {
                sockets::reset(pair.client);
                made.reset += 1;
            } else {
                pair.close_client_first();
                made.whole += 1;
            }
        }
    }
}
