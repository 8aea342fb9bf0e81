//! `cargo xtask test`: runs the tiers of tests and prints one line for each.

mod as_root;
mod run;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};

use crate::{precondition::Precondition, privilege::Privilege, reruns::Reruns, setup, vm};

/// A tier and what it runs; all of it is run even if a part fails.
struct Tier {
    name: &'static str,
    runs: &'static [TierRun],
}

/// One run of tests.
enum TierRun {
    /// `cargo test` with these arguments.
    Cargo(&'static [&'static str]),
    /// A test target of the package tcpwatch, built as the caller and run as root with these arguments.
    AsRoot(&'static str, &'static [&'static str]),
    /// The same, optimized as a release is: a slow reader would lose records that it should not.
    Fast(&'static str, &'static [&'static str]),
    /// The same, with Prometheus, `node_exporter` and rsyslog at hand.
    WithCollectors(&'static str),
    /// The same, with Debian's servers and containers at hand.
    WithServers(&'static str, &'static [&'static str]),
    /// The tests of other kernels, in virtual machines.
    InMachines,
}

/// Every tier, quickest first. A new one is a line here.
const TIERS: &[Tier] = &[
    Tier {
        name: "unit",
        runs: &[
            TierRun::Cargo(&["--workspace", "--lib", "--bins"]),
            TierRun::Cargo(&["--workspace", "--doc"]),
            TierRun::Cargo(&["--workspace", "--test", "cli"]),
            TierRun::Cargo(&[
                "--workspace",
                "--test",
                "web",
                "--test",
                "web_descriptors",
                "--test",
                "inside",
            ]),
        ],
    },
    Tier {
        name: "replay",
        runs: &[TierRun::Cargo(&["--workspace", "--test", "replay", "--test", "fuzz"])],
    },
    Tier { name: "lab", runs: &[TierRun::AsRoot("lab", &["--skip", "load::"])] },
    Tier {
        name: "deploy",
        runs: &[TierRun::WithCollectors("deploy"), TierRun::WithCollectors("web_config")],
    },
    Tier {
        name: "kernel",
        runs: &[
            TierRun::AsRoot("top", &[]),
            TierRun::AsRoot("kernel", &["--skip", "load::", "--skip", "servers::"]),
        ],
    },
    Tier {
        name: "servers",
        // How often they agree with `ss` is for people to read.
        runs: &[TierRun::WithServers("kernel", &["servers::", "--nocapture"])],
    },
    Tier {
        name: "load",
        // Their measurements are for people to read; the table of all paths comes last.
        runs: &[
            TierRun::Fast("kernel", &["load::", "--skip", "load::conservation::", "--nocapture"]),
            TierRun::Fast("lab", &["load::", "--nocapture"]),
            TierRun::Fast("kernel", &["load::conservation::", "--nocapture"]),
        ],
    },
    Tier { name: "vm", runs: &[TierRun::InMachines] },
];

/// One takes many minutes of an otherwise idle machine, the other 200 MB of packages.
const ONLY_BY_NAME: [&str; 2] = ["load", "servers"];

/// The exit status; clap uses the same number.
const WRONG_USAGE: u8 = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[arg(value_name = "TIER|NAME", help = help())]
    words: Vec<String>,
    #[command(flatten)]
    vm: vm::Options,
}

fn names() -> impl Iterator<Item = &'static str> {
    TIERS.iter().map(|tier| tier.name)
}

fn help() -> String {
    let tiers: Vec<_> = names().collect();
    format!(
        "The tiers to run ({}), all but {} when none is named; of their tests only those \
         that have one of the other words in their name, if there are any",
        tiers.join(", "),
        ONLY_BY_NAME.map(|name| format!("`{name}`")).join(" and ")
    )
}

/// What to run, from the words on the command line.
#[derive(Debug, PartialEq, Eq)]
struct Selection<'a> {
    tiers: Vec<&'a str>,
    /// Parts of names of tests; when empty, all tests run.
    tests: Vec<&'a str>,
}

impl<'a> Selection<'a> {
    /// Words that are not tiers are names of tests. A misspelled tier must not count as a name that matches no test, so
    /// at least one tier is required beside them.
    fn by(words: &'a [String]) -> Result<Self> {
        let (tiers, tests): (Vec<_>, Vec<_>) =
            words.iter().map(String::as_str).partition(|word| names().any(|name| name == *word));
        if let ([], [word, ..]) = (&tiers[..], &tests[..]) {
            let all: Vec<_> = names().collect();
            bail!(
                "`{word}` is not a tier ({}); give the tier before the name of a test",
                all.join(", ")
            );
        }
        Ok(Self { tiers, tests })
    }
}

/// How a tier ended.
struct TierOutcome {
    tier: &'static str,
    took: Duration,
    failures: Vec<anyhow::Error>,
    /// Why something was left out.
    left_out: Vec<anyhow::Error>,
    /// What was run again, and why.
    reruns: Vec<String>,
}

/// `cargo xtask test`.
pub(crate) fn command(args: &TestArgs) -> Result<ExitCode> {
    let asked = match Selection::by(&args.words) {
        Ok(asked) => asked,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
    };
    setup::ensure()?;
    let run = |tier: &'static Tier| tier.run(&asked, &args.vm);
    let outcomes = chosen(&asked.tiers).map(run).collect::<Result<Vec<_>>>()?;
    for outcome in &outcomes {
        eprintln!("{}", outcome.line());
    }
    let reruns: usize = outcomes.iter().map(|outcome| outcome.reruns.len()).sum();
    eprintln!("reruns: {reruns}");
    let is_good = outcomes.iter().all(|outcome| outcome.failures.is_empty());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The named tiers in the table's order, or all but those that run only when they are named.
fn chosen(names: &[&str]) -> impl Iterator<Item = &'static Tier> {
    TIERS.iter().filter(|tier| {
        let is_named = names.contains(&tier.name);
        is_named || names.is_empty() && !ONLY_BY_NAME.contains(&tier.name)
    })
}

impl Tier {
    fn run(&self, asked: &Selection<'_>, vm: &vm::Options) -> Result<TierOutcome> {
        eprintln!("==> {}", self.name);
        let start = Instant::now();
        let reruns = Reruns::none()?;
        let (mut found, mut errors) = (false, Vec::new());
        for run in self.runs {
            match run.start(&asked.tests, vm, &reruns) {
                Ok(any) => found |= any,
                Err(error) => errors.push(error),
            }
        }
        if !found && errors.is_empty() {
            errors.push(anyhow!("no test has any of {:?} in its name", asked.tests));
        }
        let must_run = !asked.tiers.is_empty() || Privilege::of_this_process() == Privilege::Root;
        let (left_out, failures) =
            errors.into_iter().partition(|error| may_be_left_out(error, self.name, must_run));
        let (took, reruns) = (start.elapsed(), reruns.lines()?);
        Ok(TierOutcome { tier: self.name, took, failures, left_out, reruns })
    }
}

/// Virtual machines that are not available are left out, unless their tier was named or root runs the tests: root can
/// have them, so they are never left out where changes are judged.
fn may_be_left_out(error: &anyhow::Error, tier: &str, must_run: bool) -> bool {
    tier == "vm" && !must_run && error.is::<Precondition>()
}

impl TierOutcome {
    fn line(&self) -> String {
        let result = match (self.failures.is_empty(), self.left_out.is_empty()) {
            (false, _) => "FAILED",
            (true, false) => "NOT RUN",
            (true, true) => "ok",
        };
        let errors = self.failures.iter().chain(&self.left_out);
        let failures = errors.map(|failure| format!("\n        {failure:#}"));
        let reruns = self.reruns.iter().map(|rerun| format!("\n        run again: {rerun}"));
        let more: String = failures.chain(reruns).collect();
        let took = self.took.as_secs_f64();
        format!("{:<8}{result:<8}{took:>7.1} s{more}", self.tier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_names(names: &[&str]) -> Vec<&'static str> {
        chosen(names).map(|tier| tier.name).collect()
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn words_that_are_no_tiers_are_names_of_tests_of_those_that_are() {
        let typed = words(&["kernel", "why::", "lab", "refused"]);
        let asked = Selection::by(&typed).unwrap();
        assert_eq!(
            asked,
            Selection { tiers: vec!["kernel", "lab"], tests: vec!["why::", "refused"] }
        );
    }

    #[test]
    fn a_tier_that_is_misspelled_is_an_error_that_lists_the_tiers() {
        let error = Selection::by(&words(&["kernal"])).unwrap_err().to_string();
        assert!(error.contains("`kernal` is not a tier (unit, replay, "), "{error}");
    }

    #[test]
    fn without_a_name_every_tier_runs_but_those_that_run_by_name() {
        let others: Vec<_> = names().filter(|name| *name != "load" && *name != "servers").collect();
        assert_eq!(chosen_names(&[]), others, "in the order of the table");
        assert_eq!(chosen_names(&["load"]), ["load"], "when it is named");
        assert_eq!(chosen_names(&["servers"]), ["servers"], "as well");
    }

    #[test]
    fn named_tiers_run_in_the_order_of_the_table() {
        assert_eq!(chosen_names(&["kernel", "unit"]), ["unit", "kernel"], "quickest first");
    }

    #[test]
    fn a_failed_tier_tells_what_failed() {
        let failures = vec![anyhow::anyhow!("cargo test --doc: exit status: 101")];
        let outcome = TierOutcome {
            tier: "unit",
            took: Duration::from_millis(1234),
            failures,
            left_out: Vec::new(),
            reruns: vec!["a_test: listen: no program ran".to_owned()],
        };
        let expected = "unit    FAILED      1.2 s\n        cargo test --doc: exit status: 101\n        \
                        run again: a_test: listen: no program ran";
        assert_eq!(outcome.line(), expected, "name, result, time, cause, reruns");
    }

    #[test]
    fn machines_that_cannot_be_had_are_left_out_only_by_whoever_did_not_ask_for_them() {
        let lacking = anyhow::Error::from(Precondition("no apt".into()));
        let broken = anyhow::anyhow!("Linux 6.1: kernel/a FAILED");
        assert!(may_be_left_out(&lacking, "vm", false), "and it is reported");
        assert!(!may_be_left_out(&lacking, "vm", true), "asked for by name, or by root");
        assert!(!may_be_left_out(&lacking, "kernel", false), "another tier");
        assert!(!may_be_left_out(&broken, "vm", false), "it did run");
        let outcome = TierOutcome {
            tier: "vm",
            took: Duration::ZERO,
            failures: Vec::new(),
            left_out: vec![lacking],
            reruns: Vec::new(),
        };
        assert_eq!(outcome.line(), "vm      NOT RUN     0.0 s\n        no apt");
    }
}
