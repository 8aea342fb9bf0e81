//! Lives, retransmissions and failures of a recording, each selected by its option.

use serde_json::Value;

use super::recording::{Played, data, replay};

const NAME: &str = "much_goes_wrong";

fn of_kind(lines: &[Value], event: &str) -> Vec<Value> {
    lines.iter().filter(|line| line["event"] == event).cloned().collect()
}

#[test]
fn every_connection_that_is_gone_has_one_life_right_after_its_last_change() {
    let Played { lines, summary, .. } = Played::named(NAME, &[]);
    let lives = of_kind(&lines, "connection");
    let gone = summary["connections"].as_u64().zip(summary["open"].as_u64());
    let gone = gone.map(|(seen, open)| usize::try_from(seen - open).expect("a small number"));
    assert_eq!(Some(lives.len()), gone);
    for pair in lines.windows(2).filter(|pair| pair[1]["event"] == "connection") {
        let [change, life] = pair else { unreachable!("two lines") };
        assert_eq!(change["to"], "CLOSED", "{life}");
        for member in ["socket", "local", "remote", "process", "mono_ns"] {
            assert_eq!(change[member], life[member], "{member}");
        }
    }
}

#[test]
fn a_life_is_as_long_as_its_states_without_time_wait() {
    for life in of_kind(&Played::named(NAME, &[]).lines, "connection") {
        let states = life["states_s"].as_object().expect("times");
        let sum: f64 = states
            .iter()
            .filter(|(state, _)| *state != "TIME_WAIT")
            .map(|(_, time)| time.as_f64().expect("seconds"))
            .sum();
        let lasted = life["lasted_s"].as_f64().expect("its beginning was seen");
        assert!((sum - lasted).abs() < 1e-6, "{sum} {life}");
    }
}

#[test]
fn the_retries_of_a_life_are_those_that_were_told() {
    let lines = Played::named(NAME, &[]).lines;
    let retries = of_kind(&lines, "retransmit");
    for life in of_kind(&lines, "connection") {
        let of_it = |again: &&Value| {
            (&again["local"], &again["remote"]) == (&life["local"], &life["remote"])
        };
        for kind in ["syn", "syn_ack", "fin", "data"] {
            let told = retries.iter().filter(of_it).filter(|again| again["kind"] == kind).count();
            let counted = life["retries"][kind].as_u64().unwrap_or(0);
            assert_eq!(u64::try_from(told).ok(), Some(counted), "{kind}: {life}");
        }
    }
    for kind in ["syn", "syn_ack", "fin", "data"] {
        assert!(retries.iter().any(|again| again["kind"] == kind), "{kind} is in the recording");
    }
}

#[test]
fn an_option_chooses_the_lines_of_its_kind() {
    let whole = Played::named(NAME, &[]).lines;
    let lives = of_kind(&whole, "connection");
    let failed: Vec<Value> = lives.iter().filter(|life| life["failed"] == true).cloned().collect();
    assert!(!failed.is_empty() && failed.len() < lives.len(), "some fail");
    for (args, expected) in [
        (["--lives"].as_slice(), &lives),
        (&["--failed"], &failed),
        (&["--lives", "--failed"], &failed),
        (&["--retries"], &of_kind(&whole, "retransmit")),
    ] {
        let played = Played::named(NAME, args);
        assert_eq!(&played.lines, expected, "{args:?}");
        assert_eq!(played.summary["changes"], expected.len(), "{args:?}");
    }
}

#[test]
fn text_tells_as_much_as_json_but_lives_and_what_a_change_has_told() {
    let whole = Played::named(NAME, &[]).lines;
    let told_by_change = |line: &&Value| line["event"] == "error" && line["state"] == "CLOSED";
    let spared = whole.iter().filter(told_by_change).count();
    let expected = whole.len() - spared - of_kind(&whole, "connection").len();
    let text = replay(&data(&format!("{NAME}.jsonl")), &["--color", "never"]);
    let titles = text.lines().filter(|line| line.starts_with("TIME")).count();
    assert_eq!(text.lines().count() - titles, expected);
}

#[test]
fn a_state_is_chosen_among_changes_retries_and_resets_and_never_among_lives() {
    let lines = Played::named(NAME, &["--state", "SYN_SENT"]).lines;
    for event in ["state", "retransmit", "reset"] {
        assert!(!of_kind(&lines, event).is_empty(), "{event}: {lines:?}");
    }
    assert!(of_kind(&lines, "connection").is_empty(), "{lines:?}");
    for line in lines {
        let states = ["from", "to", "state"].map(|member| &line[member]);
        assert!(states.contains(&&Value::from("SYN_SENT")), "{line}");
    }
}

#[test]
fn a_recording_that_did_not_gather_lives_tells_none() {
    for option in ["--lives", "--failed"] {
        let shown = replay(&data("client_closes_first_v4.jsonl"), &[option, "--format", "json"]);
        assert_eq!(shown, "", "{option}");
    }
}
