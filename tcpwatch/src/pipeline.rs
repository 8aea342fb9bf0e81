//! The whole road on one page: records out of the kernel's ring, events, changes, lines.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::{
    decode::decode,
    event::{KernelTime, WallClock},
    probe::{Cause, Filters, Losses, Probes, Totals},
    sink::{Loss, Sink, Summary},
    source::{
        clock,
        complaints::Complaints,
        order::Order,
        ring::RingSource,
        snapshot::{self, Owners, Scope, Snapshot},
    },
    track::{Change, Tracker},
};

/// Shortest time between two looks at the loss counters.
const LOSS_CHECK: Duration = Duration::from_millis(250);
/// Bytes of finished lines that are written out without waiting for a pause.
const FULL: usize = 1 << 16;

/// What to do, as the command line meant it.
pub struct Plan {
    /// What runs in the kernel.
    pub filters: Filters,
    /// What the kernel cannot decide: whose socket, and which of the changes that pass for
    /// tracking's sake are to be seen.
    pub selection: Box<dyn Fn(&Change) -> bool>,
    /// Size of the ring.
    pub ring_bytes: u32,
    /// End after this long.
    pub duration: Option<Duration>,
    /// End after this many lines.
    pub count: Option<u64>,
    /// Write totals into the output.
    pub summary_line: bool,
}

/// The live log. Runs until a signal, the duration or the count ends it, or the output is closed.
///
/// # Errors
/// If the kernel side cannot be attached, or the output cannot be written.
pub async fn run(
    plan: Plan,
    sink: &mut dyn Sink,
    output: &mut dyn Write,
    ready: impl FnOnce(&Probes),
) -> Result<Summary> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
    let end = plan.duration.map(|duration| Instant::now() + duration);

    let (mut probes, ring) = Probes::attach(&plan.filters, plan.ring_bytes)?;
    let mut complaints = Complaints::new(&mut probes)?;
    let mut road = Road::new(&plan, sink, output, RingSource::new(ring)?);
    road.learn_what_exists(&plan.filters);
    ready(&probes);

    while !road.is_done() {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = until(end) => break,
            waited = road.source.wait() => waited?,
            heard = complaints.heard() => heard?,
        }
        road.advance(clock::now())?;
        road.account(&probes.losses, false)?;
        road.write_out()?;
    }
    road.finish(probes)
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

struct Road<'a> {
    plan: &'a Plan,
    source: RingSource,
    order: Order,
    tracker: Tracker,
    sink: &'a mut dyn Sink,
    output: &'a mut dyn Write,
    clock: WallClock,
    lines: Vec<u8>,
    started: KernelTime,
    changes: u64,
    received: u64,
    undecodable: u64,
    reported: Totals,
    accounted: KernelTime,
    unaccounted: bool,
    suspects: bool,
}

impl<'a> Road<'a> {
    fn new(
        plan: &'a Plan,
        sink: &'a mut dyn Sink,
        output: &'a mut dyn Write,
        source: RingSource,
    ) -> Self {
        let clock = clock::read();
        Self {
            plan,
            source,
            order: Order::default(),
            tracker: Tracker::new(plan.filters.states.is_empty()),
            sink,
            output,
            clock,
            lines: Vec::with_capacity(2 * FULL),
            started: clock.kernel,
            changes: 0,
            received: 0,
            undecodable: 0,
            reported: Totals::default(),
            accounted: clock.kernel,
            unaccounted: false,
            suspects: false,
        }
    }

    /// Sockets that exist already: the hooks are attached, so that nothing falls between.
    fn learn_what_exists(&mut self, filters: &Filters) {
        let Some(snapshot) = look_around(filters, Owners::Find) else {
            return;
        };
        for known in &snapshot.sockets {
            if filters.wants(known.netns, &known.ends) {
                self.tracker.learn(known);
            }
        }
        self.tracker.infer_directions();
    }

    /// Ring, order, tracker, lines: once along the whole road.
    fn advance(&mut self, now: KernelTime) -> Result<()> {
        let held = !self.order.is_empty();
        let taken = self.source.drain(held, |record| match decode(record) {
            Ok(event) => self.order.push(event),
            Err(_) => self.undecodable += 1,
        })?;
        self.received += u64::try_from(taken)?;
        self.unaccounted |= taken > 0;
        clock::follow(&mut self.clock);
        while let Some(event) = self.order.pop(now) {
            self.tracker.apply(event, |change| {
                show(
                    self.plan,
                    &mut self.changes,
                    self.sink,
                    &self.clock,
                    &mut self.lines,
                    &change,
                );
            });
            if self.lines.len() >= FULL {
                flush(self.output, &mut self.lines)?;
            }
            if self.is_done() {
                break;
            }
        }
        Ok(())
    }

