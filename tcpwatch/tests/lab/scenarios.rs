//! The built-in scenarios: all hold over both families, and together they show every state in the live log and in
//! `sock_diag`.

use std::fmt::Write as _;

use jsonschema::Registry;
use serde_json::Value;
use tcpwatch_lab::catalog;

use crate::{
    judged,
    program::{list, text},
};

/// Whether the live log, and whether `sock_diag`, saw `host` in `state`.
fn seen(run: &Value, host: &str, state: &str) -> (bool, bool) {
    let of_host = || list(run, "story").iter().filter(|moment| moment["host"] == host);
    let told = of_host().any(|moment| moment["event"] == "state" && moment["to"] == state);
    let mut looks = of_host().filter(|moment| moment["event"] == "witness");
    let looked = looks.any(|look| list(look, "states").iter().any(|other| other == state));
    (told, looked)
}

/// The verdicts of a run and its warnings.
pub(crate) fn verdicts(run: &Value) -> String {
    let mut told = format!("{} over {}\n", text(run, "scenario"), text(run, "family"));
    for verdict in list(run, "verdicts") {
        let holds = if verdict["holds"] == true { "pass" } else { "FAIL" };
        let [what, expected, measured] =
            ["what", "expected", "measured"].map(|key| text(verdict, key));
        writeln!(told, "  {holds}  {what}: {expected}; measured: {measured}").unwrap();
    }
    writeln!(told, "  {}, {}", run["failure"], run["warnings"]).unwrap();
    told
}

fn assert_keeps_to_its_schema(report: &Value) {
    let schema = |text| serde_json::from_str::<Value>(text).unwrap();
    let lines = schema(include_str!("../../view/src/schema.json"));
    let registry = Registry::new().add("urn:tcpwatch:line:1", lines).unwrap().prepare().unwrap();
    let validator = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .with_registry(&registry)
        .build(&schema(include_str!("../../lab/src/show/report/schema.json")))
        .unwrap();
    let errors: Vec<_> = validator
        .iter_errors(report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn every_built_in_scenario_holds_and_every_state_is_seen_twice() {
    needs_root!();
    let report = judged::hold(&["--all", "--profile", "quick"], verdicts);
    assert_keeps_to_its_schema(&report);
    let runs = list(&report, "runs");
    for built_in in catalog::all() {
        for family in ["ipv4", "ipv6"] {
            let of = |run: &&Value| run["scenario"] == built_in.name && run["family"] == family;
            assert_eq!(runs.iter().filter(of).count(), 1, "{} {family}", built_in.name);
        }
    }
    // None is left out even on a kernel without the newest sysctls.
    assert!(list(&report, "not_run").is_empty(), "{report}");
    for (scenario, host, state) in [
        ("listen", "server", "LISTEN"),
        ("syn-sent", "client", "SYN_SENT"),
        ("syn-recv", "server", "SYN_RECV"),
        ("client-closes-first", "client", "ESTABLISHED"),
        ("client-closes-first", "server", "ESTABLISHED"),
        ("fin-wait-1", "client", "FIN_WAIT_1"),
        ("fin-wait-2", "client", "FIN_WAIT_2"),
        ("close-wait", "server", "CLOSE_WAIT"),
        ("last-ack", "server", "LAST_ACK"),
        ("time-wait", "client", "TIME_WAIT"),
        ("closing", "client", "CLOSING"),
    ] {
        for run in runs.iter().filter(|run| run["scenario"] == scenario) {
            let both = seen(run, host, state);
            assert_eq!(both, (true, true), "{scenario} {}: {state} on the {host}", run["family"]);
        }
    }
}

#[test]
fn closed_is_what_sock_diag_does_not_show_any_more() {
    needs_root!();
    let report = judged::hold(&["fin-wait-2-of-30-seconds", "--profile", "quick"], verdicts);
    let story = list(&list(&report, "runs")[0], "story");
    let place = |is: &dyn Fn(&Value) -> bool| {
        story.iter().position(|moment| moment["host"] == "client" && is(moment)).unwrap()
    };
    let waits = place(&|moment| moment["states"] == serde_json::json!(["FIN_WAIT_2"]));
    let told = place(&|moment| moment["to"] == "CLOSED" && moment["reason"] == "timer");
    let gone = place(&|moment| moment["states"] == serde_json::json!([]));
    assert!(waits < told && told < gone, "{waits} {told} {gone}");
}
