//! The form of JSON lines is what `src/sink/schema.json` says, and that says enough to fail.

use jsonschema::Validator;
use serde_json::{Value, json};
use tcpwatch::{
    event::{TcpState, Via},
    probe::Cause,
    track::{Handshake, Reason},
};

use super::recording::{Recording, data, replay};

const SCHEMA: &str = include_str!("../../src/sink/schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

fn validator() -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema())
        .expect("the schema is a JSON Schema")
}

#[test]
fn the_schema_itself_is_one() {
    jsonschema::draft202012::meta::validate(&schema()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_line_of_every_recording_keeps_to_the_schema() {
    let validator = validator();
    let mut lines = 0;
    for entry in std::fs::read_dir(data("")).expect("the data") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in replay(&path, &["--format", "json", "--summary"]).lines() {
            let value: Value = serde_json::from_str(line).expect("a line of JSON");
            let errors: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{}\n{line}\n{}", path.display(), errors.join("\n"));
            lines += 1;
        }
    }
    assert!(lines > 60, "{lines} lines were looked at");
}

#[test]
fn an_inferred_change_keeps_to_the_schema() {
    let mut recording = Recording::read("client_closes_first_v4");
    let lost = recording.position(|record| record.is_change(1, 4));
    recording.records.remove(lost);
    for line in recording.play().lines {
        assert!(validator().is_valid(&line), "{line}");
    }
}

fn state_line() -> Value {
    json!({
        "schema": 1, "event": "state", "time": "2026-11-21T10:00:00.123456789Z", "mono_ns": 5,
        "socket": 4097, "netns": 4_026_531_840_u32, "family": "ipv4",
        "local": { "addr": "192.0.2.1", "port": 80 },
        "remote": { "addr": "192.0.2.2", "port": 40000 },
        "direction": "incoming", "process": { "pid": 7, "comm": "server", "via": "listen" },
        "from": "LAST_ACK", "to": "CLOSED", "in_state_s": 0.000_012, "reason": "normal"
    })
}

fn restart_line() -> Value {
    let mut line = state_line();
    for field in ["from", "to", "reason"] {
        line.as_object_mut().expect("an object").remove(field);
    }
    line["event"] = json!("restart");
    line["state"] = json!("TIME_WAIT");
    line["ends_in_s"] = json!(60.1);
    line
}

fn loss_line() -> Value {
    json!({
        "schema": 1, "event": "loss", "time": "2026-11-21T10:00:00.123456789Z", "mono_ns": 5,
        "cause": "ring_full", "count": 3
    })
}

fn summary_line() -> Value {
    json!({
        "schema": 1, "event": "summary", "time": "2026-11-21T10:00:00.123456789Z", "mono_ns": 5,
        "ran_s": 1.5, "changes": 9, "inferred": 0, "attempted": 12, "received": 11,
        "lost": { "ring_full": 1 }, "out_of_order": 0, "connections": 2, "open": 1
    })
}

#[test]
fn a_good_line_of_each_kind_is_accepted_also_with_a_field_more() {
    let validator = validator();
    for mut line in [state_line(), restart_line(), loss_line(), summary_line()] {
        assert!(validator.is_valid(&line), "{:?}", validator.validate(&line).err());
        line["a_later_field"] = json!({ "may": ["hold", "anything"] });
        assert!(validator.is_valid(&line), "{:?}", validator.validate(&line).err());
    }
}

#[test]
fn a_line_without_one_of_its_fields_is_refused() {
    let validator = validator();
    let optional = ["ends_in_s"];
    for line in [state_line(), restart_line(), loss_line(), summary_line()] {
        for field in line.as_object().expect("an object").keys() {
            let mut poorer = line.clone();
            poorer.as_object_mut().expect("an object").remove(field);
            let optional = optional.contains(&field.as_str());
            assert_eq!(validator.is_valid(&poorer), optional, "without {field}: {poorer}");
        }
    }
}

/// The value at `pointer` becomes `bad`, and the line is refused.
fn refused(validator: &Validator, mut line: Value, pointer: &str, bad: &Value) {
    *line.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} exists")) = bad.clone();
    assert!(!validator.is_valid(&line), "{pointer} = {bad}");
}

