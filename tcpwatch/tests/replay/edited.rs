//! Corrupted recordings: lost, late, unknown and broken records.

use serde_json::{Value, json};

use super::recording::{Played, Record, Recording};

const NAME: &str = "client_closes_first_v4";
/// Numbers of states in `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const FIN_WAIT_1: u8 = 4;
const CLOSE_WAIT: u8 = 8;
/// The window in which records are put in order.
const WINDOW_NS: u64 = 1_000_000;

#[test]
fn a_lost_record_becomes_an_inferred_change_and_is_counted() {
    let mut recording = Recording::read(NAME);
    let lost = recording.position(|record| record.is_change(ESTABLISHED, FIN_WAIT_1));
    recording.records.remove(lost);
    let (whole, played) = (Played::named(NAME, &[]), recording.play());

    let inferred: Vec<&Value> =
        played.lines.iter().filter(|line| line.get("inferred").is_some()).collect();
    let [change] = inferred.as_slice() else { panic!("one inferred change: {inferred:?}") };
    assert_eq!(change["inferred"], true);
    assert_eq!((&change["from"], &change["to"]), (&json!("ESTABLISHED"), &json!("FIN_WAIT_1")));
    assert_eq!(change["in_state_s"], Value::Null, "its duration is unknown");
    let next = played.lines.iter().find(|line| line["from"] == "FIN_WAIT_1");
    assert_eq!(next.expect("its end")["in_state_s"], Value::Null, "its beginning is unknown");
    assert_eq!(played.summary["inferred"], 1);
    assert_eq!(played.lines.len(), whole.lines.len(), "no line is missing");
    assert_eq!(sorted(played.changes()), sorted(whole.changes()), "and none is wrong");
}

fn sorted(mut changes: Vec<String>) -> Vec<String> {
    changes.sort();
    changes
}

#[test]
fn records_out_of_order_within_the_window_come_out_in_order() {
    let whole = Played::named(NAME, &[]);
    let mut recording = Recording::read(NAME);
    let before: Vec<u64> = recording.records.iter().map(Record::at_ns).collect();
    let mut start = 0;
    while start < recording.records.len() {
        let first = recording.records[start].at_ns();
        let end = recording.records[start..]
            .iter()
            .position(|record| record.at_ns() - first >= WINDOW_NS)
            .map_or(recording.records.len(), |near| start + near);
        recording.records[start..end].reverse();
        start = end;
    }
    let after: Vec<u64> = recording.records.iter().map(Record::at_ns).collect();
    assert_ne!(before, after, "something was moved");
    assert_eq!(recording.play(), whole);
}

#[test]
fn a_record_that_comes_too_late_is_shown_and_counted() {
    let mut recording = Recording::read(NAME);
    let place = recording.position(|record| record.is_change(ESTABLISHED, CLOSE_WAIT));
    let late = recording.records.remove(place);
    recording.records.push(late);
    let played = recording.play();
    assert_eq!(played.summary["out_of_order"], 1);
    assert!(played.changes().contains(&"ESTABLISHED -> CLOSE_WAIT".to_owned()));
}

/// A recording with a bad record in its middle is shown without that record, which is counted.
fn is_skipped_and_counted(spoil: impl Fn(Record) -> Record) {
    let whole = Played::named(NAME, &[]);
    let mut recording = Recording::read(NAME);
    let middle = recording.records.len() / 2;
    let bad = spoil(recording.records[middle].clone());
    recording.records.insert(middle, bad);
    let played = recording.play();
    assert_eq!(played.lines, whole.lines);
    assert_eq!(played.summary["lost"], json!({ "undecodable": 1 }));
    let total = |played: &Played, name: &str| played.summary[name].as_u64();
    assert_eq!(total(&played, "attempted"), total(&whole, "attempted").map(|count| count + 1));
    assert_eq!(total(&played, "received"), total(&whole, "received"));
    let [loss] = played.losses.as_slice() else { panic!("one loss: {:?}", played.losses) };
    assert_eq!((&loss["cause"], &loss["count"]), (&json!("undecodable"), &json!(1)));
}

#[test]
fn a_record_of_an_unknown_kind_is_skipped_and_counted() {
    is_skipped_and_counted(|record| record.of_kind(99));
}

#[test]
fn a_record_of_a_wrong_length_is_skipped_and_counted() {
    is_skipped_and_counted(|record| record.cut_to(60));
    is_skipped_and_counted(|record| record.cut_to(0));
}
