//! Sockets that stay in a state: for what they wait, and whether what is said of the future comes true.

mod application;
mod listener;
mod many;
mod peer;
mod window;

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use serde_json::Value;
use tcpwatch_core::timing::Window;

use crate::harness::{
    connections::{about, lasted},
    line::Line,
    lives::{life, seconds},
    netns::Netns,
    sockets::{Pair, V4},
    watch::Watch,
};

type Ends = (SocketAddr, SocketAddr);

fn pair(netns: &Netns) -> (Pair, Ends) {
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let ends = pair.ends();
    (pair, ends)
}

/// Waits for the first line about the socket with these ends, which is in this state for a second.
fn still(watch: &Watch, state: &str, ends: Ends) -> Value {
    let line = watch.wait_for(&format!("a line about {state}"), |lines| {
        about(lines, "still", ends).find(|line| line.state == state).cloned()
    });
    let lasted = line.in_state_s.unwrap_or_else(|| panic!("its beginning was seen: {line}"));
    assert!((1.0..2.0).contains(&lasted), "{line}");
    serde_json::from_str(&line.text).unwrap()
}

/// Some members of a line.
fn members<const N: usize>(line: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| line[name].clone())
}

/// The socket closes when the line has said that the kernel gives up.
fn comes_true(lines: &[Line], line: &Value, ends: Ends) {
    let number = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("no {name}: {line}"));
    let window = Window {
        promise: Duration::from_secs_f64(number("gives_up_in_s")),
        latest: Duration::from_secs_f64(number("gives_up_in_at_most_s")),
    };
    assert_eq!(line["estimate"], true, "{line}");
    let closed = life(lines, ends.0, ends.1).entered("CLOSED").mono_ns;
    lasted(seconds(line["mono_ns"].as_u64().unwrap(), closed), window);
}
