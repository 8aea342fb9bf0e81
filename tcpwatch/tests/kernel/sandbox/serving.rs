//! An exporter that has given up everything answers as one that keeps everything.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process::{Command, Stdio},
};

use super::connect_once;
use crate::harness::{
    DEADLINE,
    exporter::{Exporter, Samples},
    netns::Netns,
    program::tcpwatch,
};

/// Series that both have: names of metrics with their labels, but for what no two processes share.
fn series(samples: &Samples) -> BTreeSet<String> {
    let series = samples.0.keys();
    series
        .filter(|series| !series.contains("cgroup=") && !series.contains("_bucket{"))
        .cloned()
        .collect()
}

#[test]
fn a_page_has_the_same_series_with_and_without_privileges() {
    needs_root!();
    let netns = Netns::new();
    let word = netns.word();
    let serve = ["serve", "--netns", &word, "--web.listen-address", "127.0.0.1:0", "--sandbox"];
    let start = |mode| Exporter::start(&[&serve[..], &[mode]].concat());
    let (off, strict) = (start("off"), start("strict"));
    let (all, nothing) = (off.samples(), strict.samples());
    assert_eq!(series(&all), series(&nothing));
    for (series, value) in &nothing.0 {
        if series.starts_with("tcpwatch_collector_success") {
            assert!((value - 1.0).abs() < f64::EPSILON, "{series} {value}");
        }
    }
    let before = (all, nothing);
    connect_once(&netns);
    let counted = "connects_total";
    for (exporter, before) in [(off, before.0), (strict, before.1)] {
        exporter.wait_for(&before, counted, 1);
    }
}

#[test]
fn who_waits_for_it_is_told_when_it_serves_on_the_sockets_that_were_passed() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    for name in [path.to_str().unwrap().to_owned(), format!("@tcpwatch-{}", std::process::id())] {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).unwrap(),
            None => SocketAddr::from_pathname(&name).unwrap(),
        };
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_read_timeout(Some(DEADLINE)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let served = listener.local_addr().unwrap();
        // The process that systemd starts has its sockets from 3 on, and its own number in LISTEN_PID.
        let script = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --web.systemd-socket --sandbox strict 3<&0";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(tcpwatch().get_program()).env("NOTIFY_SOCKET", &name);
        let mut child = command
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 64];
        let length = manager.recv(&mut said).unwrap();
        assert_eq!(&said[..length], b"READY=1\n");
        assert!(
            Samples::at(served).get(concat!(
                "build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"}"
            )) > 0.0
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
