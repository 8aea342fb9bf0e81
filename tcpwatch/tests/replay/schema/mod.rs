//! Recordings, and lines made by hand, are valid by `view/src/schema.json`, and the schema is strict enough to reject
//! errors.

mod lines;
mod words;

use jsonschema::Validator;
use serde_json::Value;

use super::recording::{Recording, data, replay};

const SCHEMA: &str = include_str!("../../../view/src/schema.json");

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
    assert!(lines > 120, "{lines} lines were looked at");
}

#[test]
fn every_kind_of_line_is_in_the_recordings() {
    let schema = schema();
    let kinds = schema.pointer("/properties/event/enum").and_then(Value::as_array);
    let show = |file| replay(&data(file), &["--format", "json", "--summary"]);
    let shown = ["much_goes_wrong.jsonl", "syn_ack_is_lost_on_a_link.jsonl", "sockets_stay.jsonl"]
        .map(show)
        .concat();
    for kind in kinds.expect("kinds of lines") {
        // Nothing was lost, no timer was moved, nothing existed before, and a list is of the running kernel.
        if !["restart", "loss", "existing", "listed"].contains(&kind.as_str().unwrap_or_default()) {
            assert!(shown.contains(&format!("\"event\":{kind},")), "{kind}");
        }
    }
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
