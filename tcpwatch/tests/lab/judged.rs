//! Runs that are judged: tcpwatch repeats a run that proved nothing, and so do these tests, but only where the kernel
//! was seen to run no BPF program, or where the loss was counted.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::{
    coverage::{
        Coverage, Uncovered,
        rerun::{self, Reason},
    },
    program::{Answer, list, text, written},
};

/// Events for which no BPF program ran, or why that is not known.
type Found = Result<Vec<Uncovered>, String>;

/// `tcpwatch lab run` with these arguments: its result, its report, and what it cannot have seen. Each run that it
/// repeated had a reason.
pub(crate) fn made(args: &[&str]) -> (Answer, Value, Found) {
    let coverage = Coverage::start();
    let (answer, report) = written(args);
    let found = coverage.and_then(Coverage::stop);
    for run in list(&report, "runs") {
        for discarded in list(run, "discarded") {
            let what = format!("{}: {}", name(run), text(discarded, "why"));
            note(discarded, &what, &found).unwrap_or_else(|why| panic!("{what}: {why}"));
        }
    }
    (answer, report, found)
}

/// The same; all its runs hold. One that does not is repeated alone, if there is a reason to; `verdicts` returns the
/// verdicts in a run's report.
pub(crate) fn hold(args: &[&str], verdicts: impl Fn(&Value) -> String) -> Value {
    let (answer, report, found) = made(args);
    let failed = failed(&report);
    assert_eq!(report["holds"], failed.is_empty(), "{answer:?}");
    assert_eq!(answer.status, Some(i32::from(!failed.is_empty())), "{answer:?}");
    let profile = args.iter().position(|word| *word == "--profile").map(|at| args[at + 1]);
    for run in failed {
        let told = verdicts(run);
        note(run, &name(run), &found).unwrap_or_else(|why| panic!("{told}{why}"));
        let family = if run["family"] == "ipv6" { "-6" } else { "-4" };
        let profile = profile.unwrap_or("full");
        let (_, again, _) = made(&[text(run, "scenario"), family, "--profile", profile]);
        let again = &list(&again, "runs")[0];
        assert_eq!(again["holds"], true, "{}", verdicts(again));
    }
    report
}

fn name(run: &Value) -> String {
    format!("{} over {}", text(run, "scenario"), text(run, "family"))
}

fn failed(report: &Value) -> Vec<&Value> {
    list(report, "runs").iter().filter(|run| run["holds"] != true).collect()
}

/// Reports that a run is repeated, if there is a reason.
fn note(run: &Value, what: &str, found: &Found) -> Result<(), String> {
    let counted = run["counted_lost"].as_u64().unwrap();
    let reason = if counted > 0 {
        Reason::counted(&format!("{counted} records were lost and counted"))
    } else {
        Reason::uncovered(found, &span(run), &netns(run))?
    };
    rerun::note(what, &reason);
    Ok(())
}

fn span(run: &Value) -> RangeInclusive<u64> {
    let [from, to] = ["started_mono_ns", "ended_mono_ns"].map(|key| run[key].as_u64().unwrap());
    from..=to
}

fn netns(run: &Value) -> Vec<u32> {
    let inode = |host| run["netns"][host].as_u64().unwrap().try_into().unwrap();
    ["client", "server"].map(inode).into()
}
