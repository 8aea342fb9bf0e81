//! A kernel that was started with `lockdown=confidentiality` lets no program read memory by address. Changes of full
//! sockets are read through typed pointers, which it allows.

use std::{fs, net::TcpListener};

use super::{is_ours, run};
use crate::harness::{
    exporter::Exporter,
    netns::Netns,
    sockets::{Pair, V4},
    watch::Watch,
};

const WORDS: [&str; 3] = ["locked down", "[confidentiality]", "lockdown=integrity"];

fn is_locked_down() {
    is_ours();
    let mode = fs::read_to_string("/sys/kernel/security/lockdown").unwrap();
    assert!(mode.contains("[confidentiality]"), "{mode}");
}

#[test]
#[ignore = "needs a kernel that was started with lockdown=confidentiality"]
fn a_kernel_locked_down_for_confidentiality_shows_full_sockets_and_says_why_no_more() {
    is_locked_down();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()).close_client_first());
    watch.wait_count(2, "both ends", |line| line.to == "ESTABLISHED");
    watch.wait_count(1, "the client closes", |line| line.is("ESTABLISHED>FIN_WAIT_1"));
    assert!(watch.stop().summary.lost.is_empty());
    let ended = run(&["--duration", "0.1"]);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    for word in ["hooks 7 of 11", "TIME_WAIT", "resets sent"].iter().chain(&WORDS) {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

#[test]
#[ignore = "needs a kernel that was started with lockdown=confidentiality"]
fn a_kernel_locked_down_for_confidentiality_is_counted_without_mini_sockets() {
    is_locked_down();
    let netns = Netns::new();
    let exporter = Exporter::on(&netns);
    let before = exporter.samples();
    assert_eq!(before.count("probe_attached{probe=\"inet_sock_set_state\"}"), 1);
    assert_eq!(before.count("probe_attached{probe=\"timer_start\"}"), 0);
    netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()).close_client_first());
    exporter.wait_for(&before, "connects_total", 1);
    exporter.wait_for(&before, "accepts_total", 1);
}

#[test]
#[ignore = "needs a kernel that was started with lockdown=confidentiality"]
fn check_says_that_the_kernel_is_locked_down_and_what_to_do() {
    is_locked_down();
    let ended = run(&["check"]);
    print!("{}", ended.stdout);
    assert_eq!(ended.status, Some(0), "the main job can run: {}{}", ended.stdout, ended.stderr);
    for word in WORDS {
        assert!(ended.stdout.contains(word), "{word}: {}", ended.stdout);
    }
    let state = ended.stdout.lines().find(|line| line.starts_with("state changes")).unwrap();
    assert!(state.ends_with("works (tried)"), "{state}");
}
