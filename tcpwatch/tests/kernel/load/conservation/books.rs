//! The accounts of one path, whether they balance, and the table of all.

use std::{fmt::Write as _, time::Duration};

use super::{
    due::Facts,
    instruments::{Counted, Instruments},
    reader::Printed,
    summary::Summary,
};
use crate::coverage::PerTracepoint;

/// One row of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) path: String,
    pub(super) connections: u64,
    pub(super) span: Duration,
    /// Records that the workload must have caused.
    pub(super) due: u64,
    /// Records that the kernel side attempted.
    pub(super) attempted: u64,
    /// Runs of a program that the kernel skipped.
    pub(super) skipped: u64,
    pub(super) ring_full: u64,
    pub(super) otherwise_lost: u64,
    /// Records that arrived.
    pub(super) received: u64,
    pub(super) lines_due: u64,
    /// Lines that were printed, without inferred ones.
    pub(super) lines: u64,
    pub(super) inferred: u64,
    /// Memory after the first quarter and at the end, in bytes.
    pub(super) memory: Option<(u64, u64)>,
    /// Records of each hook that are due and did not arrive.
    pub(super) unknown: u64,
    /// Records of each hook that are due and were not attempted.
    pub(super) silent: u64,
    /// Events for which the kernel ran no BPF program at all, by [`crate::coverage::Tally`].
    pub(super) uncovered: u64,
    /// See [`Facts::expired`].
    pub(super) expired: u64,
    /// What does not add up.
    pub(super) faults: Vec<String>,
}

impl Row {
    /// Due, but neither attempted nor counted as skipped. Negative when the kernel skipped runs about something else.
    pub(super) fn untold(&self) -> i64 {
        signed(self.due) - signed(self.attempted) - signed(self.skipped)
    }

    /// Adds an error if it does not hold.
    pub(super) fn check(&mut self, holds: bool, claim: impl Into<String>) {
        if !holds {
            self.faults.push(claim.into());
        }
    }

    pub(super) fn equal(&mut self, left: u64, right: u64, claim: &str) {
        self.check(left == right, format!("{claim}: {left} and {right}"));
    }

    /// The kernel's side: every hook against what the workload must have caused.
    pub(super) fn kernel(&mut self, facts: Facts, kernel: &Instruments, uncovered: &PerTracepoint) {
        let total = kernel.total();
        self.attempted = total.attempted;
        self.skipped = total.skipped;
        self.ring_full = total.ring_full;
        self.otherwise_lost = total.otherwise_lost;
        self.expired = facts.expired;
        self.uncovered = uncovered.values().sum();
        for (hook, tracepoint) in kernel.hooks() {
            let counted = kernel.counted(hook);
            let due = facts.records(hook).unwrap_or(counted.attempted);
            self.due += due;
            self.unknown += due.saturating_sub(counted.told());
            self.silent += due.saturating_sub(counted.attempted);
            let most = due + facts.more(hook);
            self.check(
                counted.attempted <= most,
                format!("{tracepoint}: {} attempted, {due} due", counted.attempted),
            );
            let uncovered = uncovered.get(tracepoint).copied().unwrap_or_default();
            self.check(
                counted.attempted + counted.skipped + uncovered >= due,
                format!("{tracepoint}: {due} due, {counted:?}"),
            );
        }
        if self.unknown > 0 {
            // Timers that were restarted hide as many missing ones.
            self.unknown += facts.delayed;
        }
    }

    /// The reader's side: its totals against its lines and against the kernel's side.
    pub(super) fn reader(&mut self, printed: &Printed, summary: &Summary) {
        let passed_over = summary.lost("output_slow");
        self.unknown += passed_over;
        self.received = summary.received.unwrap_or(self.in_ring() - passed_over);
        self.lines = printed.lines - printed.inferred;
        self.inferred = printed.inferred;
        self.equal(
            self.received + passed_over,
            self.in_ring(),
            "received is attempted without the lost",
        );
        if let Some(attempted) = summary.attempted {
            self.equal(attempted, self.attempted, "attempted, as reported and in the kernel");
        }
        self.equal(
            summary.lost("ring_full"),
            self.ring_full,
            "ring full, as reported and in the kernel",
        );
        self.equal(
            summary.lost("recursion"),
            self.skipped,
            "skipped, as reported and in the kernel",
        );
        let lost: u64 = summary.lost.values().sum();
        self.equal(printed.losses, lost, "the lines of losses and the summary");
        self.equal(printed.lines, summary.changes, "lines that were printed and lines reported");
    }

