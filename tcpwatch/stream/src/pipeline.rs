//! The whole road on one page: a record of the kernel's ring becomes an event, is put in order, is tracked,
//! and what is to be shown of it is yielded in batches. The steps have files of their own:
//! [`intake`](crate::intake) from record to event, [`road`](crate::road) from event to item,
//! [`questions`](crate::questions) and [`comparison`](crate::comparison) for what has to be asked besides,
//! [`waits`](crate::waits) for what sockets wait for,
//! [`live_recording`](crate::live_recording) for the recording.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tcpwatch_core::{event::KernelTime, facts::HostFacts};
use tcpwatch_kernel::{
    clock,
    probe::{Probes, Ring},
    source::{
        complaints::Complaints, ring::RingSource, snapshot::FindOwners, witness::look_around,
    },
};
use tokio::time::{Instant, sleep_until};

use crate::{
    batch::Batch,
    comparison::Comparison,
    ending::StopSignals,
    intake::Intake,
    live_recording::{LiveRecording, header},
    losses::LossWatch,
    plan::Plan,
    road::{END_OF_TIME, Road, Unfiltered},
    waits::Waits,
};

/// How far a live run has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RunStage {
    Running,
    /// Detached; the ring may still hold records.
    Ending,
    /// The ring is empty for good.
    Closing,
    Over,
}

/// A run on the running kernel. Dropped, it detaches everything.
pub struct Live<'a> {
    plan: &'a Plan,
    ending: StopSignals,
    probes: Probes,
    source: RingSource,
    complaints: Complaints,
    intake: Intake,
    comparison: Comparison,
    waits: Waits,
    losses: LossWatch,
    road: Road<'a>,
    stage: RunStage,
    /// Events up to this moment are on their way to the batch.
    releasing: Option<KernelTime>,
    /// When it was waited first.
    began: Option<Instant>,
}

impl<'a> Live<'a> {
    /// Attaches all hooks. From its return on nothing is missed, and SIGINT, SIGTERM and SIGHUP end the run
    /// in order.
    ///
    /// # Errors
    /// If the kernel side cannot be attached or read, or the recording cannot be created.
    pub fn attach(plan: &'a Plan) -> Result<Self> {
        let ending = StopSignals::catch().context("cannot catch signals")?;
        let attached = Probes::attach(&plan.filters, plan.ring_bytes, plan.counting)?;
        Self::follow(plan, ending, attached)
    }

    /// The same with hooks that are attached already, with the filters of `plan`.
    ///
    /// # Errors
    /// If the kernel side cannot be read, or the recording cannot be created.
    pub fn follow(
        plan: &'a Plan,
        ending: StopSignals,
        (mut probes, ring): (Probes, Ring),
    ) -> Result<Self> {
        let source = RingSource::new(ring, plan.ring_bytes, plan.record.is_some())?;
        let complaints = Complaints::new(&mut probes)?;
        let header = header(plan, &probes);
        let recording = LiveRecording::begin(plan.record.as_ref(), &header)?;
        let mut road = Road::new(plan, &header, Unfiltered::Listeners);
        let waits = Waits::new(plan, &mut road);
        let mut intake = Intake::new(header, recording, probes.refused.take());
        // The hooks are attached already, so that nothing falls between.
        if let Some(snapshot) = look_around(&plan.filters, FindOwners::Find) {
            let mut known = snapshot.sockets;
            known.retain(|known| plan.filters.wants(known.netns, &known.ends));
            intake.learn(known, &mut road);
        }
        Ok(Self {
            plan,
            ending,
            source,
            complaints,
            intake,
            comparison: Comparison::default(),
            waits,
            losses: LossWatch::new(Arc::clone(&probes.losses)),
            probes,
            road,
            stage: RunStage::Running,
            releasing: None,
            began: None,
        })
    }

    /// The kernel side.
    pub const fn probes(&mut self) -> &mut Probes {
        &mut self.probes
    }

    /// Takes a look at the kernel into the recording, and into a batch once the events before it are out.
    pub fn note_facts(&mut self, facts: HostFacts) {
        self.intake.recording.facts(&facts);
        self.road.look(facts);
    }

    /// Ends the run: what is left is yielded, and the totals. A signal, the duration and the count of the
    /// plan, and a recording that cannot be written do the same.
    pub fn end(&mut self) {
        if self.stage == RunStage::Running {
            self.probes.detach();
            self.stage = RunStage::Ending;
        }
    }

