//! Runs that are judged: tcpwatch makes a run again that proved nothing, and so do these tests, but only
//! where the kernel is seen to have run no BPF program, or where the loss was counted.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::{
    coverage::{
        Coverage,
        rerun::{self, Reason},
    },
    program::{Answer, list, reported, text},
};

/// How often a scenario is run at most, beyond the tries of tcpwatch itself.
const TRIES: usize = 2;

/// `tcpwatch lab run` with these arguments and all its runs, which hold; `verdicts` tells what one that
/// does not hold says of itself.
pub(crate) fn hold(args: &[&str], verdicts: impl Fn(&Value) -> String) -> (Answer, Value) {
    let coverage = Coverage::start();
    let (answer, report) = reported(args);
    let mut found = coverage.and_then(Coverage::stop);
    let failed = failed(&report);
    assert_eq!(report["holds"], failed.is_empty(), "{answer:?}");
    assert_eq!(answer.status, Some(i32::from(!failed.is_empty())), "{answer:?}");
    let profile = args.iter().position(|word| *word == "--profile").map(|at| args[at + 1]);
    for run in list(&report, "runs") {
        for discarded in list(run, "discarded") {
            let what = format!("lab run: {}", text(discarded, "why"));
            note(discarded, &what, &found).unwrap_or_else(|why| panic!("{why}: {}", verdicts(run)));
        }
    }
    for run in failed {
        let mut last = run.clone();
        for _ in 1..TRIES {
            let what = format!("{} over {}", text(run, "scenario"), text(run, "family"));
            note(&last, &what, &found).unwrap_or_else(|why| panic!("{why}: {}", verdicts(&last)));
            let family = if run["family"] == "ipv6" { "-6" } else { "-4" };
            let args = [text(run, "scenario"), family, "--profile", profile.unwrap_or("full")];
            let coverage = Coverage::start();
            let (_, again) = reported(&args);
            found = coverage.and_then(Coverage::stop);
            last = list(&again, "runs")[0].clone();
            if last["holds"] == true {
                break;
            }
        }
        assert_eq!(last["holds"], true, "{}", verdicts(&last));
    }
    (answer, report)
}

fn failed(report: &Value) -> Vec<&Value> {
    list(report, "runs").iter().filter(|run| run["holds"] != true).collect()
}

/// Notes that a run is made again, if there is a reason.
fn note(
    run: &Value,
    what: &str,
    found: &Result<Vec<crate::coverage::Uncovered>, String>,
) -> Result<(), String> {
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