    /// Nothing is reported that did not happen, unless a lost record made it look so; sockets that exist at the end are
    /// reported as such.
    pub(super) fn truth(&mut self, facts: Facts, printed: &Printed, summary: &Summary) {
        // Lines that correct what the kernel did not report are marked, too, but nothing was missed.
        self.check(
            printed.inferred <= summary.inferred + facts.delayed,
            format!("{} lines are inferred, {} reported", printed.inferred, summary.inferred),
        );
        let due = facts.changes();
        for (change, told) in printed.changes() {
            let invented = told.saturating_sub(due.get(&change).copied().unwrap_or_default());
            self.check(
                invented <= self.unknown + facts.expired,
                format!("{change}: {told} reported, {:?} due", due.get(&change)),
            );
        }
        let (open, alive) = (summary.open, facts.time_wait);
        let unseen = if facts.only_retries { alive } else { self.unknown + facts.expired };
        self.check(
            open <= alive && alive - open <= unseen,
            format!("{open} open, {alive} alive, by the kernel's count"),
        );
    }

    /// What is due is there, except for what the kernel skipped, ran no program for, or does not report.
    pub(super) fn told_by_most(&mut self, silent: u64) {
        let most = self.due + self.expired;
        self.check(self.received <= most, "no more is reported than is due");
        self.check(
            self.received + self.skipped + self.uncovered + silent >= self.due,
            format!("{} due, {} reported, {} skipped", self.due, self.received, self.skipped),
        );
    }

    /// The lines against what the workload must have caused: each missing line is a record that is counted as lost or
    /// as skipped, or that was not reported at all, or another line that is inferred.
    pub(super) fn lines(&mut self, due: u64) {
        self.lines_due = due;
        self.check(self.lines <= due + self.expired, format!("{} lines, {due} due", self.lines));
        let missing = due.saturating_sub(self.lines);
        self.check(
            missing <= self.unknown.max(self.inferred),
            format!("{missing} lines are missing, {} records", self.unknown),
        );
    }

    const fn in_ring(&self) -> u64 {
        self.attempted - self.ring_full - self.otherwise_lost
    }

    fn cells(&self) -> [String; 14] {
        let memory =
            |bytes: u64| format!("{:.1}", f64::from(u32::try_from(bytes >> 10).unwrap()) / 1024.0);
        let per_second =
            f64::from(u32::try_from(self.connections).unwrap()) / self.span.as_secs_f64();
        let lines = |number: u64| {
            if self.lines_due == 0 { "-".to_owned() } else { number.to_string() }
        };
        let (first, last) = self.memory.map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |(first, last)| (memory(first), memory(last)),
        );
        [
            self.path.clone(),
            self.connections.to_string(),
            format!("{per_second:.0}"),
            self.due.to_string(),
            self.untold().to_string(),
            self.skipped.to_string(),
            self.attempted.to_string(),
            self.ring_full.to_string(),
            self.otherwise_lost.to_string(),
            self.received.to_string(),
            lines(self.lines_due),
            lines(self.lines),
            first,
            last,
        ]
    }
}

const TITLES: [&str; 14] = [
    "path",
    "connects",
    "per s",
    "records due",
    "not reported by the kernel",
    "missed: recursion",
    "attempted",
    "lost: ring full",
    "lost: other",
    "received",
    "lines due",
    "lines printed",
    "MiB at 1/4",
    "MiB at end",
];

/// The table of all paths.
pub(super) fn table(rows: &[Row]) -> String {
    markdown(TITLES, rows.iter().map(Row::cells))
}

const HOOK_TITLES: [&str; 8] = [
    "tracepoint",
    "fired",
    "missed: recursion",
    "ran",
    "passed over",
    "attempted",
    "lost: ring full",
    "received",
];

/// The table of the hooks of one path, whose runs the kernel has counted.
pub(super) fn table_of_hooks(kernel: &Instruments) -> String {
    let cells = kernel.hooks().map(|(hook, tracepoint)| {
        let Counted { runs, skipped, attempted, ring_full, .. } = kernel.counted(hook);
        let passed_over = runs.saturating_sub(attempted);
        let numbers = [
            runs + skipped,
            skipped,
            runs,
            passed_over,
            attempted,
            ring_full,
            kernel.counted(hook).told(),
        ];
        let mut cells = [const { String::new() }; 8];
        tracepoint.clone_into(&mut cells[0]);
        for (cell, number) in cells[1..].iter_mut().zip(numbers) {
            *cell = number.to_string();
        }
        cells
    });
    markdown(HOOK_TITLES, cells)
}

/// A Markdown table that is also readable as text: words left-aligned, numbers right-aligned.
fn markdown<const N: usize>(titles: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let lines: Vec<_> = [titles.map(str::to_owned)].into_iter().chain(rows).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap()
    });
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            if column == 0 {
                write!(text, "| {cell:<width$} ").unwrap();
            } else {
                write!(text, "| {cell:>width$} ").unwrap();
            }
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.into_iter().enumerate() {
                let (dashes, end) = if column == 0 { (width + 2, "") } else { (width + 1, ":") };
                write!(text, "|{}{end}", "-".repeat(dashes)).unwrap();
            }
            text.push_str("|\n");
        }
    }
    text
}

pub(super) fn signed(number: u64) -> i64 {
    number.try_into().unwrap()
}
