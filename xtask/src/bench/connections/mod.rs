//! Tools that watch connections by state changes, by packets, or by asking again and again come in;
//! what each costs for a connection, and how much of it each shows, goes out as a table.

mod case;
mod poll;
mod report;

use std::{thread, time::Duration};

use anyhow::{Context, Result, anyhow};

use self::case::{Case, Ended, PORT};
use super::{
    command::Bench,
    private_net,
    statistics::{Micros, number, per},
    workload::{self, CHURN_TRANSITIONS, Churn},
};

/// How often each case is measured.
const ROUNDS: u32 = 3;
/// Connections at a steady rate, in which the tool's own cost is measured.
const PACED: u32 = 2000;
/// From one of them to the next.
const INTERVAL: Duration = Duration::from_millis(1);
/// How long they come as fast as they can.
const FAST: Duration = Duration::from_millis(500);

/// One round of a case.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// CPU time of the thread that connects and closes, for a connection, as fast as they go.
    connection: Micros,
    /// Lines, records or packets that the tool lost of those, for a connection.
    lost: Option<f64>,
    /// CPU time of the tool for a connection, of those that come at a steady rate.
    tool: Option<Micros>,
    /// Lines, or states that it showed, for a connection, of the same.
    shown: Option<f64>,
}

/// All rounds of a case.
#[derive(Debug)]
struct Measured {
    label: &'static str,
    rounds: Vec<Round>,
}

/// Measures all cases, one after the other in each round.
pub(super) fn table(bench: &Bench) -> Result<String> {
    let cases = case::all(&bench.tcpwatch);
    let mut measured: Vec<_> =
        cases.iter().map(|case| Measured { label: case.label, rounds: Vec::new() }).collect();
    let rounds = bench.rounds(ROUNDS);
    for number in 1..=rounds {
        eprintln!("bench: connections, round {number} of {rounds}");
        for (case, measured) in cases.iter().zip(&mut measured) {
            measured.rounds.push(round(case).with_context(|| format!("with {}", case.label))?);
        }
    }
    Ok(report::write(&measured, bench.form))
}

fn round(case: &Case) -> Result<Round> {
    let (work, fast) = watched(case, |mut churn| churn.run(FAST))?;
    let ((), ended) = watched(case, |mut churn| churn.pace(PACED, INTERVAL))?;
    let connections = u64::from(PACED);
    let fast_connections = work.transitions / u64::from(CHURN_TRANSITIONS);
    Ok(Round {
        connection: work.cpu() * f64::from(CHURN_TRANSITIONS),
        lost: fast.lost.map(|lost| number(lost) / number(fast_connections)),
        tool: ended.cpu.map(|cpu| per(cpu, connections)),
        shown: ended.shown.map(|shown| number(shown) / number(connections)),
    })
}

/// Connects while the tool watches, both in a network namespace of their own, so that it sees nothing
/// else, neither other programs nor the sockets in `TIME_WAIT` of the rounds before.
fn watched<T: Send + 'static>(
    case: &Case,
    work: impl FnOnce(Churn) -> Result<T> + Send + 'static,
) -> Result<(T, Ended)> {
    let watch = || {
        private_net::enter()?;
        let running = case.watcher.start()?;
        let last = workload::cpus()?.last().copied().context("no CPU that we may use")?;
        let working = workload::begin(move || {
            workload::pin(last)?;
            work(Churn::new(PORT)?)
        })?;
        let done = working.end()?;
        Ok((done, running.end()?))
    };
    let joined = thread::scope(|scope| scope.spawn(watch).join());
    joined.map_err(|_panic| anyhow!("the thread that measures panicked"))?
}
