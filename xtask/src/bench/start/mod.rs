//! How long programs take from their start to their first line, and how much memory they use.

mod first_line;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    case::{self, ANY_PORT, JSON, SERVE, TCPSTATES, TEXT, WEB},
    command::Bench,
    losses::LossReport,
    peers::{self, ONE_LINER_LABEL, TCPLIFE},
    proc_files::{self, Memory},
    statistics::{median, megabytes, spread},
    table::Table,
    tool::{Ready, Spec, Stdout, Tool},
    workload::Workload,
};
use first_line::{ListenTraffic, first_line};
use tcpwatch_bpf_toolchain::in_path;

/// The number of starts of each.
const ROUNDS: u32 = 9;

const LEGEND: &str = "\
All times are from the start of the process. `first line` is when its first line about a change was read,
while one thread makes changes as fast as it can; `attached` is when its banner was read, without any
changes: the median and half of the distance between the quartiles (\u{b1}). Memory is its resident size
before, and after connections were opened and closed for 5 seconds, and its peak.
";

/// Measurements of a program.
#[derive(Debug)]
struct StartFigures {
    first_line: Vec<f64>,
    attached: Vec<f64>,
    idle: Memory,
    busy: Memory,
}

pub(super) fn table(bench: &Bench) -> Result<String> {
    let heading =
        ["", "first line ms", "\u{b1}", "attached ms", "\u{b1}", "memory", "then", "most"];
    let mut table = Table::new(&heading);
    for (label, spec) in specs(bench) {
        eprintln!("bench: start of {label}");
        table.push(row(label, &see(bench, label, &spec).with_context(|| label.to_owned())?));
    }
    let program = &bench.tcpwatch;
    Ok(format!(
        "{}\n{LEGEND}\ntcpwatch --help: {:.1} ms, tcpwatch lab list: {:.1} ms from the start of the process \
         to its end. {}\n",
        table.text(bench.form),
        run(bench, program, &["--help"])?,
        run(bench, program, &["lab", "list"])?,
        size(program)?,
    ))
}

fn specs(bench: &Bench) -> Vec<(&'static str, Spec)> {
    let of_tcpwatch =
        |label, args: &[&str]| (label, case::tcpwatch(&bench.tcpwatch, LossReport::Nothing, args));
    let mut specs = vec![
        of_tcpwatch(TEXT, &[]),
        of_tcpwatch(JSON, &["--format", "json"]),
        of_tcpwatch(SERVE, &["serve", WEB, ANY_PORT]),
    ];
    let peers = [TCPSTATES, TCPLIFE, ONE_LINER_LABEL];
    specs.extend(peers.into_iter().filter_map(|label| Some((label, peers::spec(label)?))));
    specs
}

fn see(bench: &Bench, label: &str, spec: &Spec) -> Result<StartFigures> {
    let rounds = bench.rounds(ROUNDS);
    let first_line = if [SERVE, TCPLIFE].contains(&label) {
        // A tool that watches nothing here prints no line about a change.
        Vec::new()
    } else {
        let traffic = ListenTraffic::start()?;
        let lines = (0..rounds).map(|_| Ok(millis(first_line(spec)?))).collect::<Result<_>>()?;
        traffic.stop()?;
        lines
    };
    let attached = match spec.ready {
        Ready::Banner(_) => (0..rounds).map(|_| attached_after(spec)).collect::<Result<_>>()?,
        Ready::Programs => Vec::new(),
    };
    let tool = Tool::start(spec, Stdout::Discarded)?;
    let idle = proc_files::memory(tool.pid())?;
    Workload::Churn.run(Duration::from_secs(if bench.quick { 1 } else { 5 }))?;
    tool.settle()?;
    let busy = proc_files::memory(tool.pid())?;
    tool.end()?;
    Ok(StartFigures { first_line, attached, idle, busy })
}

fn attached_after(spec: &Spec) -> Result<f64> {
    let tool = Tool::start(spec, Stdout::Discarded)?;
    let after = millis(tool.attached_after);
    tool.end()?;
    Ok(after)
}

fn row(label: &str, seen: &StartFigures) -> Vec<String> {
    let StartFigures { first_line, attached, idle, busy } = seen;
    let cell =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    let memory = |bytes| format!("{:.1} MB", megabytes(bytes));
    vec![
        label.to_owned(),
        cell(median(first_line)),
        cell(spread(first_line)),
        cell(median(attached)),
        cell(spread(attached)),
        memory(idle.resident),
        memory(busy.resident),
        memory(busy.peak),
    ]
}

/// Median of the milliseconds from the start to the end of a program.
fn run(bench: &Bench, program: &Path, args: &[&str]) -> Result<f64> {
    let once = |_| {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        let status =
            command.status().with_context(|| format!("cannot start {}", program.display()))?;
        ensure!(status.success(), "{} {args:?} failed ({status})", program.display());
        Ok(millis(start.elapsed()))
    };
    let times: Vec<_> = (0..bench.rounds(ROUNDS)).map(once).collect::<Result<_>>()?;
    median(&times).context("never started")
}

/// A sentence about the size of the program.
fn size(program: &Path) -> Result<String> {
    let bytes = |path: &Path| Ok::<_, std::io::Error>(megabytes(fs::metadata(path)?.len()));
    let whole = bytes(program).context("cannot read the size of the program")?;
    if in_path("strip").is_none() {
        return Ok(format!("The program is {whole:.1} MB with symbols and line tables."));
    }
    let stripped = std::env::temp_dir().join(format!("tcpwatch-bench-{}", std::process::id()));
    let status = Command::new("strip").arg("-o").args([&stripped, program]).status();
    ensure!(status.context("cannot start strip")?.success(), "strip failed");
    let small = bytes(&stripped).context("cannot read the size of the stripped program")?;
    fs::remove_file(&stripped).context("cannot remove the stripped program")?;
    Ok(format!("The program is {small:.1} MB, and {whole:.1} MB with symbols and line tables."))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
