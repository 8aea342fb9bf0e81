//! The road from a recording.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use tcpwatch_core::{
    account::Account,
    decode::{Names, decode},
    event::{Cookie, Event, KernelTime, Netns, StateEvent, TcpState},
    loss::{Cause, LossTotals},
    order::WINDOW,
    sink::Loss,
    timing::Sysctls,
    track::TrackedEvent,
};
use tcpwatch_kernel::{
    probe::Tells,
    source::{
        packed::damage::EarlyFileEnd,
        recording::{RecordedItem as Recorded, Recording, RecordingError},
        recording_input::RecordingInput,
    },
};

use crate::{
    batch::Batch,
    plan::Plan,
    road::{END_OF_TIME, Road, Unfiltered},
};

/// A run on what was recorded.
pub struct Replay<'a, F> {
    plan: &'a Plan,
    recording: Recording<F>,
    names: Names,
    /// Ports of listeners, by answers of the recording.
    ports: HashMap<Cookie, u16>,
    /// The time of the latest event.
    last: Option<KernelTime>,
    /// What the kernel side had lost by then.
    lost: BTreeMap<Cause, u64>,
    /// What was before the first record is not replayed.
    begins_late: bool,
    road: Road<'a>,
    is_over: bool,
    /// Why the recording breaks off.
    failed: Option<RecordingError>,
}

impl<'a, F: RecordingInput> Replay<'a, F> {
    /// Begins with the sockets that existed. The filters of `plan` may be others than those of the
    /// recording.
    #[must_use]
    pub fn open(plan: &'a Plan, mut recording: Recording<F>) -> Self {
        recording.header.reliance.lives &= plan.filters.tells == Tells::Lives;
        let header = &recording.header;
        let mut road = Road::new(plan, header, Unfiltered::All);
        let names =
            Names { symbols: header.symbols.clone(), reset_reasons: header.reset_reasons.clone() };
        for cgroup in std::mem::take(&mut recording.cgroups) {
            road.shown.place(cgroup.id, Some(cgroup.place()));
        }
        let begins_late =
            header.part > 0 || plan.span.is_some_and(|(from, _)| from > header.clock.kernel);
        if let Some((from, to)) = plan.span {
            recording.want(from, to);
        }
        if begins_late {
            // They may have changed since.
            recording.known.clear();
        }
        recording.known.retain(|known| plan.filters.wants(known.netns, &known.ends));
        road.learn(&std::mem::take(&mut recording.known));
        Self {
            plan,
            recording,
            names,
            ports: HashMap::new(),
            last: None,
            lost: BTreeMap::new(),
            begins_late,
            road,
            is_over: false,
            failed: None,
        }
    }

