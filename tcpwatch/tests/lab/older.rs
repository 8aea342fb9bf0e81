//! A scenario for which this kernel may be too old: then it is not run, and that is reported.

use std::fs;

use crate::program::{Answer, file, lab, list, path, reported, text};

/// Since 6.5; an older kernel cannot run a scenario that sets it to any value but 0.
const NEEDS_SYN_LINEAR_TIMEOUTS: &str = r#"
title = "a connection"
claim = "A connection is made."
steps = [
    { server = "listen" },
    { client = "connect" },
    { wait = "client", returned = "connect" },
]

[sysctls]
client.tcp_syn_linear_timeouts = 2

[[expect]]
host = "client"
path = ["CLOSED", "SYN_SENT", "ESTABLISHED"]
"#;

#[test]
fn a_scenario_is_run_on_a_kernel_that_has_its_sysctls_and_told_as_not_run_on_an_older_one() {
    needs_root!();
    let is_new_enough = fs::exists("/proc/sys/net/ipv4/tcp_syn_linear_timeouts").unwrap();
    let scenario = file(NEEDS_SYN_LINEAR_TIMEOUTS);
    let (answer, report) = reported(&[path(&scenario), "refused", "--profile", "quick"]);
    assert_eq!(answer.status, Some(0), "{answer:?}");
    let (runs, not_run) = (list(&report, "runs"), list(&report, "not_run"));
    let expected = if is_new_enough { (2, 0) } else { (1, 1) };
    assert_eq!((runs.len(), not_run.len()), expected, "{report}");
    let alone = Answer::of(&mut lab(&["run", path(&scenario)]));
    if is_new_enough {
        assert_eq!(alone.status, Some(0), "{alone:?}");
        return;
    }
    let words = ["no net.ipv4.tcp_syn_linear_timeouts", "since Linux 6.5", "as with 0"];
    alone.refuses(3, &words);
    for word in words {
        assert!(text(&not_run[0], "why").contains(word), "{report}");
        assert!(answer.stdout.contains(word), "{}", answer.stdout);
    }
    assert!(answer.stdout.contains("1 not run"), "{}", answer.stdout);
}
