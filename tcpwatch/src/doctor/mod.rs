//! `tcpwatch doctor`: looks for a while, live or at a recording, and says what is wrong.

mod report;
mod reported;
pub(crate) mod text;

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Result;
use tcpwatch::cli::{doctor::DoctorArgs, exit, sandbox::Confine};
use tcpwatch_core::event::WallClock;
use tcpwatch_doctor::Doctor;
use tcpwatch_kernel::{
    clock,
    probe::{Filters, Probes, Tells},
    source::{
        recorder::RecordingTarget,
        snapshot::{self, SnapshotScope},
    },
};
use tcpwatch_stream::{
    batch::{Batch, BatchStep, Item},
    looks::{Looks, Pace},
    pipeline::Live,
    plan::Plan,
    replay::Replay,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::{report::DoctorReport, reported::Reported};
use crate::{recorded, runtime};

/// How often `--live` judges.
const EVERY: Duration = Duration::from_secs(1);
/// How often the kernel is looked at.
const LOOKS: Pace =
    Pace { every: Duration::from_secs(2), share: 5, longest: Duration::from_secs(5) };

pub(crate) fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let mut report = DoctorReport::new(args.format);
    match &args.replay {
        Some(file) => replay(file, &mut report)?,
        None => look(args, &mut report)?,
    }
    Ok(if report.found() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A recording.
fn replay(file: &Path, report: &mut DoctorReport) -> Result<()> {
    let recording = recorded::open(file, Confine::Auto)?;
    let mut clock = recording.header.clock;
    let plan = plan(Filters::default());
    let mut replay = Replay::open(&plan, recording);
    let mut doctor = Doctor::default();
    while let Some(batch) = replay.next_batch()? {
        judge(&mut doctor, &batch);
        clock = *batch.clock;
    }
    let now = doctor.until();
    report.verdict(&mut doctor, now, &clock, Vec::new())
}

/// This host.
fn look(args: &DoctorArgs, report: &mut DoctorReport) -> Result<()> {
    let netns = args.netns.as_deref().map(snapshot::resolve).transpose()?;
    let scope = netns.map_or(SnapshotScope::Every, SnapshotScope::Only);
    let plan = plan(Filters { netns, ..Filters::default() });
    let record = args.record.clone().map(|path| RecordingTarget { path, most: None });
    let plan = Plan { record, ..plan };
    let mut doctor = Doctor::default();
    let mut clock = clock::read();
    let runtime = runtime::start()?;
    let not_seen = runtime.block_on(async {
        let mut live = Live::attach(&plan)?;
        live.probes().try_out();
        let not_seen = not_seen(live.probes());
        // What grows from now on has grown while it was looked.
        let mut looks = Looks::new(scope, LOOKS);
        live.note_facts(looks.next().await?);
        let end = (!args.live).then(|| Instant::now() + args.duration);
        banner(args);
        watch(&mut live, (looks, end), &mut doctor, &mut clock, report).await?;
        anyhow::Ok(not_seen)
    })?;
    let now = doctor.until();
    report.verdict(&mut doctor, now, &clock, not_seen)
}

/// Runs to the end: the duration, or a signal.
async fn watch(
    live: &mut Live<'_>,
    (mut looks, end): (Looks, Option<Instant>),
    doctor: &mut Doctor,
    clock: &mut WallClock,
    report: &mut DoctorReport,
) -> Result<()> {
    let mut judging = interval(EVERY);
    judging.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = Reported::default();
    let mut is_running = true;
    loop {
        let step = async {
            let Some(batch) = live.next_batch().await? else { return anyhow::Ok(false) };
            judge(doctor, &batch);
            *clock = *batch.clock;
            Ok(true)
        };
        tokio::select! {
            goes_on = step => if !goes_on? { return Ok(()) },
            facts = looks.next(), if is_running => live.note_facts(facts?),
            () = until(end), if is_running => {
                is_running = false;
                live.note_facts(looks.last().await?);
                live.end();
            }
            _ = judging.tick(), if end.is_none() => {
                let now = doctor.until();
                for finding in reported.new_ones(doctor.findings(now), now) {
                    report.finding(&finding, now, clock)?;
                }
            }
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn judge(doctor: &mut Doctor, batch: &Batch<'_>) {
    for step in batch.steps() {
        match step {
            BatchStep::Look(facts) => doctor.facts(facts),
            BatchStep::Item(Item::TrackedEvent(tracked)) => doctor.tracked(tracked),
            BatchStep::Item(Item::Place(id, place)) => doctor.place(*id, place),
            BatchStep::Item(Item::Loss(loss)) => doctor.loss(loss),
            BatchStep::Item(Item::Summary(_)) => {}
        }
    }
}

/// All that the checks are about.
fn plan(filters: Filters) -> Plan {
    let filters = Filters { tells: Tells::Lives, holders: true, ..filters };
    Plan { existing: true, waits: true, unfinished: true, ..Plan::of(filters) }
}

fn banner(args: &DoctorArgs) {
    let how_long = if args.live {
        "looking until Ctrl-C".to_owned()
    } else {
        format!("looking for {}", tcpwatch_doctor::Span(args.duration))
    };
    exit::say(&format!(
        "tcpwatch doctor {} \u{b7} {how_long} \u{b7} Ctrl-C to stop\n",
        env!("CARGO_PKG_VERSION")
    ));
}

/// What this kernel or these privileges do not let be seen.
fn not_seen(probes: &Probes) -> Vec<String> {
    let missing = probes.missing().map(|(what, why)| format!("{what}: {why}"));
    let blind = probes.facts.blind_spots().into_iter().map(|(what, why)| format!("{what}: {why}"));
    let invisible = probes
        .trial
        .invisible()
        .map(|feature| format!("{}: not visible on this kernel", feature.name));
    missing.chain(blind).chain(invisible).collect()
}
