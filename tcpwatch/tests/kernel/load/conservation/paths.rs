//! Every path on which records reach a reader of the log, under load: churn at full speed, then bursts while the reader
//! is stopped.

use std::time::{Duration, Instant};

use aya::sys::{Stats, enable_stats};
use tcpwatch_common::counter::Hook;

use super::{
    books::{Row, table_of_hooks},
    due::Facts,
    instruments::Instruments,
    reader::{Printed, Reader},
    recording,
    snmp::{Snmp, time_wait, time_wait_to},
    workload::{Churn, Much},
};
use crate::{
    coverage::{PerTracepoint, Tally},
    harness::netns::Netns,
};

/// Connections of each thread in a burst: more than fit into the ring.
const BURST: u64 = 5_000;
const BURSTS: usize = 2;
/// Connects that are not answered.
const IN_VAIN: usize = 1_000;

/// What is run, and what it must print.
pub(super) struct Path {
    pub(super) name: &'static str,
    pub(super) args: &'static [&'static str],
    pub(super) lines: fn(Facts) -> u64,
}

pub(super) const TEXT: Path = Path { name: "text", args: &[], lines: Facts::happenings };

pub(super) const JSON: Path = Path {
    name: "JSON",
    args: &["--format", "json"],
    lines: |facts| facts.happenings() + facts.errors() + facts.connections(),
};

pub(super) const LIVES: Path =
    Path { name: "--lives", args: &["--lives"], lines: Facts::connections };

/// A path that is being run.
pub(super) struct Course<'a> {
    netns: &'a Netns,
    before: Snmp,
    pub(super) churn: Churn<'a>,
    pub(super) reader: Reader,
    pub(super) kernel: Instruments,
    pub(super) row: Row,
    only_retries: bool,
    /// Without it nothing is excused.
    tally: Result<Tally, String>,
}

/// The result.
pub(super) struct Outcome {
    pub(super) facts: Facts,
    pub(super) printed: Printed,
    pub(super) kernel: Instruments,
    pub(super) row: Row,
    uncovered: PerTracepoint,
}

impl<'a> Course<'a> {
    /// Returns when the reader misses nothing any more.
    pub(super) fn begin(netns: &'a Netns, name: &str, args: &[&str]) -> Self {
        let churn = Churn::new(netns);
        Self::with(netns, churn, name, args)
    }

    fn with(netns: &'a Netns, churn: Churn<'a>, name: &str, args: &[&str]) -> Self {
        let tally = Tally::start();
        if let Err(why) = &tally {
            println!("{name}: no witness, nothing is excused: {why}");
        }
        let before = Snmp::of(netns);
        let word = netns.word();
        let args: Vec<_> = ["--netns", &word].into_iter().chain(args.iter().copied()).collect();
        let reader = Reader::start(&args);
        let kernel = Instruments::of(reader.pid());
        let row = Row { path: name.to_owned(), ..Row::default() };
        Self { netns, before, churn, reader, kernel, row, only_retries: false, tally }
    }

    /// Churn, whose rate the table shows.
    pub(super) fn churn(&mut self, much: Much) {
        let (begun, before) = (Instant::now(), self.churn.made().connects());
        self.churn.run(much);
        self.row.span += begun.elapsed();
        self.row.connections += self.churn.made().connects() - before;
    }

    /// More than fits into the ring while nothing reads it.
    pub(super) fn bursts(&mut self) {
        for _ in 0..BURSTS {
            let Self { churn, reader, .. } = self;
            reader.while_stopped(|| churn.run(Much::Connects(BURST)));
        }
    }

    /// Ends it; the accounts of kernel and reader are compared with the workload.
    pub(super) fn end(self) -> Outcome {
        let Self { netns, before, churn, only_retries, tally, .. } = self;
        let (made, listeners) = (churn.made(), churn.listeners());
        drop(churn);
        let counted = Snmp::of(netns).since(&before);
        let facts = Facts {
            made,
            listeners,
            time_wait: time_wait(netns),
            expired: 0,
            sent_again: counted.get("Tcp", "RetransSegs"),
            delayed: counted.get("TcpExt", "DelayedACKs"),
            resets_besides: counted.get("Tcp", "OutRsts").saturating_sub(made.reset + made.refused),
            only_retries,
        };
        Outcome::of(facts, || time_wait(netns), self.reader, (self.kernel, tally), self.row)
    }

    /// The same for those connections only that the first listener has.
    fn end_first(self) -> Outcome {
        let Self { netns, before, churn, tally, .. } = self;
        let (made, port) = (churn.made_with_first(), churn.port());
        churn.made();
        drop(churn);
        let delayed = Snmp::of(netns).since(&before).get("TcpExt", "DelayedACKs");
        let alive = || time_wait_to(netns, port);
        let facts = Facts { made, listeners: 1, time_wait: alive(), delayed, ..Facts::default() };
        Outcome::of(facts, alive, self.reader, (self.kernel, tally), self.row)
    }
}

