//! Collects from a virtual machine's output what every test did.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};

/// The results of one machine.
#[derive(Debug)]
pub(crate) struct MachineReport {
    /// The kernel's release; until the machine has printed it, the name of its file.
    pub(crate) kernel: String,
    /// Lines of `tcpwatch check` and about sysctls: a feature, and `None` or what it lacks.
    pub(crate) features: Vec<(String, Option<String>)>,
    pub(crate) tests: Vec<TestResult>,
    /// Why the machine did not run to its end.
    broken: Option<String>,
    is_done: bool,
}

/// One test on one kernel.
#[derive(Debug)]
pub(crate) struct TestResult {
    pub(crate) name: String,
    pub(crate) outcome: TestOutcome,
    /// How long it took by the machine's clock, and for how much of that the processor was busy: the cost of emulating
    /// it.
    pub(crate) seconds: String,
    pub(crate) output: Vec<String>,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestOutcome {
    NotRun,
    Running,
    Passed,
    Failed,
    Hung,
}

/// What a line means to the reader of the output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineMeaning {
    Nothing,
    /// A test has ended: lines to print.
    Result(String),
    /// Every test has ended.
    Done,
}

impl MachineReport {
    /// The empty report of a machine that is to run these tests.
    pub(crate) fn new(kernel: &str, tests: impl Iterator<Item = String>) -> Self {
        let test = |name: String| TestResult {
            name,
            outcome: TestOutcome::NotRun,
            seconds: String::new(),
            output: Vec::new(),
        };
        Self {
            kernel: kernel.to_owned(),
            features: Vec::new(),
            tests: tests.map(test).collect(),
            broken: None,
            is_done: false,
        }
    }

    /// Adds the results of another machine with the same kernel.
    pub(crate) fn join(&mut self, other: Self) {
        self.tests.extend(other.tests);
        if self.features.is_empty() {
            self.features = other.features;
        }
        self.broken = match (self.broken.take(), other.broken) {
            (Some(one), Some(other)) => Some(format!("{one}\n{other}")),
            (one, other) => one.or(other),
        };
    }

