//! The kernel's own counters of a network namespace, without any program: `/proc/net/snmp`, `/proc/net/netstat` and
//! `/proc/net/sockstat`.

use std::{collections::BTreeMap, fs};

use crate::harness::netns::Netns;

/// The kernel's counters, by protocol and name.
#[derive(Clone, Debug)]
pub(super) struct Snmp(BTreeMap<(String, String), u64>);

impl Snmp {
    pub(super) fn of(netns: &Netns) -> Self {
        let text = netns.inside(|| ["snmp", "netstat"].map(read).concat());
        let lines: Vec<_> = text.lines().collect();
        let counters = lines.chunks(2).flat_map(|pair| {
            let [names, values] = pair else { panic!("names and values: {pair:?}") };
            let protocol = names.split_once(':').unwrap().0;
            let pairs = names.split_whitespace().zip(values.split_whitespace()).skip(1);
            // `MaxConn` may be -1.
            pairs.map(|(name, value)| {
                ((protocol.to_owned(), name.to_owned()), value.parse().unwrap_or_default())
            })
        });
        Self(counters.collect())
    }

    /// The increments since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().map(|(name, value)| (name.clone(), value - before.0[name]));
        Self(grown.collect())
    }

    pub(super) fn get(&self, protocol: &str, name: &str) -> u64 {
        self.0[&(protocol.to_owned(), name.to_owned())]
    }
}

/// Sockets in TIME_WAIT now.
pub(super) fn time_wait(netns: &Netns) -> u64 {
    let text = netns.inside(|| read("sockstat"));
    let words: Vec<_> =
        text.lines().find(|line| line.starts_with("TCP:")).unwrap().split(' ').collect();
    let place = words.iter().position(|word| *word == "tw").unwrap();
    words[place + 1].parse().unwrap()
}

/// The same, of those that are connected to this port.
pub(super) fn time_wait_to(netns: &Netns, port: u16) -> u64 {
    let text = netns.inside(|| read("tcp"));
    let (remote, state) = (format!(":{port:04X}"), "06");
    let is_one = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words[2].ends_with(&remote) && words[3] == state
    };
    text.lines().skip(1).filter(is_one).count().try_into().unwrap()
}

fn read(name: &str) -> String {
    fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap()
}
