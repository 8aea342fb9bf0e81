//! Tables of tests by kernel and of features by kernel.

use super::report::{MachineReport, TestOutcome};

/// Tests by kernel, for a terminal.
pub(crate) fn tests(reports: &[MachineReport]) -> String {
    let heads: Vec<String> = reports.iter().map(|report| report.kernel.clone()).collect();
    let widths: Vec<usize> = heads.iter().map(|head| head.len().max(10)).collect();
    let row = |cells: &[String], name: &str| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.chain([name.to_owned()]).collect::<Vec<_>>().join("  ")
    };
    let mut names: Vec<&str> =
        reports.iter().flat_map(|report| &report.tests).map(|test| test.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut rows = vec![row(&heads, "")];
    rows.extend(names.into_iter().map(|name| {
        let cell = |report: &MachineReport| {
            let test = report.tests.iter().find(|test| test.name == name);
            test.map_or_else(|| "-".to_owned(), |test| test.cell().to_string())
        };
        row(&reports.iter().map(cell).collect::<Vec<_>>(), name)
    }));
    rows.join("\n")
}

/// Features by kernel, as Markdown.
pub(crate) fn features(reports: &[MachineReport]) -> String {
    let row = |name: &str, cells: &[String]| format!("| {name} | {} |", cells.join(" | "));
    let heads: Vec<_> = reports.iter().map(|report| report.kernel.clone()).collect();
    let mut lines = vec![row("", &heads), format!("|---|{}", "---|".repeat(reports.len()))];
    lines.extend(rows(reports).iter().map(|(feature, answers)| row(feature, answers)));
    lines.join("\n")
}

/// Each feature with its cell for each kernel.
fn rows(reports: &[MachineReport]) -> Vec<(String, Vec<String>)> {
    let mut names: Vec<&str> = Vec::new();
    let reported = reports.iter().flat_map(|report| &report.features);
    let lacking = reports.iter().flat_map(MachineReport::lacking).map(|(name, _)| name);
    for name in reported.map(|(name, _)| name.as_str()).chain(lacking) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let is_checked = |name: &str| {
        reports.iter().flat_map(|report| &report.features).any(|(feature, _)| feature == name)
    };
    let answer = |report: &MachineReport, name: &str| {
        let reported = report.features.iter().find(|(feature, _)| feature == name);
        let asked = report.lacking().into_iter().find(|(feature, _)| *feature == name);
        match (asked, reported.and_then(|(_, off)| off.as_deref())) {
            (Some((_, since)), _) => format!("no, {since}"),
            (None, Some("")) => "no".to_owned(),
            (None, Some(why)) => format!("no: {why}"),
            // Reported on that kernel, or known only from tests, which found it.
            (None, None) if reported.is_some() || !is_checked(name) => "yes".to_owned(),
            (None, None) => "not known".to_owned(),
        }
    };
    let mut rows: Vec<_> = names
        .into_iter()
        .map(|name| (name.to_owned(), reports.iter().map(|report| answer(report, name)).collect()))
        .collect();
    rows.push(("tests passed".to_owned(), reports.iter().map(passed).collect()));
    rows
}

fn passed(report: &MachineReport) -> String {
    let passed = report.tests.iter().filter(|test| test.outcome == TestOutcome::Passed).count();
    format!("{passed} of {}", report.tests.len())
}

#[cfg(test)]
mod unit {
    use super::*;

    fn reports() -> [MachineReport; 2] {
        let report = |lines: &[&str]| {
            let mut report = MachineReport::new("vmlinuz", ["kernel/a".to_owned()].into_iter());
            for line in lines {
                report.read_line(line);
            }
            report
        };
        [
            report(&[
                "@kernel 6.1",
                "@check hook x  ok",
                "@check resets  off: since 6.10",
                "@check sysctl z  off:",
                "@output kernel/a SKIPPED: Linux 6.1 has no y (since 6.5): a",
                "@end kernel/a ok 1.0",
            ]),
            report(&[
                "@kernel 6.12",
                "@check hook x  ok",
                "@check resets  ok",
                "@check sysctl z  off:",
                "@end kernel/a failed 1.0",
            ]),
        ]
    }

    #[test]
    fn every_test_has_a_line_and_every_kernel_a_column() {
        let expected = "6.1         6.12        \nok, partly  FAILED      kernel/a";
        assert_eq!(tests(&reports()), expected);
    }

    #[test]
    fn a_test_that_only_some_kernels_run_has_a_line_too() {
        let [one, mut other] = reports();
        other.tests.clear();
        let expected = "6.1         6.12        \nok, partly  -           kernel/a";
        assert_eq!(tests(&[one, other]), expected);
    }

    #[test]
    fn what_a_kernel_did_not_tell_is_not_taken_for_granted() {
        let [reported, mut silent] = reports();
        silent.features.clear();
        let table = features(&[reported, silent]);
        assert!(table.contains("| hook x | yes | not known |"), "{table}");
    }

    #[test]
    fn features_that_only_a_test_asked_for_are_in_the_table() {
        let expected = "\
|  | 6.1 | 6.12 |
|---|---|---|
| hook x | yes | yes |
| resets | no: since 6.10 | yes |
| sysctl z | no | no |
| y | no, since 6.5 | yes |
| tests passed | 1 of 1 | 0 of 1 |";
        assert_eq!(features(&reports()), expected);
    }
}
