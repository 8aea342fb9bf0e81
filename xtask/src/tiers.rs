//! `cargo xtask test`: runs the tiers of tests and prints one line for each.

use std::{
    env,
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::{
    cargo,
    debian::{BUSYBOX, IPROUTE, NODE_EXPORTER, PROMETHEUS, ProgramPackage, RSYSLOG, SERVERS},
    precondition::Precondition,
    privilege::Privilege,
    reruns::Reruns,
    setup, vm,
};

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

impl TierRun {
    /// Runs its tests, or those with one of `names` in their names; returns false if there are none.
    fn start(&self, names: &[&str], vm: &vm::Options, reruns: &Reruns) -> Result<bool> {
        let env = [reruns.variable()];
        match self {
            Self::Cargo(args) => cargo_test(args, names),
            Self::AsRoot(target, args) => as_root(target, &[], &env, args, names),
            Self::Fast(target, args) => {
                as_root(target, &["--profile", "checked"], &env, args, names)
            }
            Self::WithCollectors(target) => {
                let [reruns] = env;
                let env = [
                    directory("TCPWATCH_PROMETHEUS", &PROMETHEUS)?,
                    directory("TCPWATCH_NODE_EXPORTER", &NODE_EXPORTER)?,
                    directory("TCPWATCH_RSYSLOG", &RSYSLOG)?,
                    reruns,
                ];
                as_root(target, &[], &env, &[], names)
            }
            Self::WithServers(target, args) => {
                let [reruns] = env;
                let [packages, busybox] = servers()?;
                as_root(target, &[], &[packages, busybox, reruns], args, names)
            }
            Self::InMachines => {
                let mut options = vm.clone();
                options.only.extend(names.iter().map(|&name| name.to_owned()));
                vm::run(&options).map(|()| true)
            }
        }
    }
}

/// `NAME=` and the directory with a package's programs.
fn directory(name: &str, package: &ProgramPackage) -> Result<OsString> {
    let mut setting = OsString::from(format!("{name}="));
    setting.push(package.ensure()?);
    Ok(setting)
}

/// Where the tests find each server's package, unpacked, and busybox for what runs in a container.
fn servers() -> Result<[OsString; 2]> {
    let mut packages = OsString::from("TCPWATCH_PACKAGES=");
    for server in SERVERS {
        let unpacked = server.ensure_unpacked()?;
        if packages.as_encoded_bytes().ends_with(b"=") {
            packages.push(unpacked.parent().context("packages are unpacked in a directory")?);
        }
    }
    let mut busybox = OsString::from("TCPWATCH_BUSYBOX=");
    busybox.push(BUSYBOX.ensure()?.join("busybox"));
    Ok([packages, busybox])
}

fn cargo_test(args: &[&str], names: &[&str]) -> Result<bool> {
    let what = format!("cargo test {}", args.join(" "));
    // A failed test binary must not keep the others from running.
    let test = || {
        let mut command = cargo::cargo();
        command.arg("test").args(args).arg("--no-fail-fast");
        command
    };
    if names.is_empty() {
        return succeed(test(), &what).map(|()| true);
    }
    let mut list = test();
    list.args(["--", "--list"]).args(names);
    if listed(list, &what)?.is_empty() {
        return Ok(false);
    }
    let mut command = test();
    command.arg("--").args(names);
    succeed(command, &what).map(|()| true)
}

/// Root runs only the finished test binary, so that no file in the target directory belongs to root.
fn as_root(
    target: &str,
    profile: &[&str],
    env: &[OsString],
    args: &[&str],
    names: &[&str],
) -> Result<bool> {
    let build = ["test", "--workspace", "--test", target, "--no-run"];
    let binary = cargo::build(&[&build, profile].concat())?
        .into_iter()
        .find(|executable| executable.target == target)
        .with_context(|| format!("cargo built no test binary `{target}`"))?;
    let what = format!("the test binary `{target}`");
    let package = cargo::workspace().join("tcpwatch");
    let env = [env, path()?.as_slice()].concat();
    let mut command = test_as_root(Privilege::of_this_process(), &env, &binary.path, &package)?;
    command.args(args);
    if !names.is_empty() {
        let mut list = Command::new(&binary.path);
        list.args(args).arg("--list").current_dir(&package);
        let all = listed(list, &what)?;
        let chosen: Vec<_> =
            all.iter().filter(|test| names.iter().any(|name| test.contains(name))).collect();
        if chosen.is_empty() {
            return Ok(false);
        }
        // By their full names: a filter among `args` would include the others again.
        command.arg("--exact").args(chosen);
    }
    succeed(command, &what).map(|()| true)
}

/// The names of the tests that a command lists.
fn listed(mut list: Command, what: &str) -> Result<Vec<String>> {
    let list = list.stderr(Stdio::inherit()).output();
    let list = list.with_context(|| format!("cannot start {what}"))?;
    ensure!(list.status.success(), "{what} does not list its tests: {}", list.status);
    let text = String::from_utf8_lossy(&list.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(Into::into).collect())
}

/// `PATH` for tests that start `ip`, `ss` and `tc`; `None` if it already has them.
fn path() -> Result<Option<OsString>> {
    let tools = IPROUTE.ensure()?;
    let mut dirs: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    if dirs.contains(&tools) {
        return Ok(None);
    }
    dirs.push(tools);
    let mut setting = OsString::from("PATH=");
    setting.push(env::join_paths(dirs).context("cannot add the tools of the tests to PATH")?);
    Ok(Some(setting))
}

/// As `cargo test` would run it, but one test at a time, because all of them watch the same kernel. A test that cannot
/// run fails here instead of being skipped.
fn test_as_root(
    privilege: Privilege,
    env: &[OsString],
    binary: &Path,
    package: &Path,
) -> Result<Command> {
    // `env`, because sudo resets the environment.
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
