//! The totals at the end add up.

use std::collections::BTreeSet;

use serde_json::Value;

use super::recording::{Played, Recording, data, replay};

const NAMES: [&str; 11] = [
    "both_close_at_once",
    "client_closes_first_v4",
    "client_resets",
    "connect_is_refused",
    "half_open_is_given_up",
    "much_goes_wrong",
    "older_than_the_recording",
    "server_closes_first_v6",
    "server_closes_late",
    "server_closes_soon",
    "shutdown_then_close",
];

#[test]
fn the_totals_are_those_of_the_lines() {
    for name in NAMES {
        let Played { lines, losses, summary } = Played::named(name, &[]);
        assert_eq!(summary["changes"], lines.len(), "{name}");
        let inferred = lines.iter().filter(|line| line["inferred"] == true).count();
        assert_eq!(summary["inferred"], inferred, "{name}");
        assert_eq!(summary["received"], Recording::read(name).records.len(), "{name}");
        assert!(losses.is_empty(), "{name}: {losses:?}");
        assert_eq!(summary["lost"], serde_json::json!({}), "{name}");
        assert_eq!(summary["out_of_order"], 0, "{name}");
    }
}

#[test]
fn connections_are_four_tuples_and_what_has_not_closed_is_open() {
    for name in NAMES {
        let Played { lines, summary, .. } = Played::named(name, &[]);
        let connections = |to_closed: bool| {
            let mut ends = BTreeSet::new();
            // A reset without a socket is not a connection; a connect may not have its port yet.
            let whole = |line: &&Value| {
                line["event"] == "state"
                    && line["remote"]["port"] != 0
                    && line["local"]["port"] != 0
            };
            for line in lines.iter().filter(whole) {
                if !to_closed || line["to"] == "CLOSED" {
                    ends.insert(format!("{} {}", line["local"], line["remote"]));
                }
            }
            ends.len()
        };
        let (seen, closed) = (connections(false), connections(true));
        assert_eq!(summary["connections"], seen, "{name}");
        assert_eq!(summary["open"], seen - closed, "{name}");
    }
}

#[test]
fn what_was_attempted_arrived_or_was_lost() {
    for name in NAMES {
        let Played { summary, .. } = Played::named(name, &[]);
        assert_eq!(summary["attempted"], summary["received"], "{name}: nothing was lost");
    }
}

#[test]
fn a_recording_is_as_long_as_the_time_it_tells_of() {
    for name in NAMES {
        let Played { lines, summary, .. } = Played::named(name, &[]);
        let moment = |line: &Value| line["mono_ns"].as_u64().expect("a moment");
        let (first, last) = (lines.first().expect("a line"), lines.last().expect("a line"));
        assert!(moment(&summary) >= moment(last), "{name}: the summary comes after the last line");
        let shown = std::time::Duration::from_nanos(moment(last) - moment(first)).as_secs_f64();
        let ran = summary["ran_s"].as_f64().expect("a length");
        assert!(ran >= shown, "{name}: {ran} s for lines of {shown} s");
    }
}

#[test]
fn lines_come_in_the_order_of_the_kernels_clock() {
    // A result of a query is shown when it is known; the end of a half-open connection, when no other event has
    // explained it for a while.
    let late = ["server_closes_soon", "much_goes_wrong"];
    for name in NAMES.into_iter().filter(|name| !late.contains(name)) {
        let moments: Vec<u64> = Played::named(name, &[])
            .lines
            .iter()
            .map(|line| line["mono_ns"].as_u64().expect("a moment"))
            .collect();
        assert!(moments.is_sorted(), "{name}: {moments:?}");
    }
}

#[test]
fn totals_are_printed_only_when_asked_for() {
    for name in NAMES {
        let text = replay(&data(&format!("{name}.jsonl")), &["--format", "json"]);
        assert!(!text.contains("\"summary\""), "{name}");
    }
}