    /// Sorts the tests by name, which gives the same order for every kernel.
    pub(crate) fn sort(&mut self) {
        self.tests.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// Evaluates one line of output.
    pub(crate) fn read_line(&mut self, line: &str) -> LineMeaning {
        let Some((word, rest)) = line.split_once(' ').or(Some((line, ""))) else {
            return LineMeaning::Nothing;
        };
        match word {
            "@kernel" => rest.clone_into(&mut self.kernel),
            "@check" => self.features.extend(feature(rest)),
            "@begin" => self.with(rest, |test, _| test.outcome = TestOutcome::Running),
            "@output" => self.with(rest, |test, output| test.output.push(output.to_owned())),
            "@end" => return self.end(rest),
            "@done" => {
                self.is_done = true;
                return LineMeaning::Done;
            }
            "@missing" => {
                eprintln!("vm: {}: no module {rest} beside the kernel; built in?", self.kernel);
            }
            _ => {}
        }
        LineMeaning::Nothing
    }

    /// Calls `act` with the test whose name is the first word, and with the rest.
    fn with(&mut self, text: &str, act: impl FnOnce(&mut TestResult, &str)) {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        if let Some(test) = self.tests.iter_mut().find(|test| test.name == name) {
            act(test, rest);
        }
    }

    fn end(&mut self, text: &str) -> LineMeaning {
        let mut meaning = LineMeaning::Nothing;
        let kernel = self.kernel.clone();
        self.with(text, |test, rest| {
            let (how, seconds) = rest.split_once(' ').unwrap_or((rest, ""));
            test.outcome = match how {
                "ok" => TestOutcome::Passed,
                "hung" => TestOutcome::Hung,
                _ => TestOutcome::Failed,
            };
            seconds.clone_into(&mut test.seconds);
            let (cell, name) = (test.cell(), &test.name);
            let mut lines = format!("vm {kernel:<24} {cell:<10} {seconds:>14}  {name}");
            for line in &test.output {
                lines.push_str("\n    ");
                lines.push_str(line);
            }
            meaning = LineMeaning::Result(lines);
        });
        meaning
    }

    /// Ends the report when the machine has ended; `cut` is the time after which it was cut off.
    pub(crate) fn close(&mut self, cut: Option<Duration>, last_lines: impl FnOnce() -> String) {
        if self.is_done {
            return;
        }
        let how = cut.map_or_else(
            || "the machine ended too early".to_owned(),
            |limit| format!("the machine was cut off after {} s", limit.as_secs()),
        );
        let running = self.tests.iter_mut().filter(|test| test.outcome == TestOutcome::Running);
        let mut names = Vec::new();
        for test in running {
            test.outcome = TestOutcome::Hung;
            names.push(test.name.as_str());
        }
        let during = if names.is_empty() { "outside a test".to_owned() } else { names.join(", ") };
        self.broken = Some(format!("{how}, {during}; its last lines:\n{}", last_lines()));
    }

    /// Fails unless every test ran and passed.
    pub(crate) fn verdict(&self) -> Result<()> {
        let kernel = &self.kernel;
        if let Some(why) = &self.broken {
            anyhow::bail!("Linux {kernel}: {why}");
        }
        let bad: Vec<_> = self
            .tests
            .iter()
            .filter(|test| test.outcome != TestOutcome::Passed)
            .map(|test| format!("{} {}", test.name, test.cell()))
            .collect();
        ensure!(bad.is_empty(), "Linux {kernel}: {}", bad.join(", "));
        Ok(())
    }

    /// Features that tests needed and did not find, and therefore left something out, with the first version that has
    /// them.
    pub(crate) fn lacking(&self) -> Vec<(&str, &str)> {
        let lines = self.tests.iter().flat_map(|test| &test.output);
        lines.filter_map(|line| lacking(line)).collect()
    }
}

impl TestResult {
    /// The result in one word.
    pub(crate) fn cell(&self) -> OutcomeCell {
        let left_out = self.output.iter().any(|line| lacking(line).is_some());
        OutcomeCell(self.outcome, self.outcome == TestOutcome::Passed && left_out)
    }
}

/// An outcome, and whether something was left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutcomeCell(TestOutcome, bool);

impl fmt::Display for OutcomeCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match (self.0, self.1) {
            (TestOutcome::Passed, false) => "ok",
            (TestOutcome::Passed, true) => "ok, partly",
            (TestOutcome::Failed, _) => "FAILED",
            (TestOutcome::Hung, _) => "HUNG",
            (TestOutcome::NotRun, _) => "not run",
            (TestOutcome::Running, _) => "running",
        })
    }
}

/// `SKIPPED: Linux 6.1.0 has no FEATURE (since 6.5): TEST`.
fn lacking(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once("SKIPPED: Linux ")?;
    let (_, rest) = rest.split_once(" has no ")?;
    let (feature, rest) = rest.split_once(" (")?;
    Some((feature, rest.split_once(')')?.0))
}

/// `FEATURE  ok`, `FEATURE  works (tried)`, or `FEATURE  ` and one of [`NOT`] with a reason; `None` for other lines.
fn feature(line: &str) -> Option<(String, Option<String>)> {
    if let Some(feature) = line.strip_suffix("  ok").or(line.strip_suffix("  works (tried)")) {
        return Some((tidy(feature), None)).filter(|(feature, _)| !feature.starts_with("kernel "));
    }
    NOT.iter().find_map(|(words, kept)| {
        let (feature, why) = line.split_once(&format!("  {words}"))?;
        Some((tidy(feature), Some(format!("{kept}{}", why.trim()))))
    })
}

/// How `tcpwatch check` reports a feature that does not work or was not tried, and the part of it that is kept in front
/// of the reason.
const NOT: [(&str, &str); 3] =
    [("off:", ""), ("attached, not tried:", "not tried: "), ("FAILS:", "FAILS: ")];

