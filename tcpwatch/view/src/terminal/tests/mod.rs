//! Lines for people, from made-up events.

mod fit;
mod lives;
mod segment;
mod still;
mod table;
mod why;

use tcpwatch_core::event::{Cookie, Endpoint, Endpoints, Netns, Process, Via, process::Comm};

use super::*;

const CLOCK: WallClock = WallClock { kernel: KernelTime(0), unix_ns: 0 };

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn at(milliseconds: u64) -> KernelTime {
    KernelTime(0).after(ms(milliseconds))
}

fn ends(local: &str, remote: &str) -> Endpoints {
    let end = |text: &str| {
        let end: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { address: end.ip(), port: end.port() }
    };
    Endpoints { local: end(local), remote: end(remote) }
}

fn subject(direction: Direction) -> Subject {
    Subject {
        socket: Some(Cookie(1)),
        netns: Netns(7),
        ends: ends("192.168.2.105:43068", "192.168.2.100:11111"),
        cgroup: None,
        direction: Some(direction),
        process: Some(Process::named(2410, Comm::from_text("nc"), Via::Connect)),
        inherited: false,
    }
}

/// Without the header.
fn line(tracked: &TrackedEvent, width: usize, cut: bool) -> String {
    let mut out = Vec::new();
    let layout = LogLayout {
        color: false,
        time: TimeStyle::Elapsed,
        page: None,
        width,
        cut,
        started: KernelTime(0),
    };
    Terminal::new(layout).tracked(tracked, &CLOCK, &mut out);
    let text = String::from_utf8(out).unwrap();
    let (_header, line) = text.split_once('\n').expect("a header");
    line.trim_end_matches('\n').to_owned()
}
