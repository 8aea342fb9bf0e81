//! Hosts that are broken, made of real servers: what `tcpwatch doctor` says of each, and nothing else.

mod backends;
mod listeners;
mod paths;

use std::{
    env, fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    time::Duration,
};

use super::needs_packages;
use crate::harness::{netns::Netns, poll_within, program};

/// A doctor that looks at this network namespace.
fn doctor(netns: &Netns, seconds: &str) -> Child {
    let mut command = program::tcpwatch();
    command.args(["doctor", "--netns", &netns.word(), "-d", seconds]);
    program::started(&mut command, Stdio::piped()).0
}

/// Waits for its verdict: one finding of this kind, whose sentence has these words. With `TCPWATCH_SCREENS` its text
/// is put into that directory.
fn finds(doctor: Child, kind: &str, words: &[&str]) {
    let output = doctor.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if let Some(directory) = env::var_os("TCPWATCH_SCREENS") {
        let path = std::path::Path::new(&directory).join(kind);
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("1 finding; "), "{text}");
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [&[kind], words].concat() {
        assert!(flat.contains(words), "{words:?}:\n{text}");
    }
}

/// Waits until a server listens there.
fn await_server(from: &Netns, at: SocketAddr) {
    poll_within(Duration::from_mins(1), "a server", || from.inside(|| TcpStream::connect(at)).ok());
}

/// An address of the two hosts.
fn at(host: &str, port: u16) -> SocketAddr {
    format!("{host}:{port}").parse().unwrap()
}
