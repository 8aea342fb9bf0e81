//! What a change, a line and a start cost with 1 to 100,000 live sockets to track.

use std::{thread, time::Duration};

use anyhow::{Context, Result, anyhow};

use super::{ROUNDS, held::Held};
use crate::bench::{
    case,
    command::Bench,
    losses::LossReport,
    private_net,
    proc_files::{self, Memory},
    statistics::{Micros, median, megabytes, per, spread},
    table::Table,
    tool::{Stdout, Tool},
    workload::{TimedWork, Workload},
};

const SOCKETS: [u32; 4] = [1, 1000, 10_000, 100_000];
const CHURN: Duration = Duration::from_millis(300);

const LEGEND: &str = "\
tcpwatch --format json to /dev/null, started when so many sockets exist, while other connections
are opened and closed. `added` is CPU time of the thread that makes the changes, against nothing attached with the
same sockets: the median round and half of the distance between the quartiles (\u{b1}). The tool's CPU time
is user and system. `attached after` is from the start of the process; memory is the resident size then,
and after the churn.
";

/// One round with this number of sockets.
#[derive(Clone, Copy, Debug)]
struct SocketRound {
    nothing: Micros,
    watched: Micros,
    tool: Micros,
    attached_after: Duration,
    before: Memory,
    after: Memory,
}

pub(super) fn table(bench: &Bench) -> Result<String> {
    let heading =
        ["live sockets", "added us", "\u{b1}", "tool CPU us", "attached after", "memory", "then"];
    let mut table = Table::new(&heading);
    for sockets in SOCKETS {
        eprintln!("bench: {sockets} live sockets");
        let rounds =
            measure(bench, sockets).with_context(|| format!("with {sockets} live sockets"))?;
        table.push(row(sockets, &rounds));
    }
    Ok(format!("{}\n{LEGEND}", table.text(bench.form)))
}

/// Only the sockets and the tool are in a new network namespace; the tool lists the sockets of that namespace first.
fn measure(bench: &Bench, sockets: u32) -> Result<Vec<SocketRound>> {
    let measure = || {
        private_net::enter()?;
        let held = Held::open(sockets)?;
        let rounds = (0..bench.rounds(ROUNDS)).map(|_| round(bench)).collect::<Result<_>>()?;
        held.close()?;
        Ok(rounds)
    };
    let joined = thread::scope(|scope| scope.spawn(measure).join());
    joined.map_err(|_panic| anyhow!("the thread that measures panicked"))?
}

fn round(bench: &Bench) -> Result<SocketRound> {
    let nothing = Workload::Churn.run(CHURN)?.cpu();
    let spec = case::tcpwatch(&bench.tcpwatch, LossReport::Nothing, &["--format", "json"]);
    let tool = Tool::start(&spec, Stdout::Discarded)?;
    let before = proc_files::memory(tool.pid())?;
    let used = tool.usage()?.cpu;
    let work: TimedWork = Workload::Churn.run(CHURN)?;
    tool.settle()?;
    let used = tool.usage()?.cpu.saturating_sub(used);
    let after = proc_files::memory(tool.pid())?;
    let attached_after = tool.attached_after;
    tool.end()?;
    Ok(SocketRound {
        nothing,
        watched: work.cpu(),
        tool: per(used, work.transitions),
        attached_after,
        before,
        after,
    })
}

fn row(sockets: u32, rounds: &[SocketRound]) -> Vec<String> {
    let of = |value: fn(&SocketRound) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let added = of(|round| round.watched - round.nothing);
    let cell = |value: Option<f64>, digits: usize, unit: &str| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}{unit}"))
    };
    vec![
        sockets.to_string(),
        cell(median(&added), 2, ""),
        cell(spread(&added), 2, ""),
        cell(median(&of(|round| round.tool)), 2, ""),
        cell(median(&of(|round| round.attached_after.as_secs_f64() * 1e3)), 0, " ms"),
        cell(median(&of(|round| megabytes(round.before.resident))), 1, " MB"),
        cell(median(&of(|round| megabytes(round.after.resident))), 1, " MB"),
    ]
}
