//! The JSON document is valid by `report/schema.json`, and the schema is strict enough to reject errors.

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};
use tcpwatch_core::event::{KernelTime, WallClock};

use super::tales;
use crate::{
    report::read,
    show::{ReportError, ReportFile, TimelineWriter, diagram, document, expected, measured},
    story::Run,
};

const CLOCK: WallClock =
    WallClock { kernel: KernelTime(7_000_000_000), unix_ns: 1_795_000_000_000_000_000 };

fn schema(text: &str) -> Value {
    serde_json::from_str(text).expect("the schema is JSON")
}

fn report_schema() -> Value {
    schema(include_str!("../report/schema.json"))
}

fn validated<T>(look: impl FnOnce(&Validator) -> T) -> T {
    let lines = schema(include_str!("../../../../view/src/schema.json"));
    let registry = Registry::new()
        .add("urn:tcpwatch:line:1", lines)
        .expect("a name")
        .prepare()
        .expect("the schema of lines is one");
    let validator = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .with_registry(&registry)
        .build(&report_schema())
        .expect("the schema is a JSON Schema");
    look(&validator)
}

/// The content of the written file.
fn reported(runs: &[Run]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.json");
    let document = document(runs, &[], &CLOCK);
    ReportFile::open(&path).expect("it can be opened").write(&document).expect("it is written");
    serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("it is JSON")
}

#[test]
fn the_schema_itself_is_one() {
    jsonschema::draft202012::meta::validate(&report_schema())
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_report_of_all_runs_keeps_to_the_schema() {
    let report = reported(&tales::all());
    validated(|validator| {
        let errors = validator.iter_errors(&report);
        let errors: Vec<String> =
            errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
    });
}

#[test]
fn every_moment_is_told_with_its_host_in_the_words_of_the_live_log() {
    let runs = [tales::fin_wait_2()];
    let report = reported(&runs);
    let story = report["runs"][0]["story"].as_array().expect("a story");
    assert_eq!(story.len(), runs[0].story.len());
    let closing = story
        .iter()
        .find(|moment| moment["event"] == "state" && moment["to"] == "FIN_WAIT_1")
        .expect("the client closes");
    assert_eq!(closing["host"], "client");
    assert_eq!(closing["time"], "2026-11-18T11:06:40.213105000Z");
    let fin = story
        .iter()
        .find(|moment| moment["event"] == "segment" && moment["flags"] == "FIN+ACK")
        .expect("a FIN");
    assert_eq!((&fin["direction"], &fin["dropped_by"]), (&json!("out"), &Value::Null));
}

#[test]
fn a_time_is_reported_with_what_was_allowed_in_seconds() {
    let report = reported(&[tales::fin_wait_2()]);
    let verdict = &report["runs"][0]["verdicts"][1];
    assert_eq!(verdict["measured_s"], json!(60.27));
    assert_eq!((&verdict["at_least_s"], &verdict["at_most_s"]), (&json!(60.0), &json!(62.05)));
}

#[test]
fn what_was_dropped_and_what_failed_is_reported() {
    let report = reported(&[tales::failing()]);
    let run = &report["runs"][0];
    assert_eq!(run["rules"][0], json!({ "rule": "own-output", "host": "client", "dropped": 1 }));
    assert_eq!((&run["holds"], &report["holds"]), (&json!(false), &json!(false)));
    assert!(run["failure"].as_str().expect("a failure").contains("seen instead"));
}

#[test]
fn a_run_that_was_made_in_place_of_others_reports_them_and_warns() {
    let [first, second] =
        [(3, 1), (2, 0)].map(|(lost, counted)| Run { lost, counted, ..tales::failing() });
    let run = tales::fin_wait_2().in_place_of(second.in_place_of(first));
    assert_eq!((run.warnings.len(), run.discarded.len()), (1, 2), "{:?}", run.warnings);
    let report = reported(&[run]);
    let discarded = &report["runs"][0]["discarded"];
    let numbers = |at: usize| (&discarded[at]["lost"], &discarded[at]["counted_lost"]);
    assert_eq!((numbers(0), numbers(1)), ((&json!(3), &json!(1)), (&json!(2), &json!(0))));
    assert!(discarded[0]["why"].as_str().expect("text").contains("seen instead"), "{discarded}");
    assert_eq!(report["runs"][0]["netns"], json!({ "client": 1, "server": 2 }));
    assert_eq!(report["runs"][0]["holds"], json!(true), "it holds all the same");
    validated(|validator| {
        assert!(validator.is_valid(&report));
        let mut worse = report.clone();
        worse["runs"][0]["discarded"][0]["lost"] = json!(-1);
        assert!(!validator.is_valid(&worse));
    });
}

#[test]
fn a_document_that_lacks_a_member_or_has_a_wrong_value_is_refused() {
    let report = reported(&[tales::failing()]);
    validated(|validator| {
        for (place, bad) in [
            ("/schema", json!(2)),
            ("/runs/0/started", json!("yesterday")),
            ("/runs/0/profile", json!("slow")),
            ("/runs/0/family", json!("v4")),
            ("/runs/0/sysctls/client/tcp_fin_timeout", json!("60")),
            ("/runs/0/holds", json!(true)),
            ("/runs/0/story/0/host", json!("router")),
            ("/runs/0/story/0/event", json!("weather")),
            ("/runs/0/story/2/to", json!("LISTENING")),
            ("/runs/0/verdicts/0/measured_s", json!("0.498 s")),
            ("/runs/0/rules/0/dropped", json!(-1)),
        ] {
            let mut worse = report.clone();
            *worse.pointer_mut(place).unwrap_or_else(|| panic!("{place} exists")) = bad;
            assert!(!validator.is_valid(&worse), "{place}");
        }
        for member in report["runs"][0].as_object().expect("a run").keys() {
            let mut poorer = report.clone();
            poorer["runs"][0].as_object_mut().expect("a run").remove(member);
            assert!(!validator.is_valid(&poorer), "without {member}");
        }
    });
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing/report.json");
    let error = ReportFile::open(&path).expect_err("there is no such folder");
    assert!(matches!(error, ReportError::Open { .. }));
    let text = error.to_string();
    assert!(text.contains("missing/report.json") && text.contains("No such file"), "{text}");
}

#[test]
fn a_report_that_is_read_back_is_shown_as_the_run_was() {
    let shown = |run: &Run| {
        let mut out = Vec::new();
        let mut timeline =
            TimelineWriter::new(super::PLAIN, &run.scenario, run.family, run.started);
        for moment in &run.story {
            timeline.moment(moment, &mut out);
        }
        diagram(super::PLAIN, run, &mut out);
        for verdict in &run.verdicts {
            let line = format!("{} {} {}\n", verdict.what, expected(verdict), measured(verdict));
            out.extend_from_slice(line.as_bytes());
        }
        String::from_utf8(out).expect("text")
    };
    let runs = tales::all();
    let read = read("r.json", &document(&runs, &[], &CLOCK)).expect("it was written just now");
    assert_eq!(read.runs.len(), runs.len());
    for (read, run) in read.runs.iter().zip(&runs) {
        assert_eq!(shown(read), shown(run));
        assert_eq!(read.holds(), run.holds());
    }
}
