//! A kernel whose type information is wrong: hooks are attached, and do not see their events. Names of members are
//! exchanged in the type information, for one process. Where the timers' functions cannot be learned at such offsets,
//! their names are used, so that the hooks are attached all the same.

use std::{fs, process::Stdio};

use super::{
    odd::{BTF, where_file},
    program::{Answer, is_root_or_say, tcpwatch},
};

/// The kernel's type information with two names of the same length exchanged.
fn types_with_swapped(one: &str, other: &str) -> Vec<u8> {
    assert_eq!(one.len(), other.len());
    let mut types = fs::read(BTF).unwrap();
    let [at, other_at] = [one, other].map(|name| {
        let bytes = format!("\0{name}\0");
        let at = types.windows(bytes.len()).position(|found| found == bytes.as_bytes());
        at.unwrap_or_else(|| panic!("this kernel has {name}")) + 1
    });
    types[at..at + other.len()].copy_from_slice(other.as_bytes());
    types[other_at..other_at + one.len()].copy_from_slice(one.as_bytes());
    types
}

/// The line of `check` about this feature.
#[track_caller]
fn verdict<'a>(report: &'a Answer, feature: &str) -> &'a str {
    let line = report.stdout.lines().find(|line| line.starts_with(feature));
    let line = line.unwrap_or_else(|| panic!("{feature}: {}", report.stdout));
    line.split_once("  ").unwrap().1.trim_start()
}

#[track_caller]
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no \"{word}\" in: {text}");
    }
}

#[test]
fn check_fails_a_state_that_its_attached_hooks_do_not_see() {
    if !is_root_or_say("a kernel whose TIME_WAIT is invisible") {
        return;
    }
    let types = types_with_swapped("tw_substate", "tw_priority");
    let report = where_file(BTF, &types, &["check"]);
    assert_eq!(report.status, Some(0), "state changes are seen: {report:?}");
    for feature in ["TIME_WAIT", "FIN_WAIT_2 without", "FIN_WAIT_2 ended by", "metrics"] {
        let said = verdict(&report, feature);
        assert!(said.starts_with("FAILS: attached, but did not show: "), "{feature}: {said}");
    }
    for feature in ["state changes", "SYN_RECV", "retransmitted SYN", "resets received"] {
        assert_eq!(verdict(&report, feature), "works (tried)", "{feature}");
    }
}

#[test]
fn a_half_open_connection_that_does_not_show_is_a_failure_though_handshakes_do() {
    if !is_root_or_say("a kernel whose SYN_RECV is invisible") {
        return;
    }
    let types = types_with_swapped("rsk_timer", "saved_syn");
    let report = where_file(BTF, &types, &["check"]);
    let said = verdict(&report, "SYN_RECV");
    assert_eq!(said, "FAILS: attached, but did not show: a half-open connection");
    assert_eq!(verdict(&report, "TIME_WAIT"), "works (tried)");
    assert_says(verdict(&report, "metrics"), &["FAILS", "SYN_RECV"]);
    let log = where_file(BTF, &types, &["--duration", "0.1"]);
    assert_says(&log.stderr, &["SYN_RECV is not visible on this kernel"]);
}

#[test]
fn the_first_lines_of_the_log_name_the_states_that_are_invisible() {
    if !is_root_or_say("a kernel whose TIME_WAIT is invisible") {
        return;
    }
    let types = types_with_swapped("tw_substate", "tw_priority");
    let log = where_file(BTF, &types, &["--duration", "0.1"]);
    assert_eq!(log.status, Some(0), "{log:?}");
    assert_says(&log.stderr, &["of 11, which do not see TIME_WAIT, FIN_WAIT_2 "]);
    for state in ["TIME_WAIT", "FIN_WAIT_2"] {
        assert_says(&log.stderr, &[&format!("tcpwatch: {state} is not visible on this kernel: ")]);
    }
    assert!(!log.stderr.contains("SYN_RECV"), "that one is visible: {}", log.stderr);
}

#[test]
fn the_connections_that_tcpwatch_makes_at_its_start_are_not_in_its_log() {
    if !is_root_or_say("the live log") {
        return;
    }
    let log = tcpwatch(&["--format", "json", "--duration", "0.5"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The process that connects, listens or accepts is in the line.
    let own = format!("\"pid\":{},", log.id());
    let ended = log.wait_with_output().unwrap();
    let [lines, said] = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_says(&said, &["hooks 11 of 11 "]);
    assert!(!lines.contains(&own), "{lines}");
}
