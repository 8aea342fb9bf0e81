//! The kernel's answer about a socket (`TCP_INFO`), through `ss`.

use std::{
    net::SocketAddr,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::netns::Netns;

/// Times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    pub(crate) srtt: f64,
    pub(crate) min_rtt: f64,
    pub(crate) rto: f64,
    pub(crate) retransmits: u32,
    /// Bytes of data, including retransmissions.
    pub(crate) bytes_sent: u64,
}

/// Of the socket between these endpoints, when everything that it sent is acknowledged: an outstanding acknowledgment
/// (after 40 ms where the peer delays it) is one more measurement of the round-trip time.
pub(crate) fn settled_info(netns: &Netns, ends: (SocketAddr, SocketAddr)) -> Info {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let said = ask(netns, ends);
        if !said.split_whitespace().any(|word| word.starts_with("unacked:")) {
            return Info::read(&said);
        }
        assert!(Instant::now() < deadline, "the data in flight are not acknowledged: {said}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Of the socket between these ends.
pub(crate) fn info(netns: &Netns, ends: (SocketAddr, SocketAddr)) -> Info {
    Info::read(&ask(netns, ends))
}

/// The output of `ss` about it.
fn ask(netns: &Netns, (local, remote): (SocketAddr, SocketAddr)) -> String {
    let ports = format!("( sport = :{} and dport = :{} )", local.port(), remote.port());
    let output = netns.inside(|| {
        Command::new("ss").args(["-t", "-i", "-n", "-H", "-O", &ports]).output().unwrap()
    });
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), 1, "one socket: {said}");
    said
}

impl Info {
    fn read(said: &str) -> Self {
        let word = |name: &str| said.split_whitespace().find_map(|word| word.strip_prefix(name));
        let milliseconds = |name: &str| {
            let text = word(name).unwrap_or_else(|| panic!("{name} in {said}"));
            text.split('/').next().unwrap().parse::<f64>().unwrap() / 1000.0
        };
        Self {
            srtt: milliseconds("rtt:"),
            min_rtt: milliseconds("minrtt:"),
            rto: milliseconds("rto:"),
            bytes_sent: word("bytes_sent:").map_or(0, |text| text.parse().unwrap()),
            // Not shown if there is none.
            retransmits: word("retrans:")
                .map_or(0, |text| text.split('/').nth(1).unwrap().parse().unwrap()),
        }
    }
}
