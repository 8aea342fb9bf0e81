//! The log and `--retries` agree.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::harness::{
    line::Line,
    netns::Netns,
    sockets::{V4, lose_acks},
    watch::Watch,
};

/// The parts of a line about a retransmission that do not differ by some microseconds between two programs on one hook.
#[derive(Debug, PartialEq)]
struct Said {
    attempt: Option<u32>,
    direction: Option<String>,
    pid: Option<u32>,
    via: Option<String>,
    expected: Option<String>,
}

fn said(line: &Line) -> Said {
    let owner = line.process.as_ref();
    Said {
        attempt: line.attempt,
        direction: line.direction.clone(),
        pid: owner.map(|owner| owner.pid),
        via: owner.map(|owner| owner.via.clone()),
        expected: line.expected_s.map(|expected| expected.to_string()),
    }
}

/// The last ACK of a handshake is lost.
pub(super) fn retries_shows_the_lines_of_the_log() {
    let netns = Netns::new();
    let (log, retries) = (Watch::on(&netns), Watch::with(&netns, &["--retries"]));
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    lose_acks(&listener);
    let to: SocketAddr = listener.local_addr().unwrap();
    let _client = netns.inside(|| TcpStream::connect(to).unwrap());
    for watch in [&log, &retries] {
        watch.wait_count(2, "SYN+ACK twice", |line| line.event == "retransmit");
    }
    let (log, retries) = (log.stop(), retries.stop());
    let logged: Vec<_> = log.lines.iter().filter(|line| line.event == "retransmit").collect();
    let shown: Vec<_> = retries.lines.iter().collect();
    for (logged, shown) in logged.iter().zip(&shown).take(2) {
        assert_eq!(said(logged), said(shown));
        assert_eq!(said(shown).pid, Some(std::process::id()), "{shown}");
        let times = logged.since_last_s.zip(shown.since_last_s).expect("both know it");
        assert!((times.0 - times.1).abs() < 0.01, "{logged}\n{shown}");
    }
}
