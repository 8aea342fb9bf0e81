//! Mistakes of users: each has its own message and the right exit status.

use std::fs;

use crate::program::{Answer, answers, file, lab, list, path, reported};

/// A scenario that holds, with gaps for mistakes.
const GOOD: &str = r#"title = "two shake hands"
claim = "A connection comes to ESTABLISHED."
steps = [
    { server = "listen" },
    { client = "connect" },
    { wait = "client", returned = "connect" },
]

[[expect]]
host = "client"
state = "ESTABLISHED"
"#;

#[test]
fn an_unknown_scenario_is_answered_with_the_nearest() {
    for command in ["run", "show"] {
        let answer = Answer::of(&mut lab(&[command, "fin-wait2"]));
        answer.refuses(2, &["no scenario \"fin-wait2\"", "did you mean fin-wait-2?"]);
        let answer = Answer::of(&mut lab(&[command, "xyzzy"]));
        answer.refuses(2, &["no scenario \"xyzzy\"", "tcpwatch lab list"]);
    }
}

#[test]
fn nothing_to_run_and_too_much_to_run_are_refused() {
    Answer::of(&mut lab(&["run"])).refuses(2, &["<NAME|FILE>", "Usage"]);
    Answer::of(&mut lab(&["run", "--all", "listen"])).refuses(2, &["--all", "cannot be used with"]);
    Answer::of(&mut lab(&["run", "listen", "--jobs", "0"])).refuses(2, &["--jobs", "'0'"]);
    let answer = Answer::of(&mut lab(&["run", "listen", "--set", "router.tcp_sack=0"]));
    answer.refuses(2, &["--set", "the hosts are client and server"]);
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_line_and_what_to_write() {
    for (good, bad, words) in [
        ("ESTABLISHED.\"", "ESTABLISHED.", &["line 2", "no TOML"][..]),
        ("\n\n[[", "\nteached = \"\"\n\n[[", &["line 8", "`teached`", "`teaches`"]),
        ("\"listen\"", "\"lissen\"", &["line 4", "\"lissen\" is not known", "`listen`"]),
        ("\"connect\" }", "\"accept\" }", &["line 5", "needs a socket that listens", "put `{"]),
        ("= \"ESTABLISHED\"", "= \"ESTABLISH\"", &["line 11", "not a TCP state", "`ESTABLISHED`"]),
        (
            "returned = \"connect\"",
            "returned = \"connect\", within = \"tcp_fin_timout\"",
            &["line 6", "`within`", "`tcp_fin_timout` is not known"],
        ),
    ] {
        assert!(GOOD.contains(good), "{good}");
        let file = file(&GOOD.replacen(good, bad, 1));
        for command in ["run", "show"] {
            let answer = Answer::of(&mut lab(&[command, path(&file)]));
            answer.refuses(2, words);
            answer.refuses(2, &[path(&file)]);
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_told_by_name() {
    let answer = Answer::of(&mut lab(&["run", "./no-such.toml"]));
    answer.refuses(1, &["cannot read ./no-such.toml", "No such file"]);
}

#[test]
fn a_sysctl_that_is_none_and_a_value_that_is_none_are_told_by_name() {
    needs_root!();
    let [name, value, set] = [
        "[sysctls]\nserver.tcp_fin_timeot = 3\n",
        "[sysctls]\nserver.tcp_fin_timeout = \"soon\"\n",
        "",
    ]
    .map(|more| file(&format!("{GOOD}{more}")));
    let [name, value, set] = answers([
        lab(&["run", path(&name)]),
        lab(&["run", path(&value)]),
        lab(&["run", path(&set), "--set", "client.tcp_fin_timeot=3"]),
    ]);
    name.refuses(1, &["the server's", "tcp_fin_timeot", "no such sysctl", "misspelt"]);
    value.refuses(1, &["the server's", "tcp_fin_timeout", "\"soon\"", "refuses this value"]);
    set.refuses(1, &["the client's", "tcp_fin_timeot", "no such sysctl"]);
}

#[test]
fn a_rule_that_dropped_nothing_is_warned_of_in_table_and_report() {
    needs_root!();
    let rule = "\n[[rule]]\nname = \"no-rst\"\non = \"server\"\nflags = \"RST\"\n";
    for (more, words) in [
        ("from_start = true\n", "rule \"no-rst\" never matched"),
        ("", "rule \"no-rst\" was never set"),
    ] {
        let file = file(&format!("{GOOD}{rule}{more}"));
        let (answer, report) = reported(&[path(&file)]);
        assert_eq!(answer.status, Some(0), "a warning is no failure: {answer:?}");
        assert!(answer.stdout.contains(&format!("warning: {words}")), "{}", answer.stdout);
        let warnings = list(&list(&report, "runs")[0], "warnings");
        assert!(warnings[0].as_str().unwrap().contains(words), "{warnings:?}");
    }
    let (answer, report) = reported(&["refused"]);
    assert!(!answer.stdout.contains("warning"), "{}", answer.stdout);
    assert!(list(&list(&report, "runs")[0], "warnings").is_empty());
}

#[test]
fn a_wait_that_is_too_long_says_what_for_and_what_was_seen_instead() {
    needs_root!();
    let never = GOOD.replace("returned = \"connect\"", "state = \"TIME_WAIT\"");
    let rule = "\n[[rule]]\nname = \"no-syn\"\non = \"server\"\nflags = \"SYN\"\n";
    let dropped = format!("{GOOD}{rule}from_start = true\n");
    let [never, dropped] = [never, dropped].map(|text| file(&text));
    let [never, dropped] = answers([&never, &dropped].map(|file| lab(&["run", path(file)])));
    for (answer, words) in [
        (
            never,
            "line 6: waited 10s for TIME_WAIT on the client; instead, client is in ESTABLISHED; server is in ESTABLISHED, LISTEN; the last call to return was client: connect(3) = 0",
        ),
        (
            dropped,
            "line 6: waited 10s for the client's connect() on \"connection\" to return; instead, client is in SYN_SENT; server is in LISTEN; client's connect() on connection has not returned",
        ),
    ] {
        assert_eq!(answer.status, Some(1), "{answer:?}");
        let said = answer.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(&format!("failed: {words}")), "{}", answer.stdout);
        assert!(said.contains("but the run failed"), "{said}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    for place in ["/no-such-folder/report.json", "/tmp"] {
        let answer = Answer::of(&mut lab(&["run", "refused", "--report", place]));
        answer.refuses(1, &["cannot write the report", place, "name a file"]);
        assert_eq!(answer.stdout, "", "{answer:?}");
        assert_eq!(answer.stderr.matches("(os error").count(), 1, "{}", answer.stderr);
    }
}

#[test]
fn one_job_at_a_time_runs_one_after_the_other() {
    needs_root!();
    let names = ["refused", "listen", "reset-by-the-client"];
    let (answer, report) =
        reported(&[names.as_slice(), &["--jobs", "1", "--profile", "quick"]].concat());
    assert_eq!(answer.status, Some(0), "{answer:?}");
    let runs = list(&report, "runs");
    assert_eq!(runs.iter().map(|run| &run["scenario"]).collect::<Vec<_>>(), names);
    let times = runs.iter().flat_map(|run| [&run["started_mono_ns"], &run["ended_mono_ns"]]);
    let times: Vec<_> = times.map(|time| time.as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn what_takes_no_privilege_works_without() {
    let format = Answer::of(&mut lab(&["format"]));
    let written = fs::read_to_string("lab/src/scenarios/README.md").unwrap();
    assert_eq!((format.status, format.stdout), (Some(0), written));
}
