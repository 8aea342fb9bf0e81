//! Names of tiers come in, cargo runs their tests, one line per tier and an exit status go out.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;

use crate::{cargo, precondition::Precondition, privilege::Privilege, reruns::Reruns, setup, vm};

/// A tier and what it runs; all of it runs even when a part fails.
struct Tier {
    name: &'static str,
    runs: &'static [Run],
}

/// One run of tests.
enum Run {
    /// `cargo test` with these arguments.
    Cargo(&'static [&'static str]),
    /// A test target of the package tcpwatch, built as the caller and run as root with these arguments.
    AsRoot(&'static str, &'static [&'static str]),
    /// The same, and as fast as a release: a reader that is slow in itself would lose what it should not.
    Fast(&'static str, &'static [&'static str]),
    /// The same, with Prometheus at hand.
    WithPrometheus(&'static str),
    /// The tests of other kernels, in virtual machines.
    InMachines,
}

/// Every tier, quickest first. A new one is a line here.
const TIERS: &[Tier] = &[
    Tier {
        name: "unit",
        runs: &[
            Run::Cargo(&["--workspace", "--lib", "--bins"]),
            Run::Cargo(&["--workspace", "--doc"]),
            Run::Cargo(&["--package", "tcpwatch", "--test", "cli"]),
            Run::Cargo(&["--package", "tcpwatch", "--test", "web", "--test", "web_descriptors"]),
        ],
    },
    Tier {
        name: "replay",
        runs: &[Run::Cargo(&["--package", "tcpwatch", "--test", "replay", "--test", "fuzz"])],
    },
    Tier { name: "lab", runs: &[Run::AsRoot("lab", &["--skip", "load::"])] },
    Tier { name: "deploy", runs: &[Run::WithPrometheus("deploy")] },
    Tier { name: "kernel", runs: &[Run::AsRoot("kernel", &["--skip", "load::"])] },
    Tier {
        name: "load",
        // What they measure is for people to read; the table of all paths comes last.
        runs: &[
            Run::Fast("kernel", &["load::", "--skip", "load::conservation::", "--nocapture"]),
            Run::Fast("lab", &["load::", "--nocapture"]),
            Run::Fast("kernel", &["load::conservation::", "--nocapture"]),
        ],
    },
    Tier { name: "vm", runs: &[Run::InMachines] },
];

/// It takes many minutes of a machine that has nothing else to do.
const ONLY_BY_NAME: &str = "load";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tiers to run; all but `load` when none is named
    #[arg(value_name = "TIER", value_parser = PossibleValuesParser::new(names()))]
    tiers: Vec<String>,
    #[command(flatten)]
    vm: vm::Options,
}

fn names() -> impl Iterator<Item = &'static str> {
    TIERS.iter().map(|tier| tier.name)
}

/// How a tier ended.
struct Outcome {
    tier: &'static str,
    took: Duration,
    failures: Vec<anyhow::Error>,
    /// Why something was left out.
    left_out: Vec<anyhow::Error>,
    /// What was run again, and why.
    reruns: Vec<String>,
}

/// `cargo xtask test`.
pub(crate) fn command(args: &Args) -> Result<ExitCode> {
    setup::ensure()?;
    let outcomes = chosen(&args.tiers).map(|tier| tier.run(args)).collect::<Result<Vec<_>>>()?;
    for outcome in &outcomes {
        eprintln!("{}", outcome.line());
    }
    let reruns: usize = outcomes.iter().map(|outcome| outcome.reruns.len()).sum();
    eprintln!("reruns: {reruns}");
    let is_good = outcomes.iter().all(|outcome| outcome.failures.is_empty());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The named tiers in the table's order, or all but the one that runs only when it is named.
fn chosen(names: &[String]) -> impl Iterator<Item = &'static Tier> {
    TIERS.iter().filter(|tier| {
        let is_named = names.iter().any(|name| name == tier.name);
        is_named || names.is_empty() && tier.name != ONLY_BY_NAME
    })
}

impl Tier {
    fn run(&self, args: &Args) -> Result<Outcome> {
        eprintln!("==> {}", self.name);
        let start = Instant::now();
        let reruns = Reruns::none()?;
        let errors = self.runs.iter().filter_map(|run| run.start(args, &reruns).err());
        let must_run = !args.tiers.is_empty() || Privilege::of_this_process() == Privilege::Root;
        let (left_out, failures) =
            errors.partition(|error| may_be_left_out(error, self.name, must_run));
        let (took, reruns) = (start.elapsed(), reruns.lines()?);
        Ok(Outcome { tier: self.name, took, failures, left_out, reruns })
    }
}

/// Where virtual machines cannot be had, whoever did not ask for them has the other tiers. Root can
/// have them, so that they are never left out where changes are judged.
fn may_be_left_out(error: &anyhow::Error, tier: &str, must_run: bool) -> bool {
    tier == "vm" && !must_run && error.is::<Precondition>()
}

impl Run {
    fn start(&self, all: &Args, reruns: &Reruns) -> Result<()> {
        let env = [reruns.variable()];
        match self {
            Self::Cargo(args) => {
                let mut command = cargo::cargo();
                // Within one run a failing test binary must not hide the others.
                command.arg("test").args(*args).arg("--no-fail-fast");
                succeed(command, &format!("cargo test {}", args.join(" ")))
            }
            Self::AsRoot(target, args) => as_root(target, &[], &env, args),
            Self::Fast(target, args) => as_root(target, &["--profile", "checked"], &env, args),
            Self::WithPrometheus(target) => {
                let mut directory = OsString::from("TCPWATCH_PROMETHEUS=");
                directory.push(setup::PROMETHEUS.ensure()?);
                let [reruns] = env;
                as_root(target, &[], &[directory, reruns], &[])
            }
            Self::InMachines => vm::run(&all.vm),
        }
    }
}

/// Root only runs the finished test binary, so that no file in the target directory is root's.
fn as_root(target: &str, profile: &[&str], env: &[OsString], args: &[&str]) -> Result<()> {
    let build = ["test", "--package", "tcpwatch", "--test", target, "--no-run"];
    let binary = cargo::build(&[&build, profile].concat())?
        .into_iter()
        .find(|executable| executable.target == target)
        .with_context(|| format!("cargo built no test binary `{target}`"))?;
    let package = cargo::workspace().join("tcpwatch");
    let mut command = test_as_root(Privilege::of_this_process(), env, &binary.path, &package)?;
    command.args(args);
    succeed(command, &format!("the test binary `{target}`"))
}

/// As `cargo test` would run it, but one test at a time: they all watch the same kernel. A test
/// that cannot run must fail here instead of being skipped.
fn test_as_root(
    privilege: Privilege,
    env: &[OsString],
    binary: &Path,
    package: &Path,
) -> Result<Command> {
    // `env`, because sudo starts with a clean environment.
    let mut command = privilege.command("env", "test on the live kernel")?;
    let mut manifest_dir = OsString::from("CARGO_MANIFEST_DIR=");
    manifest_dir.push(package);
    command.arg("TCPWATCH_REQUIRE_ROOT=1").arg(manifest_dir).args(env);
    command.arg(binary).arg("--test-threads=1").current_dir(package);
    Ok(command)
}

fn succeed(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {what}"))?;
    ensure!(status.success(), "{what}: {status}");
    Ok(())
}

impl Outcome {
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
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        chosen(&names).map(|tier| tier.name).collect()
    }

    #[test]
    fn without_a_name_every_tier_runs_but_the_one_under_load() {
        let others: Vec<_> = names().filter(|name| *name != "load").collect();
        assert_eq!(chosen_names(&[]), others, "in the order of the table");
        assert_eq!(chosen_names(&["load"]), ["load"], "when it is named");
    }

    #[test]
    fn named_tiers_run_in_the_order_of_the_table() {
        assert_eq!(chosen_names(&["kernel", "unit"]), ["unit", "kernel"], "quickest first");
    }

    #[test]
    fn a_failed_tier_tells_what_failed() {
        let failures = vec![anyhow::anyhow!("cargo test --doc: exit status: 101")];
        let outcome = Outcome {
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
        assert!(may_be_left_out(&lacking, "vm", false), "and it is told");
        assert!(!may_be_left_out(&lacking, "vm", true), "asked for by name, or by root");
        assert!(!may_be_left_out(&lacking, "kernel", false), "another tier");
        assert!(!may_be_left_out(&broken, "vm", false), "it did run");
        let outcome = Outcome {
            tier: "vm",
            took: Duration::ZERO,
            failures: Vec::new(),
            left_out: vec![lacking],
            reruns: Vec::new(),
        };
        assert_eq!(outcome.line(), "vm      NOT RUN     0.0 s\n        no apt");
    }

    #[test]
    fn root_tests_run_alone_and_may_not_skip() {
        let (binary, package) = (Path::new("/t/kernel-1"), Path::new("/p"));
        let env = [OsString::from("A=b")];
        let command = test_as_root(Privilege::Root, &env, binary, package).expect("we are root");
        let args: Vec<_> = command.get_args().map(|arg| arg.display().to_string()).collect();
        let expected = [
            "TCPWATCH_REQUIRE_ROOT=1",
            "CARGO_MANIFEST_DIR=/p",
            "A=b",
            "/t/kernel-1",
            "--test-threads=1",
        ];
        assert_eq!(args, expected, "environment, binary, one thread");
    }
}
