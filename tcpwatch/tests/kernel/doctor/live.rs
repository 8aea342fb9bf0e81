//! `tcpwatch doctor --live`.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use rustix::process::Signal;
use serde_json::Value;

use super::{connects, doctor, host::Host, listeners};
use crate::harness::program;

#[test]
fn a_finding_is_shown_while_it_looks_once_and_the_verdict_ends_it() {
    needs_root!();
    let host = Host::new();
    let mut command = doctor(&["--live", "--netns", &host.here.word()]);
    let (mut child, _stderr) = program::started(&mut command, Stdio::piped());
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let first = connects::refused(&host);
    assert_eq!(lines.next().unwrap()["finding"], "connect_refused");
    // More of the same is nothing new; to another port it is.
    let second = connects::refused(&host);
    let found = lines.next().unwrap();
    assert_eq!(found["finding"], "connect_refused");
    program::signal(child.id(), Signal::INT);
    let rest: Vec<Value> = lines.collect();
    let [verdict] = &rest[..] else { panic!("{rest:#?}") };
    assert_eq!((&verdict["event"], &verdict["findings"]), (&"verdict".into(), &2.into()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    drop((first, second));
}

#[test]
fn what_only_looks_show_is_found_while_nothing_happens() {
    needs_root!();
    let host = Host::new();
    let kept = listeners::not_accepted(&host);
    let mut command = doctor(&["--live", "--netns", &host.here.word()]);
    let (mut child, _stderr) = program::started(&mut command, Stdio::piped());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(found["finding"], "accept_queue", "{found}");
    program::signal(child.id(), Signal::INT);
    assert_eq!(lines.count(), 1, "the verdict");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    drop(kept);
}
