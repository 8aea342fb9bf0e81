//! The whole road on one page: records out of the kernel's ring, events, news, lines.

use std::{
    io::{BufRead, Write},
    pin::pin,
};

use anyhow::{Context as _, Result};
use tcpwatch_core::{
    place::Place,
    sink::{Sink, Summary},
    track::Reliance,
};
use tcpwatch_kernel::{
    clock,
    probe::{Probes, Ring, Tells},
    source::{
        complaints::Complaints,
        recording::{Header, Item, Recording},
        ring::RingSource,
    },
};
use tokio::time::{Instant, sleep_until};

use crate::{
    ending::Ending,
    plan::Plan,
    road::{END_OF_TIME, Road},
};

/// The live log. Runs until a signal, `stop`, the duration or the count ends it, or the output is
/// closed. `record` opens the file that takes a copy of everything that comes in; `ready` is called
/// when nothing is missed any more.
///
/// # Errors
/// If the kernel side cannot be attached, or the output cannot be written.
pub async fn run(
    plan: &Plan,
    sink: &mut dyn Sink,
    output: &mut dyn Write,
    stop: impl Future<Output = ()>,
    record: impl FnOnce() -> Result<Option<Box<dyn Write>>>,
    ready: impl FnOnce(&mut Probes) -> Result<()>,
) -> Result<Summary> {
    let ending = Ending::catch().context("cannot catch signals")?;
    let attached = Probes::attach(&plan.filters, plan.ring_bytes, plan.counting)?;
    follow((ending, attached), plan, sink, output, stop, record, ready).await
}

/// The same from hooks that are attached already, with the filters of `plan`.
///
/// # Errors
/// If the kernel side cannot be read, or the output cannot be written.
pub async fn follow(
    (mut ending, (mut probes, ring)): (Ending, (Probes, Ring)),
    plan: &Plan,
    sink: &mut dyn Sink,
    output: &mut dyn Write,
    stop: impl Future<Output = ()>,
    record: impl FnOnce() -> Result<Option<Box<dyn Write>>>,
    ready: impl FnOnce(&mut Probes) -> Result<()>,
) -> Result<Summary> {
    let mut source = RingSource::new(ring)?;
    let mut complaints = Complaints::new(&mut probes)?;
    let header = Header {
        version: Header::VERSION,
        clock: clock::read(),
        reliance: Reliance {
            gapless: true,
            minis: probes.minis.is_ok(),
            lives: plan.filters.tells == Tells::Lives,
            rate: clock::tick_rate(),
        },
        symbols: probes.symbols.clone(),
        reset_reasons: probes.dialect.reset_reasons.clone(),
    };
    let mut road = Road::new(plan, sink, output, &header);
    if let Some(file) = record()? {
        road.record_to(file, &header);
    }
    // The hooks are attached already, so that nothing falls between.
    road.learn_what_exists();
    ready(&mut probes)?;
    let mut stop = pin!(stop);
    let end = plan.duration.map(|duration| Instant::now() + duration);

    while !road.is_done() {
        // While records keep coming the loop turns often enough by itself.
        let question = if source.is_asleep() { road.asks_at() } else { None };
        tokio::select! {
            biased;
            () = ending.asked() => break,
            () = &mut stop => break,
            () = until(end) => break,
            waited = source.wait() => waited?,
            () = until(question) => {}
            heard = complaints.heard() => heard?,
        }
        let complete = road.drain(&mut source)?;
        road.release(complete, Some(&probes.losses))?;
        road.ask();
        road.account(&probes.losses, source.is_asleep())?;
        road.write_out()?;
    }
    let losses = probes.detach();
    road.finish(&mut source, &losses)
}

/// The same road, from a recording.
///
/// # Errors
/// If the recording cannot be read or the output cannot be written.
pub fn replay(
    plan: &Plan,
    sink: &mut dyn Sink,
    output: &mut dyn Write,
    mut recording: Recording<impl BufRead>,
) -> Result<Summary> {
    recording.header.reliance.lives &= plan.filters.tells == Tells::Lives;
    let mut road = Road::new(plan, sink, output, &recording.header);
    road.filter_here();
    for (id, path) in std::mem::take(&mut recording.cgroups) {
        road.learn_place(id, Some(Place::of(&path)));
    }
    road.learn(std::mem::take(&mut recording.known));
    let mut failed = None;
    while !road.is_done() {
        match recording.next_item() {
            Ok(Some(Item::Record(bytes))) => road.take(&bytes),
            Ok(Some(Item::Answer(known))) => road.answer(&known)?,
            Ok(Some(Item::Cgroup(id, path))) => road.learn_place(id, Some(Place::of(&path))),
            Ok(Some(Item::Sysctls(netns, sysctls))) => road.learn_sysctls(netns, sysctls),
            Ok(None) => break,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        road.release(road.newest(), None)?;
    }
    road.release(END_OF_TIME, None)?;
    if let Some(line) = recording.cut_line() {
        tracing::warn!(
            "the recording ends within line {line}, which is left out and counted as lost: whoever \
             wrote it was stopped, or this copy is not complete"
        );
        road.count_cut_line();
    }
    let summary = road.end_replay()?;
    failed.map_or(Ok(summary), |error| Err(error.into()))
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
