//! Recordings of runs that lost records: what was lost, and what was found to be gone, is in them.

use std::io::Write as _;

use serde_json::json;
use tempfile::NamedTempFile;

use super::recording::{Played, Recording};

const NAME: &str = "client_closes_first_v4";
/// Numbers of states in `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const FIN_WAIT_1: u8 = 4;

/// The recording up to the close, and these lines behind it.
fn cut_before_the_close(more: &[serde_json::Value]) -> Played {
    let mut recording = Recording::read(NAME);
    let close = recording.position(|record| record.is_change(ESTABLISHED, FIN_WAIT_1));
    recording.records.truncate(close);
    let mut file: NamedTempFile = recording.file();
    for line in more {
        writeln!(file, "{line}").expect("writable");
    }
    Played::of(file.path(), &[])
}

#[test]
fn a_recorded_loss_is_shown_and_accounted_for() {
    let before = cut_before_the_close(&[]);
    let at = before.lines.last().expect("a line")["mono_ns"].as_u64().expect("a time") + 5_000_000;
    let loss = |count: u64| json!({ "loss": { "at": at, "cause": "ring_full", "count": count } });
    let played = cut_before_the_close(&[loss(7), loss(5)]);
    let counts: Vec<_> =
        played.losses.iter().map(|loss| (&loss["cause"], &loss["count"])).collect();
    let cause = json!("ring_full");
    assert_eq!(counts, [(&cause, &json!(7)), (&cause, &json!(5))]);
    assert_eq!(played.summary["lost"], json!({ "ring_full": 12 }));
    let total = |played: &Played, name: &str| played.summary[name].as_u64();
    assert_eq!(total(&played, "attempted"), total(&before, "attempted").map(|count| count + 12));
    assert_eq!(total(&played, "received"), total(&before, "received"));
}

#[test]
fn sockets_that_the_run_found_to_be_gone_end_in_the_replay() {
    let before = cut_before_the_close(&[]);
    let established = |line: &&serde_json::Value| line["to"] == "ESTABLISHED";
    let last = before.lines.iter().rfind(established).expect("one is open");
    let at = last["mono_ns"].as_u64().expect("a time") + 1_000_000_000;
    let socket = last["socket"].as_u64().expect("a cookie");
    let gone = json!({ "gone": { "at": at, "compared": at, "sockets": [socket], "minis": [] } });
    let played = cut_before_the_close(&[gone]);
    let ends: Vec<_> = played.lines.iter().filter(|line| line["to"] == "CLOSED").collect();
    let [end] = &ends[..] else { panic!("one end: {ends:?}") };
    assert_eq!((&end["socket"], &end["inferred"]), (&json!(socket), &json!(true)));
    assert_eq!(end["mono_ns"].as_u64(), Some(at));
    assert_eq!(played.summary["inferred"], 1);
}