/// Without the blanks that align a table.
fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod unit {
    use super::*;

    fn report_of(lines: &[&str]) -> MachineReport {
        let names = ["kernel/a", "kernel/b"].map(str::to_owned);
        let mut report = MachineReport::new("vmlinuz", names.into_iter());
        for line in lines {
            report.read_line(line);
        }
        report
    }

    const GOOD: [&str; 9] = [
        "@kernel 6.1.0-56-amd64",
        "@check kernel 6.1.0-56-amd64, x86_64     ok",
        "@check TIME_WAIT   of one     works (tried)",
        "@check retries  attached, not tried: no reason",
        "@check sysctl tcp_rto_min_us  off:",
        "@begin kernel/a",
        "@begin kernel/b",
        "@end kernel/b ok 2.5",
        "@end kernel/a ok 3.0",
    ];

    #[test]
    fn a_machine_whose_tests_all_passed_is_good() {
        let mut report = report_of(&GOOD);
        assert_eq!(report.read_line("@done"), LineMeaning::Done);
        report.close(None, String::new);
        report.verdict().unwrap();
        assert_eq!(report.kernel, "6.1.0-56-amd64");
        let tried = ("TIME_WAIT of one".to_owned(), None);
        let untried = ("retries".to_owned(), Some("not tried: no reason".to_owned()));
        let sysctl = ("sysctl tcp_rto_min_us".to_owned(), Some(String::new()));
        assert_eq!(report.features, [tried, untried, sysctl]);
    }

    #[test]
    fn a_machine_that_ends_early_is_bad_and_says_in_which_test() {
        let mut report = report_of(&GOOD[..8]);
        report.close(None, || "Kernel panic".to_owned());
        let error = report.verdict().unwrap_err().to_string();
        let expected = "Linux 6.1.0-56-amd64: the machine ended too early, kernel/a; its last lines:\n\
                        Kernel panic";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_machine_that_is_cut_off_says_where_it_hung() {
        let mut report = report_of(&GOOD[..6]);
        report.close(Some(Duration::from_mins(10)), String::new);
        let cells: Vec<_> = report.tests.iter().map(|test| test.cell().to_string()).collect();
        assert_eq!(cells, ["HUNG", "not run"]);
        let error = report.verdict().unwrap_err().to_string();
        assert!(error.contains("cut off after 600 s, kernel/a"), "{error}");
    }

    #[test]
    fn a_failed_test_is_shown_with_what_it_said() {
        let mut report = report_of(&GOOD[..6]);
        report.read_line("@output kernel/a panicked at a.rs");
        let LineMeaning::Result(shown) = report.read_line("@end kernel/a failed 1.0") else {
            panic!("a result")
        };
        assert!(shown.contains("FAILED") && shown.contains("\n    panicked at a.rs"), "{shown}");
        report.read_line("@end kernel/b hung 180.0");
        report.read_line("@done");
        report.close(None, String::new);
        let error = report.verdict().unwrap_err().to_string();
        assert_eq!(error, "Linux 6.1.0-56-amd64: kernel/a FAILED, kernel/b HUNG");
    }

    #[test]
    fn machines_of_one_kernel_make_one_report_and_a_broken_one_breaks_it() {
        let mut report = report_of(&GOOD);
        report.read_line("@done");
        report.close(None, String::new);
        let mut odd = MachineReport::new("vmlinuz", ["kernel/odd".to_owned()].into_iter());
        odd.close(None, || "Kernel panic".to_owned());
        report.join(odd);
        assert_eq!((report.tests.len(), report.features.len()), (3, 3));
        assert_eq!(report.tests[2].cell().to_string(), "not run");
        let error = report.verdict().unwrap_err().to_string();
        assert!(error.contains("ended too early, outside a test"), "{error}");
    }

    #[test]
    fn what_was_left_out_is_told_by_feature() {
        let mut report = report_of(&GOOD);
        report.read_line("@output kernel/a SKIPPED: Linux 6.1.0 has no tcp_x (since 6.5): syn_3");
        assert_eq!(report.lacking(), [("tcp_x", "since 6.5")]);
        assert_eq!(report.tests[0].cell().to_string(), "ok, partly");
    }
}
