//! The same sockets by tcpwatch and by `ss -p`: how often the owner is a process that holds the socket, for each
//! way of knowing it.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use super::holders::{self, Holder};
use crate::harness::{line::Line, netns::Netns, poll_within, sockets::V4, watch::Watch};

/// Everywhere, since each server is alone in its namespace.
pub(crate) const PORT: u16 = 8000;
/// How long a server may take to start, and to end what it has.
const LONG: Duration = Duration::from_mins(1);

/// A server and how its clients speak.
pub(crate) struct Talk {
    pub(crate) name: &'static str,
    /// How many connections it has at a time.
    pub(crate) connections: usize,
    /// Has the process that holds a connection receive and send.
    pub(crate) ask: fn(&mut TcpStream),
    /// Has it close first.
    pub(crate) end: fn(TcpStream),
}

/// Waits until no process holds a connection.
fn await_none(netns: &Netns) {
    poll_within(LONG, "the end of all", || netns.inside(holders::look).is_empty().then_some(()));
}

/// Compares both while `start` runs a server. Each second connection is closed by the server first, and of each
/// ten one is never used.
pub(crate) fn compare<T>(talk: &Talk, start: impl FnOnce(&Netns) -> T) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let _server = start(&netns);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    poll_within(LONG, "a server", || netns.inside(|| TcpStream::connect(at)).ok());
    await_none(&netns);
    let is_used = |number: usize| !number.is_multiple_of(10);
    let mut clients = Vec::new();
    for number in 0..talk.connections {
        let mut client = netns.inside(|| TcpStream::connect(at).unwrap());
        if is_used(number) {
            (talk.ask)(&mut client);
        }
        clients.push(client);
    }
    // A connection that is not used is accepted without any answer.
    let enough = 2 * talk.connections;
    let held = poll_within(LONG, "a holder of every socket", || {
        let held = netns.inside(holders::look);
        (held.len() == enough).then_some(held)
    });
    let late = Watch::with(&netns, &["--existing"]);
    for (number, client) in clients.into_iter().enumerate() {
        if is_used(number) && number.is_multiple_of(2) {
            (talk.end)(client);
        } else {
            drop(client);
        }
    }
    await_none(&netns);
    let marker = netns.inside(|| TcpListener::bind(V4).unwrap());
    let port = marker.local_addr().unwrap().port();
    let mut agreement = Agreement::default();
    for watch in [watch, late] {
        watch.wait_count(1, "the marker", |line| line.to == "LISTEN" && line.has_port(port));
        agreement.add(&watch.stop().lines, &held);
    }
    agreement.show(talk, &held);
}

#[derive(Default)]
struct Count {
    agree: usize,
    all: usize,
    example: Option<String>,
}

#[derive(Default)]
struct Agreement(BTreeMap<String, Count>);

impl Agreement {
    /// Every line about a connection that was open when `ss` was asked.
    fn add(&mut self, lines: &[Line], held: &HashMap<u64, Vec<Holder>>) {
        for line in lines.iter().filter(|line| line.remote.is_some()) {
            let Some(holders) = line.socket.and_then(|socket| held.get(&socket)) else { continue };
            let owner = line.process.as_ref();
            let count =
                self.0.entry(owner.map_or("unknown", |owner| &owner.via).to_owned()).or_default();
            count.all += 1;
            if owner.is_some_and(|owner| holders.contains(&(owner.pid, owner.comm.clone()))) {
                count.agree += 1;
            } else if count.example.is_none() {
                count.example = Some(format!("ss: {holders:?}; {line}"));
            }
        }
    }

    /// Guesses are counted; what is known must be right.
    fn show(&self, talk: &Talk, held: &HashMap<u64, Vec<Holder>>) {
        println!("measured: {}, {} sockets with holders", talk.name, held.len());
        for (via, Count { agree, all, .. }) in &self.0 {
            println!("measured: {} {via:<8} {agree:>5} of {all}", talk.name);
        }
        for via in ["close", "io", "fd", "connect"] {
            let count = self.0.get(via).unwrap_or_else(|| panic!("no owner by {via}"));
            assert_eq!(count.agree, count.all, "{via}: {:?}", count.example);
        }
    }
}