    /// What happens next, as soon as something does; `None` after the totals. The duration of the plan
    /// begins when this waits first. A call that is dropped before it returns loses nothing.
    ///
    /// # Errors
    /// If the kernel side cannot be read; instead of the totals, if the wanted container turned out to be two;
    /// after the totals, if the recording could not be written.
    pub async fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        self.road.shown.clear();
        while self.road.shown.is_empty() {
            match (self.releasing, self.stage) {
                (Some(until), _) => self.release(until)?,
                (None, RunStage::Running) if self.goes_on().await? => self.drain()?,
                (None, RunStage::Running) => self.end(),
                (None, RunStage::Ending) => self.drain()?,
                (None, RunStage::Closing) => self.close()?,
                (None, RunStage::Over) => {
                    self.intake.recording.result()?;
                    return Ok(None);
                }
            }
        }
        Ok(Some(self.road.shown.hand_out(self.releasing.is_some())))
    }

    /// Waits until there is something to be done; returns whether the run continues.
    async fn goes_on(&mut self) -> Result<bool> {
        if self.road.shown.is_complete() || self.intake.recording.has_failed() {
            return Ok(false);
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let end = self.plan.duration.map(|duration| began + duration);
        // While records keep coming the loop turns often enough by itself.
        let question = if self.source.is_asleep() { self.asks_at() } else { None };
        tokio::select! {
            biased;
            () = self.ending.asked() => return Ok(false),
            () = until(end) => return Ok(false),
            waited = self.source.wait(self.road.holds_back()) => waited?,
            () = until(question) => {}
            () = self.waits.answered() => {}
            heard = self.complaints.heard() => heard?,
            () = self.intake.recording.broken() => return Ok(false),
        }
        Ok(true)
    }

    /// When the kernel has to be asked something.
    fn asks_at(&self) -> Option<Instant> {
        let Self { intake, comparison, waits, road, .. } = self;
        let due = [
            intake.questions.due_at(road),
            comparison.due_at(),
            waits.due_at(road),
            road.looks_due_at(),
        ];
        let at = due.into_iter().flatten().min()?;
        Some(Instant::now() + at.since(clock::now()))
    }

    /// Ring to order. What may be released then is what is here completely: with a backlog in the ring,
    /// what explains an event of the present may be still in it.
    fn drain(&mut self) -> Result<()> {
        let Self { source, intake, losses, road, .. } = self;
        if self.stage == RunStage::Ending {
            source.stop()?;
        }
        losses.record(&mut road.tracker, &mut intake.recording)?;
        let mut is_empty = true;
        let complete = source.drain(|taken| {
            is_empty = false;
            intake.take(&taken, road);
        });
        if self.stage == RunStage::Ending && is_empty {
            self.stage = RunStage::Closing;
        }
        clock::follow(&mut road.shown.clock);
        let complete = complete.unwrap_or_else(|| road.newest());
        intake.recording.flush();
        self.losses.outdate();
        self.releasing = Some(complete);
        Ok(())
    }

    /// Order to batch; when that is done, what else is due.
    fn release(&mut self, until: KernelTime) -> Result<()> {
        let Self { intake, comparison, waits, losses, road, .. } = self;
        if !road.release_some(until, Some(losses))? {
            return Ok(());
        }
        self.releasing = None;
        comparison.finish(until, road, &mut intake.recording);
        if self.stage == RunStage::Running {
            intake.questions.ask(road, &mut intake.recording);
            waits.go_on(until, road, &mut intake.recording);
            self.account(self.source.is_asleep())?;
        }
        self.intake.recording.flush();
        Ok(())
    }

    /// Losses become items; after losses, sockets whose end was missed are found. `quiet` says that no
    /// records are on their way.
    fn account(&mut self, quiet: bool) -> Result<()> {
        let Self { comparison, losses, road, .. } = self;
        let now = clock::now();
        let again = comparison.is_due_again(now);
        if !road.account.is_due(now, quiet) && !again {
            return Ok(());
        }
        let totals = losses.read(now, &mut road.tracker)?;
        road.settle(totals, now);
        if quiet && comparison.is_idle() && (road.account.take_suspicion() || again) {
            comparison.begin(&self.plan.filters);
        }
        Ok(())
    }

    /// Nothing will come any more: what was held back is released, and what may have changed without a
    /// word is asked about a last time.
    fn close(&mut self) -> Result<()> {
        self.release_all()?;
        let Self { intake, road, .. } = self;
        intake.questions.ask_all(road, &mut intake.recording);
        self.account(true)?;
        self.release_all()?;
        let Self { intake, waits, road, .. } = self;
        waits.close(END_OF_TIME, road, &mut intake.recording);
        intake.recording.flush();
        self.stage = RunStage::Over;
        self.road.summarize(clock::now())
    }

    fn release_all(&mut self) -> Result<()> {
        let Self { intake, comparison, losses, road, .. } = self;
        losses.outdate();
        losses.record(&mut road.tracker, &mut intake.recording)?;
        road.release(END_OF_TIME, Some(losses))?;
        comparison.finish(END_OF_TIME, road, &mut intake.recording);
        Ok(())
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
