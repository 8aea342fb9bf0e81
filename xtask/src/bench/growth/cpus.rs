//! What a change costs with connections on one CPU and on two CPUs at once, and how many are made.

use std::time::Duration;

use anyhow::{Context, Result};

use super::ROUNDS;
use crate::bench::{
    case::{self, ANY_PORT, Attachment, ChangeCase, JSON, NOTHING, SERVE, TCPSTATES, TEXT, WEB},
    command::Bench,
    losses::LossReport,
    peers,
    statistics::{median, number},
    table::Table,
    tool::Stdout,
    workload::{self, Workload},
};

const LENGTH: Duration = Duration::from_millis(400);

const LEGEND: &str = "\
Connections that come and go as fast as one thread on each CPU can, each in a network namespace of its
own; with two of two CPUs busy the tool's own work slows them down as well. `changes/s` is by the wall
clock, all CPUs together; its share is relative to nothing attached, `added` is CPU time of the
threads for a change.
";

/// The measurements of one round.
#[derive(Clone, Copy, Debug)]
struct CpuRound {
    per_second: f64,
    micros: f64,
}

pub(super) fn table(bench: &Bench) -> Result<String> {
    let cases = cases(bench);
    let mut table = Table::new(&["attached", "CPUs", "changes/s", "share", "added us"]);
    let all = workload::cpus()?;
    for count in 1..=all.len().min(2) {
        // The last CPUs, as in all sections: the first one serves more interrupts.
        let cpus = all.get(all.len() - count..).unwrap_or_default();
        let mut measured = vec![Vec::new(); cases.len()];
        for number in 1..=bench.rounds(ROUNDS) {
            eprintln!("bench: {count} CPUs, round {number}");
            for (case, rounds) in cases.iter().zip(&mut measured) {
                rounds.push(round(case, cpus).with_context(|| format!("with {}", case.label))?);
            }
        }
        let Some(nothing) = measured.first() else { continue };
        for (case, rounds) in cases.iter().zip(&measured) {
            table.push(row(case, count, rounds, nothing));
        }
    }
    Ok(format!("{}\n{LEGEND}", table.text(bench.form)))
}

fn cases(bench: &Bench) -> Vec<ChangeCase> {
    let tool = |label, spec| ChangeCase { label, attached: Attachment::Tool(spec) };
    let of_tcpwatch = |label, args: &[&str]| {
        tool(label, case::tcpwatch(&bench.tcpwatch, LossReport::Nothing, args))
    };
    let mut cases = vec![
        ChangeCase { label: NOTHING, attached: Attachment::Nothing },
        of_tcpwatch(TEXT, &[]),
        of_tcpwatch(JSON, &["--format", "json"]),
        of_tcpwatch(SERVE, &["serve", WEB, ANY_PORT]),
    ];
    cases.extend(peers::spec(TCPSTATES).map(|spec| tool(TCPSTATES, spec)));
    cases
}

fn round(case: &ChangeCase, cpus: &[usize]) -> Result<CpuRound> {
    let running = case.attached.start(Stdout::Discarded)?;
    let begun: Vec<_> =
        cpus.iter().map(|cpu| Workload::Churn.begin(*cpu, LENGTH)).collect::<Result<_>>()?;
    let done: Vec<_> = begun.into_iter().map(workload::Working::end).collect::<Result<_>>()?;
    running.end()?;
    let times: Vec<_> = done.iter().map(workload::TimedWork::cpu).collect();
    Ok(CpuRound {
        per_second: done.iter().map(|work| number(work.transitions) / work.ran.as_secs_f64()).sum(),
        micros: median(&times).context("no change was made")?,
    })
}

fn row(case: &ChangeCase, cpus: usize, rounds: &[CpuRound], nothing: &[CpuRound]) -> Vec<String> {
    let pairs = || rounds.iter().zip(nothing);
    let is_nothing = case.label == NOTHING;
    let of = |values: Vec<f64>, text: fn(f64) -> String| match median(&values) {
        Some(value) if !is_nothing => text(value),
        _ => "-".to_owned(),
    };
    let per_second: Vec<_> = rounds.iter().map(|round| round.per_second).collect();
    vec![
        case.label.to_owned(),
        cpus.to_string(),
        median(&per_second).map_or_else(|| "-".to_owned(), |value| format!("{value:.0}")),
        of(pairs().map(|(it, nothing)| it.per_second / nothing.per_second).collect(), |share| {
            format!("{:.0}%", 100.0 * share)
        }),
        of(pairs().map(|(it, nothing)| it.micros - nothing.micros).collect(), |micros| {
            format!("{micros:.2}")
        }),
    ]
}
