//! Signals at any time during the start.

use std::{
    collections::BTreeSet, os::unix::process::ExitStatusExt as _, process::Stdio, time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    let_pass,
    netns::Netns,
    poll,
    program::{held_programs, loaded_programs, spawn, tcpwatch},
};

/// Rounds, each with a signal this much later than the one before.
const ROUNDS: u32 = 32;
const STEP: Duration = Duration::from_millis(6);

#[test]
fn a_signal_at_any_moment_of_the_start_leaves_nothing_behind() {
    needs_root!();
    let netns = Netns::new();
    let word = netns.word();
    let before = loaded_programs();
    let (mut in_order, mut by_signal) = (0, 0);
    let signals = [Signal::TERM, Signal::INT, Signal::KILL, Signal::HUP];
    for (round, signal) in (0..ROUNDS).zip(signals.into_iter().cycle()) {
        let args: &[&str] = match round % 3 {
            0 => &["serve", "--netns", &word, "--web.listen-address", "127.0.0.1:0"],
            _ => &["--netns", &word, "--format", "json"],
        };
        let mut child = spawn(tcpwatch().args(args), Stdio::null());
        let_pass(STEP * round);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = poll("its end", || child.try_wait().unwrap());
        let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert!(!said.contains("panicked"), "{said}");
        // Before it catches signals there is nothing that an orderly end would remove.
        match (status.code(), status.signal()) {
            (Some(0), None) => in_order += 1,
            (None, Some(number)) if number == signal.as_raw() => by_signal += 1,
            _ => panic!("{signal:?} after {:?}: {status}: {said}", STEP * round),
        }
    }
    println!("measured: {in_order} ended in order, {by_signal} by the signal itself");
    assert!(in_order > 0, "some had begun");
    poll("every program is gone or belongs to another process", || {
        let new: BTreeSet<u32> = loaded_programs().difference(&before).copied().collect();
        new.is_subset(&held_programs()).then_some(())
    });
}
