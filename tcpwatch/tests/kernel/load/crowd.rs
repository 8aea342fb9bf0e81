//! Ten of them at once.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::run::Run;
use crate::harness::{churn, exporter::Exporter, netns::Netns, program::tcpwatch};

const CONNECTIONS: usize = 300;

/// Every change, by socket: all must report the same. Each has its own timestamps.
fn changes(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["event"] == "state")
        .map(|line| format!("{} {} {}", line["socket"], line["from"], line["to"]))
        .collect()
}

fn runs_well(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
}

#[test]
fn ten_at_once_tell_the_same_and_none_disturbs_another() {
    needs_root!();
    let netns = Netns::new();
    let word = netns.word();
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/much_goes_wrong.jsonl");
    let (watches, exporters) = thread::scope(|scope| {
        let watches: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| Run::start(&["--netns", &word, "--buffer", "16M"])))
            .collect();
        let exporters: Vec<_> = (0..2).map(|_| scope.spawn(|| Exporter::on(&netns))).collect();
        scope.spawn(|| runs_well(tcpwatch().args(["lab", "list"])));
        scope.spawn(|| runs_well(tcpwatch().arg("check")));
        for format in ["text", "json"] {
            scope.spawn(move || {
                runs_well(tcpwatch().args(["replay", recording, "--format", format]));
            });
        }
        let watches: Vec<_> = watches.into_iter().map(|one| one.join().unwrap()).collect();
        let exporters: Vec<_> = exporters.into_iter().map(|one| one.join().unwrap()).collect();
        (watches, exporters)
    });
    let started: Vec<Duration> = watches.iter().map(|watch| watch.started_in).collect();
    println!("measured: attached after {started:?}, ten at once");
    let first: Vec<_> = exporters.iter().map(Exporter::samples).collect();
    churn::connections(&netns, CONNECTIONS);
    for watch in &watches {
        let words = r#""to":"TIME_WAIT""#;
        watch.wait_count(Duration::from_secs(30), words, CONNECTIONS);
    }
    let counted: Vec<_> = exporters
        .iter()
        .zip(&first)
        .map(|(exporter, first)| {
            let all = i64::try_from(CONNECTIONS).unwrap();
            exporter.wait_for(first, "connects_total", all).changes()
        })
        .collect();
    assert_eq!(counted[0], counted[1], "both count the same");
    let mut told = Vec::new();
    for watch in watches {
        let ended = watch.stop();
        assert!(ended.summary.lost.is_empty(), "{:?}", ended.summary);
        told.push(changes(&ended.text));
    }
    assert!(told[0].len() > 8 * CONNECTIONS, "{} changes", told[0].len());
    for other in &told[1..] {
        let differ: Vec<_> = told[0].symmetric_difference(other).take(5).collect();
        assert!(differ.is_empty(), "{differ:?}");
    }
}
