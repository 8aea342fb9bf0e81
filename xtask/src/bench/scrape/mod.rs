//! What a scrape of `tcpwatch serve` and of `node_exporter` costs, idle and under load.

mod exporter;
mod load;
mod report;

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use self::{
    exporter::{ScrapedExporter, ScrapedPage},
    load::Load,
};
use super::{command::Bench, private_net};
use crate::debian::NODE_EXPORTER;

/// Time from one scrape to the next. tcpwatch lists waiting sockets again after 5 s, so here it does for every page.
const INTERVAL: Duration = Duration::from_millis(5500);

/// Measurements of an exporter under one load.
#[derive(Debug)]
struct MeasuredScrape {
    pages: Vec<ScrapedPage>,
    /// CPU time of the process for one scrape.
    cpu: Duration,
    /// Size of the uncompressed page.
    plain_bytes: u64,
    resident_bytes: u64,
}

/// Idle and under load: the measurements of each exporter, in the order of the table.
type BothExporters = [MeasuredScrape; 2];

/// Number of scrapes of each.
const SCRAPES: u32 = 15;

/// Measures both side by side in a new network namespace; returns the finished table.
pub(crate) fn table(bench: &Bench) -> Result<String> {
    let (scrapes, form) = (bench.rounds(SCRAPES), bench.form);
    let node_exporter = NODE_EXPORTER.ensure()?.join("prometheus-node-exporter");
    // The exporters end with the thread that starts them, and the namespace with all of them.
    let measure = || -> Result<String> {
        private_net::enter()?;
        let exporters = start(&bench.tcpwatch, &node_exporter)?;
        eprintln!("bench: {scrapes} scrapes of each, idle");
        let idle = scrape(&exporters, scrapes)?;
        let (load, busy) = under_load(|| {
            eprintln!("bench: {scrapes} scrapes of each, under load");
            scrape(&exporters, scrapes)
        })?;
        Ok(report::write(&idle, &busy, &load, form))
    };
    let joined = thread::scope(|scope| scope.spawn(measure).join());
    joined.map_err(|_panic| anyhow!("the thread that measures panicked"))?
}

fn start(tcpwatch: &Path, node_exporter: &Path) -> Result<[ScrapedExporter; 2]> {
    let mut ours = Command::new(tcpwatch);
    ours.args(["serve", "--web.listen-address", "127.0.0.1:10911"]);
    let mut theirs = Command::new(node_exporter);
    theirs.args(["--collector.tcpstat", "--web.listen-address=127.0.0.1:9100"]);
    Ok([ScrapedExporter::start(ours, 10911)?, ScrapedExporter::start(theirs, 9100)?])
}

/// Runs `measure` while connections come and go.
fn under_load<T>(measure: impl FnOnce() -> Result<T>) -> Result<(Load, T)> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let connecting = scope.spawn(|| load::run(&stop));
        let measured = load::await_time_waits(|| connecting.is_finished()).and_then(|()| measure());
        stop.store(true, Ordering::Relaxed);
        let load = connecting.join().map_err(|_panic| anyhow!("the load panicked"))??;
        Ok((load, measured?))
    })
}

fn scrape(exporters: &[ScrapedExporter; 2], scrapes: u32) -> Result<BothExporters> {
    let mut pages = [Vec::new(), Vec::new()];
    let before = cpu(exporters)?;
    let mut next = Instant::now();
    for _ in 0..scrapes {
        for (exporter, pages) in exporters.iter().zip(&mut pages) {
            pages.push(exporter.scrape()?);
        }
        next += INTERVAL;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let after = cpu(exporters)?;
    let used: Vec<_> =
        after.iter().zip(before).map(|(after, before)| after.saturating_sub(before)).collect();
    let measured = exporters.iter().zip(pages).zip(used).map(|((exporter, pages), used)| {
        let plain_bytes = exporter.plain_bytes()?;
        let resident_bytes = exporter.resident_bytes()?;
        Ok(MeasuredScrape { pages, cpu: used / scrapes, plain_bytes, resident_bytes })
    });
    let measured: Vec<_> = measured.collect::<Result<_>>()?;
    measured.try_into().ok().context("two exporters did not give two measurements")
}

fn cpu(exporters: &[ScrapedExporter; 2]) -> Result<[Duration; 2]> {
    let [ours, theirs] = exporters;
    Ok([ours.cpu()?, theirs.cpu()?])
}