#[test]
fn a_state_line_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in [
        ("/schema", json!(2)),
        ("/event", json!("transition")),
        ("/time", json!("2026-11-21T10:00:00Z")),
        ("/time", json!("2026-11-21T19:00:00.123456789+09:00")),
        ("/time", json!("2026-13-21T10:00:00.123456789Z")),
        ("/mono_ns", json!(-1)),
        ("/mono_ns", json!(1.5)),
        ("/socket", json!("4097")),
        ("/socket", json!(0)),
        ("/netns", json!(0)),
        ("/netns", json!(null)),
        ("/family", json!("IPv4")),
        ("/family", json!("ipv6")),
        ("/local/addr", json!("192.0.2.256")),
        ("/local/addr", json!("2001:db8::1")),
        ("/remote/addr", json!("*")),
        ("/local/port", json!(65536)),
        ("/remote/port", json!("80")),
        ("/local", json!({ "addr": "192.0.2.1" })),
        ("/direction", json!("out")),
        ("/process", json!({})),
        ("/process/pid", json!(0)),
        ("/process/comm", json!("a-name-of-sixtee")),
        ("/process/via", json!("accept")),
        ("/from", json!("FIN_WAIT1")),
        ("/from", json!("established")),
        ("/to", json!(7)),
        ("/to", json!("TIME_WAIT")), // which is no end, so that there is no reason
        ("/in_state_s", json!("12us")),
        ("/in_state_s", json!(-0.1)),
        ("/reason", json!("reset by peer")),
        ("/reason", json!(null)),
    ] {
        refused(&validator, state_line(), pointer, &bad);
    }
}

#[test]
fn any_other_line_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in
        [("/state", json!("TIMEWAIT")), ("/ends_in_s", json!(-1)), ("/ends_in_s", json!(null))]
    {
        refused(&validator, restart_line(), pointer, &bad);
    }
    for (pointer, bad) in [("/cause", json!("ring full")), ("/count", json!(0))] {
        refused(&validator, loss_line(), pointer, &bad);
    }
    for (pointer, bad) in [
        ("/ran_s", json!(null)),
        ("/changes", json!(-1)),
        ("/lost", json!({ "ring_full": 0 })),
        ("/lost", json!({ "weather": 1 })),
        ("/lost", json!([])),
    ] {
        refused(&validator, summary_line(), pointer, &bad);
    }
}

#[test]
fn what_is_not_known_is_null_and_a_state_without_a_name_has_its_number() {
    let validator = validator();
    for (pointer, value) in [
        ("/socket", json!(null)),
        ("/direction", json!(null)),
        ("/process", json!(null)),
        ("/in_state_s", json!(null)),
        ("/from", json!("state#13")),
    ] {
        let mut line = state_line();
        *line.pointer_mut(pointer).expect("the field exists") = value;
        assert!(validator.is_valid(&line), "{pointer}: {:?}", validator.validate(&line).err());
    }
}

/// The words a definition of the schema lists.
fn listed(definition: &str) -> Vec<String> {
    let schema = schema();
    let words = schema.pointer(definition).and_then(Value::as_array).expect("a list of words");
    words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

#[test]
fn the_schema_lists_every_state() {
    let names: Vec<&str> = TcpState::ALL.into_iter().filter_map(TcpState::name).collect();
    assert_eq!(listed("/$defs/named_state/enum"), names);
}

/// Every variant, and a function that no longer compiles when there is one more.
macro_rules! all {
    ($type:ident: $($variant:ident),+ $(,)?) => {{
        const fn complete(one: $type) -> $type {
            match one {
                $($type::$variant)|+ => one,
            }
        }
        [$(complete($type::$variant)),+]
    }};
}

#[test]
fn the_schema_lists_every_reason() {
    let reasons = all!(Reason: Normal, Refused, TimedOut, ResetReceived, ResetSent, Unreachable,
        Killed, Timer, Reused, ListenerClosed, NetnsGone, TimeWaitOverflow, Unknown);
    assert_eq!(listed("/$defs/reason/enum"), reasons.map(Reason::word));
}

#[test]
fn the_schema_lists_every_cause_of_a_loss() {
    let causes = all!(Cause: RingFull, Recursion, Unreadable, Undecodable, TableFull, Undecided);
    assert_eq!(listed("/$defs/cause/enum"), causes.map(Cause::word));
}

#[test]
fn the_schema_lists_every_way_to_know_an_owner() {
    let ways = all!(Via: Connect, Listen, Close, Procfs);
    assert_eq!(listed("/$defs/process/properties/via/enum"), ways.map(Via::word));
}

#[test]
fn the_schema_lists_every_unusual_handshake() {
    let handshakes = all!(Handshake: FastOpen, SynCookie);
    assert_eq!(listed("/$defs/handshake/enum"), handshakes.map(Handshake::word));
}
