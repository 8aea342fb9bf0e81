//! The filters that select among the lines of a recording.

use serde_json::Value;

use super::recording::{Played, data, replay};

const NAME: &str = "client_closes_first_v4";

/// The lines that `args` leave are those of the whole run for which `wanted` is true.
fn choose(args: &[&str], wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let whole = Played::named(NAME, &[]);
    let expected: Vec<Value> = whole.lines.into_iter().filter(wanted).collect();
    assert!(!expected.is_empty(), "{args:?} leave something");
    let chosen = Played::named(NAME, args);
    assert_eq!(chosen.lines, expected, "{args:?}");
    assert_eq!(chosen.summary["changes"], expected.len(), "{args:?}");
    expected
}

#[test]
fn a_state_chooses_the_changes_that_enter_and_leave_it() {
    let lines = choose(&["--state", "close-wait"], |line| {
        line["from"] == "CLOSE_WAIT" || line["to"] == "CLOSE_WAIT"
    });
    assert_eq!(lines.len(), 2);
}

#[test]
fn one_of_several_states_is_enough() {
    choose(&["--state", "LAST_ACK,TIME_WAIT"], |line| {
        [&line["from"], &line["to"]]
            .iter()
            .any(|state| *state == "LAST_ACK" || *state == "TIME_WAIT")
    });
}

#[test]
fn a_name_chooses_the_sockets_of_its_processes() {
    choose(&["--comm", "client"], |line| line["process"]["comm"] == "client");
    choose(&["--comm", "server"], |line| line["process"]["comm"] == "server");
}

#[test]
fn a_pid_chooses_the_sockets_of_this_process() {
    let whole = Played::named(NAME, &[]);
    let pid = whole
        .lines
        .iter()
        .find_map(|line| line["process"]["pid"].as_u64())
        .expect("a socket with an owner");
    choose(&["--pid", &pid.to_string()], |line| line["process"]["pid"] == pid);
}

#[test]
fn all_filters_must_hold() {
    choose(&["--comm", "server", "--state", "LISTEN"], |line| {
        line["process"]["comm"] == "server" && (line["from"] == "LISTEN" || line["to"] == "LISTEN")
    });
}

#[test]
fn nobody_owns_what_a_stranger_is_asked_for() {
    for args in [["--comm", "stranger"], ["--pid", "4194304"]] {
        let played = Played::named(NAME, &args);
        assert!(played.lines.is_empty(), "{args:?}: {:?}", played.lines);
        assert_eq!(played.summary["changes"], 0, "{args:?}");
    }
}

#[test]
fn a_count_ends_the_run_after_so_many_lines() {
    let whole = Played::named(NAME, &[]);
    for count in [1, 3] {
        let played = Played::named(NAME, &["--count", &count.to_string()]);
        assert_eq!(played.lines, whole.lines[..count]);
        assert_eq!(played.summary["changes"], count);
    }
    let chosen = Played::named(NAME, &["--comm", "client", "--count", "2"]);
    assert_eq!(chosen.lines.len(), 2, "the count is of lines that are shown");
    assert!(chosen.lines.iter().all(|line| line["process"]["comm"] == "client"));
}

#[test]
fn text_and_json_choose_alike() {
    let text = replay(&data(&format!("{NAME}.jsonl")), &["--comm", "client", "--color", "never"]);
    let json = Played::named(NAME, &["--comm", "client"]);
    assert_eq!(text.lines().count(), json.lines.len() + 1, "a header and the same lines");
}
