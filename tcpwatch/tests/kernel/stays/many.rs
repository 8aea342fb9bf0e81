//! Many sockets, filters, and the recording.

use std::{net::TcpListener, process::Command};

use serde_json::Value;

use super::{pair, still};
use crate::{
    carried,
    harness::{
        connections::turned,
        netns::Netns,
        sockets::{Pair, V4, half_close},
        watch::Watch,
    },
};

#[test]
fn of_many_sockets_of_one_process_twenty_have_lines_and_the_others_are_counted() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--accepted"]);
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let leaks: Vec<_> = netns.inside(|| (0..50).map(|_| Pair::over(&listener)).collect());
    for leak in &leaks {
        half_close(&leak.client);
    }
    let more = watch.wait_for("those that are counted", |lines| {
        let line =
            lines.iter().find(|line| line.event == "still" && line.text.contains("\"more\""))?;
        Some(serde_json::from_str::<Value>(&line.text).unwrap())
    });
    let log = watch.stop();
    let lines = log.lines.iter().filter(|line| line.event == "still" && line.local.is_some());
    assert_eq!((lines.count(), &more["more"]), (20, &Value::from(30)), "{more}");
    assert_eq!((&more["state"], &more["after_s"]), (&"CLOSE_WAIT".into(), &1.0.into()), "{more}");
    assert_eq!(more["process"]["pid"], std::process::id(), "{more}");
}

#[test]
fn filters_hold_for_sockets_that_stay() {
    needs_root!();
    let netns = Netns::new();
    let all = Watch::on(&netns);
    let (first, ends) = pair(&netns);
    let (second, others) = pair(&netns);
    let port = ends.1.port().to_string();
    let watches = [
        vec!["--port", &port],
        vec!["--state", "CLOSE_WAIT"],
        vec!["--pid", "1"],
        vec!["--retries"],
    ]
    .map(|args| Watch::with(&netns, &args));
    half_close(&first.client);
    half_close(&second.client);
    for (state, ends) in [("CLOSE_WAIT", turned(ends)), ("CLOSE_WAIT", turned(others))] {
        still(&all, state, ends);
    }
    still(&watches[0], "FIN_WAIT_2", ends);
    still(&watches[1], "CLOSE_WAIT", turned(others));
    all.stop();
    let [by_port, by_state, by_pid, retries] = watches.map(|watch| {
        let lines = watch.stop().lines.into_iter();
        lines.filter(|line| line.event == "still").collect::<Vec<_>>()
    });
    assert!(by_port.iter().all(|line| line.has_port(ends.1.port())), "{by_port:?}");
    assert!(by_state.iter().all(|line| line.state == "CLOSE_WAIT"), "{by_state:?}");
    assert!(by_pid.is_empty() && retries.is_empty(), "{by_pid:?} {retries:?}");
}

#[test]
fn a_replay_shows_the_same_lines_about_sockets_that_stay() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let netns = Netns::new();
    // What is not shown live is recorded all the same.
    let watch = Watch::with(&netns, &["--record", path.to_str().unwrap()]);
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let leaks: Vec<_> = netns.inside(|| (0..30).map(|_| Pair::over(&listener)).collect());
    for leak in &leaks {
        half_close(&leak.client);
    }
    watch.wait_count(2, "those that are counted", |line| line.text.contains("\"more\""));
    let log = watch.stop();
    let live: Vec<_> =
        log.lines.iter().filter(|line| line.event == "still").map(|line| &line.text).collect();
    let output = Command::new(carried::program())
        .args(["replay", "--format", "json"])
        .arg(&path)
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let replayed: Vec<_> =
        shown.lines().filter(|line| line.contains("\"event\":\"still\"")).collect();
    assert_eq!(replayed, live);
    assert_eq!(live.len(), 2 * (20 + 1), "both ends of each");
}
