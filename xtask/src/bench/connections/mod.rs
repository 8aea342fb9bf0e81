//! What tools that watch connections cost for each connection, and how much of it they show: tools that use state
//! changes, packets, or polling.

mod case;
mod poll;
mod report;

use std::{thread, time::Duration};

use anyhow::{Context, Result, anyhow};

use self::case::{ConnectionCase, PORT, WatcherEnd};
use super::{
    command::Bench,
    private_net,
    statistics::{Micros, number, per},
    workload::{self, CHURN_TRANSITIONS, ConnectionChurn},
};

/// The number of rounds for each case.
const ROUNDS: u32 = 3;
/// Connections at a steady rate, during which the tool's own cost is measured.
const PACED: u32 = 2000;
/// Time between two of them.
const INTERVAL: Duration = Duration::from_millis(1);
/// How long connections are made as fast as possible.
const FAST: Duration = Duration::from_millis(500);

/// One round of a case.
#[derive(Clone, Copy, Debug)]
struct ConnectionRound {
    /// CPU time of the thread that connects and closes, for each connection, at full speed.
    connection: Micros,
    /// Lines, records or packets that the tool lost of those, for each connection.
    lost: Option<f64>,
    /// CPU time of the tool for each connection at the steady rate.
    tool: Option<Micros>,
    /// Lines, or states, that it showed for each connection at the steady rate.
    shown: Option<f64>,
}

/// All rounds of a case.
#[derive(Debug)]
struct MeasuredConnection {
    label: &'static str,
    rounds: Vec<ConnectionRound>,
}

/// Measures all cases, one after the other in each round; returns the finished table.
pub(super) fn table(bench: &Bench) -> Result<String> {
    let cases = case::all(&bench.tcpwatch);
    let mut measured: Vec<_> = cases
        .iter()
        .map(|case| MeasuredConnection { label: case.label, rounds: Vec::new() })
        .collect();
    let rounds = bench.rounds(ROUNDS);
    for number in 1..=rounds {
        eprintln!("bench: connections, round {number} of {rounds}");
        for (case, measured) in cases.iter().zip(&mut measured) {
            measured.rounds.push(round(case).with_context(|| format!("with {}", case.label))?);
        }
    }
    Ok(report::write(&measured, bench.form))
}

fn round(case: &ConnectionCase) -> Result<ConnectionRound> {
    let (work, fast) = watched(case, |mut churn| churn.run(FAST))?;
    let ((), ended) = watched(case, |mut churn| churn.pace(PACED, INTERVAL))?;
    let connections = u64::from(PACED);
    let fast_connections = work.transitions / u64::from(CHURN_TRANSITIONS);
    Ok(ConnectionRound {
        connection: work.cpu() * f64::from(CHURN_TRANSITIONS),
        lost: fast.lost.map(|lost| number(lost) / number(fast_connections)),
        tool: ended.cpu.map(|cpu| per(cpu, connections)),
        shown: ended.shown.map(|shown| number(shown) / number(connections)),
    })
}

/// Makes connections while the tool watches, both in a new network namespace, so that the tool sees nothing else:
/// neither other programs nor the sockets in `TIME_WAIT` of earlier rounds.
fn watched<T: Send + 'static>(
    case: &ConnectionCase,
    work: impl FnOnce(ConnectionChurn) -> Result<T> + Send + 'static,
) -> Result<(T, WatcherEnd)> {
    let watch = || {
        private_net::enter()?;
        let running = case.watcher.start()?;
        let last =
            workload::cpus()?.last().copied().context("no CPU is available to this process")?;
        let working = workload::begin(move || {
            workload::pin(last)?;
            work(ConnectionChurn::new(PORT)?)
        })?;
        let done = working.end()?;
        Ok((done, running.end()?))
    };
    let joined = thread::scope(|scope| scope.spawn(watch).join());
    joined.map_err(|_panic| anyhow!("the thread that measures panicked"))?
}