impl Outcome {
    fn of(
        mut facts: Facts,
        alive: impl Fn() -> u64,
        reader: Reader,
        (kernel, tally): (Instruments, Result<Tally, String>),
        mut row: Row,
    ) -> Self {
        let (printed, summary) = reader.stop();
        let uncovered = tally.map_or_else(|_| PerTracepoint::new(), |it| it.uncovered());
        facts.expired = facts.time_wait - alive();
        println!("{}: {facts:?}, {summary:?}, without any BPF program: {uncovered:?}", row.path);
        row.kernel(facts, &kernel, &uncovered);
        row.reader(&printed, &summary);
        row.truth(facts, &printed, &summary);
        Self { facts, printed, kernel, row, uncovered }
    }

    /// The number of lines that were due.
    pub(super) fn row(mut self, lines: u64) -> Row {
        self.row.lines(lines);
        self.row
    }
}

/// Churn for a while, then bursts.
pub(super) fn run(path: &Path, span: Duration) -> Row {
    let netns = Netns::new();
    let mut course = Course::begin(&netns, path.name, path.args);
    course.churn(Much::For(span));
    course.bursts();
    let outcome = course.end();
    let lines = (path.lines)(outcome.facts);
    outcome.row(lines)
}

/// The same with the kernel's statistics, which take time; also returns the table of the hooks.
pub(super) fn run_counted(path: &Path, span: Duration) -> (Row, String) {
    // The kernel counts while this is open.
    let counting = enable_stats(Stats::RunTime).unwrap();
    let netns = Netns::new();
    let mut course = Course::begin(&netns, &format!("{}, runs counted", path.name), path.args);
    course.churn(Much::For(span));
    course.bursts();
    let mut outcome = course.end();
    drop(counting);
    for (hook, tracepoint) in outcome.kernel.hooks() {
        let counted = outcome.kernel.counted(hook);
        let due = outcome.facts.records(hook).unwrap_or(counted.attempted);
        let due = due - outcome.facts.owners(hook);
        outcome.row.check(
            counted.attempted <= counted.runs + outcome.facts.owners(hook),
            format!("{tracepoint}: every attempt is one run's: {counted:?}"),
        );
        let uncovered = outcome.uncovered.get(tracepoint).copied().unwrap_or_default();
        outcome.row.check(
            counted.runs + counted.skipped + uncovered >= due,
            format!("{tracepoint}: it fires as often as is due, {due}: {counted:?}"),
        );
    }
    let table = table_of_hooks(&outcome.kernel);
    let lines = (path.lines)(outcome.facts);
    (outcome.row(lines), table)
}

/// What the filter matches, and nothing else.
pub(super) fn filtered(span: Duration) -> Row {
    let netns = Netns::new();
    let churn = Churn::new(&netns);
    let port = churn.port().to_string();
    let mut course = Course::with(&netns, churn, "--port", &["--port", &port]);
    course.churn(Much::For(span));
    course.bursts();
    course.row.connections = course.churn.made_with_first().connects();
    let outcome = course.end_first();
    let lines = outcome.facts.happenings();
    outcome.row(lines)
}

/// Retransmissions among churn that the filter excludes; some while nothing reads.
pub(super) fn retries() -> Row {
    let netns = Netns::new();
    let mut course = Course::begin(&netns, "--retries", &["--retries"]);
    course.only_retries = true;
    course.churn.connect_in_vain(IN_VAIN);
    // They are retransmitted every second.
    course.churn(Much::For(Duration::from_millis(2_500)));
    let Course { churn, reader, .. } = &mut course;
    reader.while_stopped(|| churn.run(Much::For(Duration::from_secs(2))));
    course.churn(Much::For(Duration::from_secs(1)));
    let mut outcome = course.end();
    let [skbs, answers] = [Hook::Retransmit, Hook::RetransmitSynAck];
    let told = outcome.kernel.counted(skbs).told() + outcome.kernel.counted(answers).told();
    outcome.row.equal(outcome.printed.lines, told, "lines and retries that the ring had room for");
    let lines = outcome.facts.sent_again;
    outcome.row(lines)
}

/// A recording holds every record that came in, by each hook.
pub(super) fn recorded(span: Duration) -> Row {
    let netns = Netns::new();
    let recording = recording::Fifo::new();
    let args = ["--record", recording.path()];
    let mut course = Course::begin(&netns, "--record", &args);
    course.churn(Much::For(span));
    course.bursts();
    let mut outcome = course.end();
    let recorded = recording.count();
    for (hook, tracepoint) in outcome.kernel.hooks() {
        let told = outcome.kernel.counted(hook).told();
        let count = recorded.of(hook);
        outcome.row.equal(count, told, &format!("{tracepoint}: recorded, and put into the ring"));
    }
    let lines = outcome.facts.happenings();
    outcome.row(lines)
}
