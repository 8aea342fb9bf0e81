//! Scenarios that a user writes by `tcpwatch lab format` alone; and the result of a scenario, built in or not, in which
//! something is deliberately wrong.

use std::fs;

use serde_json::Value;
use tcpwatch_lab::explain::FORMAT;

use crate::program::{answers, data, file, lab, list, path, reported, text};

/// The verdicts that do not hold.
fn failed(run: &Value) -> Vec<&str> {
    let verdicts = list(run, "verdicts").iter();
    verdicts
        .filter(|verdict| verdict["holds"] == false)
        .map(|verdict| text(verdict, "what"))
        .collect()
}

/// The complete scenario in the format's text.
fn example() -> String {
    let lines = FORMAT.lines().skip_while(|line| !line.starts_with("    title"));
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
}

/// A beginner's file, with one place replaced.
fn broken(name: &str, good: &str, bad: &str) -> tempfile::NamedTempFile {
    let scenario = fs::read_to_string(data(name)).unwrap();
    assert_eq!(scenario.matches(good).count(), 1, "{good}");
    file(&scenario.replace(good, bad))
}

#[test]
fn what_a_newcomer_wrote_from_the_formats_text_runs_and_holds() {
    needs_root!();
    let files = ["unread-data.toml", "fin-lost-twice.toml"].map(data);
    let [first, second] = files.each_ref().map(|file| file.to_str().unwrap());
    let example = file(&example());
    let all = answers([
        lab(&["run", first]),
        lab(&["run", second]),
        lab(&["run", first, "-6"]),
        lab(&["run", second, "-6"]),
        lab(&["run", path(&example)]),
    ]);
    for answer in all {
        assert_eq!(answer.status, Some(0), "{}{}", answer.stdout, answer.stderr);
        let holds = ["7 of 7 hold", "5 of 5 hold", "2 of 2 hold"];
        assert!(holds.iter().any(|sum| answer.stdout.contains(sum)), "{}", answer.stdout);
    }
}

#[test]
fn a_sysctl_broken_on_purpose_fails_the_verdict_that_it_decides_and_no_other() {
    needs_root!();
    let (answer, report) =
        reported(&["fin-wait-2-of-30-seconds", "--set", "client.tcp_fin_timeout=2"]);
    assert_eq!(answer.status, Some(1), "{answer:?}");
    let run = &list(&report, "runs")[0];
    assert_eq!(failed(run), ["client stays in FIN_WAIT_2"], "{}", answer.stdout);
    let verdict = list(run, "verdicts").iter().find(|verdict| verdict["holds"] == false).unwrap();
    assert_eq!(verdict["expected"], "30 s");
    assert!((2.0..3.0).contains(&verdict["measured_s"].as_f64().unwrap()), "{verdict}");
    assert!(answer.stdout.contains("too early") && answer.stdout.contains("FAIL"));
    let sum =
        format!("{0} of {1} hold", list(run, "verdicts").len() - 1, list(run, "verdicts").len());
    assert!(answer.stdout.contains(&sum), "{sum}: {}", answer.stdout);
}

#[test]
fn a_rule_with_the_wrong_flags_fails_what_it_was_there_for() {
    needs_root!();
    let wrong = example().replace("flags = \"SYN\"", "flags = \"SYN+ACK\"");
    assert_ne!(wrong, example());
    let wrong = file(&wrong);
    let (answer, report) = reported(&[path(&wrong)]);
    assert_eq!(answer.status, Some(1), "{answer:?}");
    let run = &list(&report, "runs")[0];
    let failed = failed(run);
    assert!(!failed.is_empty(), "{}", answer.stdout);
    assert!(failed.iter().all(|what| what.contains("SYN_SENT")), "{failed:?}");
    let warning = &list(run, "warnings")[0];
    assert!(warning.as_str().unwrap().contains("\"no-syn\" never matched"), "{warning}");
}

#[test]
fn a_textbook_number_that_is_wrong_fails_alone() {
    needs_root!();
    let wrong = broken("fin-lost-twice.toml", "timer = \"60s\"", "timer = \"30s\"");
    let (answer, report) = reported(&[path(&wrong)]);
    assert_eq!(answer.status, Some(1), "{answer:?}");
    let failed = failed(&list(&report, "runs")[0]);
    assert_eq!(failed, ["client sets the timer of TIME_WAIT"], "{}", answer.stdout);
    assert!(answer.stdout.contains("too late"), "{}", answer.stdout);
}