    /// What comes next; `None` after the totals.
    ///
    /// # Errors
    /// Instead of the totals, if the wanted container turned out to be two; after the totals, if the recording
    /// could not be read to its end.
    pub fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        self.road.shown.clear();
        while !self.is_over && !self.road.shown.is_full() {
            if self.road.shown.is_complete() {
                self.close()?;
                break;
            }
            match self.recording.next_item() {
                Ok(Some(item)) => self.take(item)?,
                Ok(None) => self.close()?,
                Err(error) => {
                    self.failed = Some(error);
                    self.close()?;
                }
            }
        }
        if self.road.shown.is_empty() {
            return self.failed.take().map_or(Ok(None), |error| Err(error.into()));
        }
        Ok(Some(self.road.shown.hand_out(!self.is_over)))
    }

    /// The sysctls of the recording's namespaces, as far as they were read by now.
    #[must_use]
    pub fn sysctls(&self) -> HashMap<Netns, Sysctls> {
        self.road.tracker.sysctls().map(|(netns, sysctls)| (netns, *sysctls)).collect()
    }

    fn take(&mut self, item: Recorded) -> Result<()> {
        let at = happened(&item);
        if let Some(((from, to), at)) = self.plan.span.zip(at)
            && !(from..=to).contains(&at)
        {
            return Ok(());
        }
        if let Some(at) = at.filter(|_| std::mem::take(&mut self.begins_late)) {
            let begun = self.plan.span.map_or(at, |(from, _)| from);
            self.road.account = Account::new(begun);
            self.road.tracker.lost(begun);
        }
        match item {
            Recorded::PartsMissing(parts) => {
                let (are, s) = if parts == 1 { ("is", "") } else { ("are", "s") };
                tracing::warn!(
                    "{parts} part{s} of the recording {are} missing: what happened then is not replayed"
                );
                self.road.release(END_OF_TIME, None)?;
                self.begins_late = true;
            }
            Recorded::Record(bytes) => self.take_record(&bytes),
            Recorded::Cgroup(cgroup) => self.road.shown.place(cgroup.id, Some(cgroup.place())),
            Recorded::Sysctls(netns, sysctls) => self.road.tracker.learn_sysctls(netns, sysctls),
            Recorded::Answer(known) if known.state == TcpState::Listen => {
                self.ports.insert(known.socket, known.ends.local.port);
            }
            Recorded::Answer(known) => {
                // After everything that happened before it.
                self.road.release(known.seen, None)?;
                self.road.answer(&known);
            }
            Recorded::Waiter(waiter) => {
                let seen = waiter.known.seen;
                self.road.release(seen.after(WINDOW), None)?;
                self.road.still(&waiter);
                self.last = self.last.max(Some(seen));
            }
            Recorded::Facts(facts) => {
                self.last = self.last.max(Some(facts.at));
                self.road.look(*facts);
            }
            Recorded::Loss(loss) => self.lose(loss),
            Recorded::Gone(gone) => {
                self.road.release(gone.compared.after(WINDOW), None)?;
                self.last = self.last.max(Some(gone.at));
                let Road { tracker, shown, .. } = &mut self.road;
                tracker.end_gone(&gone, |tracked| shown.tracked(tracked));
            }
            // Of which ports and addresses they are is not in the recording.
            Recorded::Others(others) => {
                if self.plan.filters.wants_all_of(others.netns) {
                    self.road.shown.tracked(TrackedEvent::Others(others));
                }
            }
        }
        self.road.release(self.road.newest(), None)
    }

    fn take_record(&mut self, record: &[u8]) {
        let Ok(mut event) = decode(record, &self.names) else {
            self.road.account.undecodable += 1;
            return;
        };
        if let Event::State(change) = &mut event {
            self.complete_port(change);
        }
        self.last = self.last.max(Some(event.at()));
        self.road.push(event);
    }

    fn lose(&mut self, loss: Loss) {
        self.last = self.last.max(Some(loss.at));
        self.road.tracker.lost(loss.at);
        let total = self.lost.entry(loss.cause).or_default();
        *total = total.saturating_add(loss.count);
        self.settle(loss.at);
    }

    /// A recording holds all that was attempted, if not as records then as losses.
    fn settle(&mut self, at: KernelTime) {
        let lost = self.lost.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let arrived = self.road.account.received + self.road.account.undecodable;
        let attempted = arrived.saturating_add(lost);
        self.road.settle(LossTotals { attempted, lost: self.lost.clone() }, at);
    }

    fn complete_port(&mut self, change: &mut StateEvent) {
        if change.lacks_its_port() {
            change.ends.local.port = self.ports.remove(&change.socket).unwrap_or(0);
        }
    }

    /// Releases what was held back.
    fn close(&mut self) -> Result<()> {
        self.is_over = true;
        let Self { road, recording, .. } = self;
        road.release(END_OF_TIME, None)?;
        if let Some(end) = recording.early_end() {
            road.account.undecodable += say_early_end(end);
        }
        let end = self.last.unwrap_or(road.shown.clock.kernel);
        self.settle(end);
        self.road.summarize(end)
    }
}

/// When what is recorded happened; what is needed whenever it happened has no time.
fn happened(item: &Recorded) -> Option<KernelTime> {
    Some(match item {
        Recorded::Record(record) => KernelTime(u64::from_ne_bytes(*record.first_chunk()?)),
        Recorded::Answer(known) => known.seen,
        Recorded::Waiter(waiter) => waiter.known.seen,
        Recorded::Others(others) => others.at,
        Recorded::Facts(facts) => facts.at,
        Recorded::Loss(loss) => loss.at,
        Recorded::Gone(gone) => gone.at,
        Recorded::Cgroup(_) | Recorded::Sysctls(..) | Recorded::PartsMissing(_) => return None,
    })
}

/// Warns of what is missing at the end; returns how many records that are, at least.
fn say_early_end(end: EarlyFileEnd) -> u64 {
    const WHY: &str = "whoever wrote it was stopped, or this recording is not complete";
    match end {
        EarlyFileEnd::Line(line) => {
            tracing::warn!(
                "the recording ends within line {line}, which is left out and counted as lost: {WHY}"
            );
            1
        }
        EarlyFileEnd::Block { at, bytes, records } => {
            let count = records.map_or_else(String::new, |records| format!(", {records} records"));
            tracing::warn!(
                "the recording ends within its block at byte {at}, of which {bytes} bytes are there{count}: it is left \
                 out and counted as lost: {WHY}"
            );
            records.map_or(1, u64::from)
        }
        EarlyFileEnd::Unfinished => {
            tracing::warn!(
                "the recording was not ended in order: what happened in its last half second may not be in it"
            );
            0
        }
    }
}
