//! Replays a recording under valgrind and reads its counts.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::recording::SyntheticRecording;
use crate::bench::statistics::number;

/// The counts of a run, or its share of each line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ValgrindCounts {
    pub(super) instructions: f64,
    pub(super) allocations: f64,
    pub(super) bytes: f64,
}

impl ValgrindCounts {
    pub(super) fn less(self, other: Self) -> Self {
        Self {
            instructions: self.instructions - other.instructions,
            allocations: self.allocations - other.allocations,
            bytes: self.bytes - other.bytes,
        }
    }

    pub(super) fn per(self, lines: u32) -> Self {
        let Self { instructions, allocations, bytes } = self;
        let each = |total| total / f64::from(lines);
        Self {
            instructions: each(instructions),
            allocations: each(allocations),
            bytes: each(bytes),
        }
    }
}

/// Replays the recording twice: once to count instructions, once to count allocations.
pub(super) fn count(
    valgrind: &Path,
    program: &Path,
    recording: &SyntheticRecording,
    args: &[&str],
) -> Result<ValgrindCounts> {
    let run = |tool: &[&str]| run(valgrind, tool, program, recording, args);
    let report = run(&["--tool=callgrind", "--callgrind-out-file=/dev/null"])?;
    let instructions = collected(&report).with_context(|| format!("no count in: {report}"))?;
    let report = run(&["--tool=dhat", "--dhat-out-file=/dev/null"])?;
    let (bytes, allocations) = total(&report).with_context(|| format!("no total in: {report}"))?;
    Ok(ValgrindCounts {
        instructions: number(instructions),
        allocations: number(allocations),
        bytes: number(bytes),
    })
}

fn run(
    valgrind: &Path,
    tool: &[&str],
    program: &Path,
    recording: &SyntheticRecording,
    args: &[&str],
) -> Result<String> {
    let mut command = Command::new(valgrind);
    command.args(tool).arg(program).arg("replay").arg(recording.path()).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().context("cannot start valgrind")?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "valgrind failed: {report}");
    Ok(report)
}

/// `==7== Collected : 451665553`
fn collected(report: &str) -> Option<u64> {
    let mut counts =
        report.lines().filter_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    counts.next()
}

/// `==7== Total:     1,234 bytes in 56 blocks`
fn total(report: &str) -> Option<(u64, u64)> {
    let line = report.lines().find_map(|line| line.split_once("Total:"))?.1;
    let mut numbers =
        line.split_whitespace().filter_map(|word| word.replace(',', "").parse::<u64>().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says_is_understood() {
        let callgrind = "==7== Events    : Ir\n==7== Collected : 451665553\n==7== \n";
        assert_eq!(collected(callgrind), Some(451_665_553), "instructions");
        let dhat = "==7== \n==7== Total:     1,234,567 bytes in 8,901 blocks\n==7== At t-gmax: 1 bytes in 1 blocks\n";
        assert_eq!(total(dhat), Some((1_234_567, 8901)), "bytes and blocks");
    }
}