    /// Losses become lines; after losses, sockets whose end was missed are found.
    fn account(&mut self, losses: &Losses, last: bool) -> Result<()> {
        let now = clock::now();
        let due = now.since(self.accounted) >= LOSS_CHECK || self.source.is_asleep();
        if !(last || self.unaccounted && due) {
            return Ok(());
        }
        self.accounted = now;
        self.unaccounted = false;
        let totals = self.totals(losses)?;
        for (cause, total) in &totals.lost {
            let known = self.reported.lost.get(cause).copied().unwrap_or(0);
            if *total > known {
                let loss = Loss { at: now, cause: *cause, count: total - known };
                self.sink.loss(&loss, &self.clock, &mut self.lines);
                self.suspects = true;
            }
        }
        self.reported = totals;
        if self.suspects && (self.source.is_asleep() || last) {
            self.suspects = false;
            self.find_missed_ends();
        }
        Ok(())
    }

    fn totals(&self, losses: &Losses) -> Result<Totals> {
        let mut totals = losses.read()?;
        let tally = self.tracker.tally();
        for (cause, count) in [
            (Cause::Undecodable, self.undecodable),
            (Cause::TableFull, tally.table_full),
            (Cause::Undecided, tally.undecided),
        ] {
            if count > 0 {
                totals.lost.insert(cause, count);
            }
        }
        Ok(totals)
    }

    fn find_missed_ends(&mut self) {
        let Some(snapshot) = look_around(&self.plan.filters, Owners::Skip) else {
            return;
        };
        let alive: std::collections::HashSet<_> =
            snapshot.sockets.iter().map(|known| known.socket).collect();
        let looked_at = &snapshot.namespaces;
        self.tracker.reconcile(
            snapshot.started,
            |socket, netns| looked_at.contains(&netns).then(|| alive.contains(&socket)),
            |change| {
                show(
                    self.plan,
                    &mut self.changes,
                    self.sink,
                    &self.clock,
                    &mut self.lines,
                    &change,
                );
            },
        );
    }

    /// What is in the ring when the end comes is still shown.
    fn finish(mut self, probes: Probes) -> Result<Summary> {
        let losses = probes.detach();
        loop {
            let before = self.received;
            self.advance(KernelTime(u64::MAX))?;
            if self.received == before || self.is_done() {
                break;
            }
        }
        self.account(&losses, true)?;
        let ended = clock::now();
        let tally = self.tracker.tally();
        let summary = Summary {
            at_ns: ended.0,
            ran_ns: ended.0.saturating_sub(self.started.0),
            changes: self.changes,
            inferred: tally.inferred,
            attempted: self.reported.attempted,
            received: self.received,
            lost: self.reported.lost.clone(),
            out_of_order: self.order.late(),
            connections: tally.connections,
            open: u64::try_from(self.tracker.open())?,
        };
        if self.plan.summary_line {
            self.sink.summary(&summary, &self.clock, &mut self.lines);
        }
        flush(self.output, &mut self.lines)?;
        Ok(summary)
    }

    fn is_done(&self) -> bool {
        self.plan.count.is_some_and(|count| self.changes >= count)
    }

    fn write_out(&mut self) -> Result<()> {
        if !self.lines.is_empty() {
            flush(self.output, &mut self.lines)?;
        }
        Ok(())
    }
}

/// One change becomes a line, if it is to be seen and the count is not used up.
fn show(
    plan: &Plan,
    changes: &mut u64,
    sink: &mut dyn Sink,
    clock: &WallClock,
    lines: &mut Vec<u8>,
    change: &Change,
) {
    if plan.count.is_some_and(|count| *changes >= count) || !(plan.selection)(change) {
        return;
    }
    *changes += 1;
    sink.change(change, clock, lines);
}

fn flush(output: &mut dyn Write, lines: &mut Vec<u8>) -> io::Result<()> {
    output.write_all(lines)?;
    output.flush()?;
    lines.clear();
    Ok(())
}

/// A snapshot, or a warning and nothing: the log is still true without it, only poorer.
fn look_around(filters: &Filters, owners: Owners) -> Option<Snapshot> {
    let scope = filters.netns.map_or(Scope::Every, Scope::Only);
    match snapshot::take(scope, owners) {
        Ok(snapshot) => {
            for skipped in &snapshot.skipped {
                tracing::info!("sockets that existed before are unknown in {skipped}");
            }
            Some(snapshot)
        }
        Err(error) => {
            tracing::warn!("sockets that existed before are unknown: {error}");
            None
        }
    }
}
