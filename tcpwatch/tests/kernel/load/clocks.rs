//! Clocks with an offset.

use std::{
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tcpwatch_kernel::clock;

use super::run::Run;
use crate::harness::{churn, netns::Netns, program::tcpwatch};

/// Days by which a time namespace moves the clock since boot.
const DAYS: [i64; 2] = [1000, -1];
const SECONDS_OF_A_DAY: i64 = 86_400;

#[test]
fn in_a_time_namespace_moments_are_the_kernels_own() {
    needs_root!();
    for days in DAYS {
        let up = i64::try_from(Duration::from_nanos(clock::now().0).as_secs()).unwrap();
        // The clock may not begin below zero.
        let seconds = (days * SECONDS_OF_A_DAY).max(60 - up);
        let netns = Netns::new();
        let mut command = Command::new("unshare");
        command.args(["--time", "--monotonic", &seconds.to_string(), "--fork", "--kill-child"]);
        command.arg(tcpwatch().get_program());
        command.args(["--format", "json", "--netns", &netns.word(), "--duration", "30"]);
        command.arg("--summary");
        let (before, unix_before) = (clock::now().0, SystemTime::now());
        let watch = Run::command(command);
        churn::connections(&netns, 20);
        watch.wait_count(Duration::from_secs(10), r#""to":"TIME_WAIT""#, 20);
        let (after, unix_after) = (clock::now().0, SystemTime::now());
        let text = watch.text();
        let mut order = Vec::new();
        for line in text.lines().filter(|line| line.contains(r#""event":"state""#)) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let at = line["mono_ns"].as_u64().unwrap();
            assert!((before..=after).contains(&at), "{seconds} s: {at} in {before}..{after}");
            let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
            let time = UNIX_EPOCH
                + Duration::try_from(time.duration_since(jiff::Timestamp::UNIX_EPOCH)).unwrap();
            let near = Duration::from_millis(10);
            assert!(time >= unix_before - near && time <= unix_after + near, "{seconds} s: {line}");
            order.push(at);
        }
        assert!(order.len() > 200 && order.is_sorted(), "{} changes in order", order.len());
    }
}
