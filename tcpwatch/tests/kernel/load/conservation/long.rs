//! Two minutes on all CPUs: the log and the metrics, side by side, agree and do not grow.

use std::{fs, time::Duration};

use super::{
    books::{Row, signed},
    instruments::Instruments,
    paths::{Course, JSON},
    snmp::time_wait,
    workload::Much,
};
use crate::harness::{exporter::Exporter, netns::Netns, program::while_stopped};

/// A quarter of the two minutes.
const QUARTER: Duration = Duration::from_secs(30);
/// Growth that counts as none, after the first quarter: that of allocators.
const FLAT: u64 = 6 << 20;

/// The rows of the log and of the metrics.
pub(super) fn run() -> [Row; 2] {
    let netns = Netns::new();
    let exporter = Exporter::on(&netns);
    let counts = Instruments::of(exporter.pid());
    let mut course = Course::begin(&netns, "JSON, two minutes", JSON.args);
    let before = exporter.samples();
    let pids = [course.reader.pid(), exporter.pid()];
    course.churn(Much::For(QUARTER));
    let early = pids.map(memory);
    for _ in 1..4 {
        course.churn(Much::For(QUARTER));
    }
    let late = pids.map(memory);
    // A stopped process goes on counting, because the kernel counts.
    while_stopped(exporter.pid(), || course.bursts());

    let mut outcome = course.end();
    outcome.row.grows([early[0], late[0]]);
    let due = outcome.facts.changes();
    let grown = exporter.samples().since(&before);
    let expired = outcome.facts.time_wait - time_wait(&netns);
    let (log, facts) = (&outcome.row, outcome.facts);
    let mut row = Row { path: "serve, beside it".to_owned(), ..Row::default() };
    (row.connections, row.span) = (log.connections, log.span);
    row.skipped = counts.total().skipped;
    row.due = due.values().sum();
    row.grows([early[1], late[1]]);
    row.expired = expired;
    println!("{}: {:?}, {:?} due", row.path, grown.changes(), due);
    for (change, told) in grown.changes() {
        let (told, due) = (u64::try_from(told).unwrap(), due.get(&change).copied());
        row.received += told;
        let invented = told.saturating_sub(due.unwrap_or_default());
        // Where the log got no event, the metrics did not, either.
        row.check(
            invented <= row.skipped + log.silent + expired,
            format!("{change}: {told} counted, {due:?} due"),
        );
    }
    row.attempted = row.received;
    row.equal(
        u64::try_from(grown.missed()).unwrap(),
        row.skipped,
        "missed, as reported and by the kernel",
    );
    row.equal(
        u64::try_from(grown.count("connects_total")).unwrap(),
        facts.made.connects(),
        "connects",
    );
    // Where the kernel does not report it, TIME_WAIT is reported at its end.
    row.uncovered = log.uncovered;
    row.told_by_most(facts.delayed);
    let lines = (JSON.lines)(facts);
    [outcome.row(lines), row]
}

impl Row {
    fn grows(&mut self, [early, late]: [u64; 2]) {
        self.memory = Some((early, late));
        let grown = signed(late) - signed(early);
        self.check(grown <= signed(FLAT), format!("it grew by {grown} bytes"));
    }
}

/// Resident memory in bytes.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
