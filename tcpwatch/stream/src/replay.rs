//! The road from a recording.

use std::{collections::HashMap, io::BufRead};

use anyhow::Result;
use tcpwatch_core::{
    decode::{Names, decode},
    event::{Cookie, Event, KernelTime, Netns, StateEvent, TcpState},
    loss::LossTotals,
    order::WINDOW,
    timing::Sysctls,
    track::TrackedEvent,
};
use tcpwatch_kernel::{
    probe::Tells,
    source::recording::{RecordedItem as Recorded, Recording, RecordingError},
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
    road: Road<'a>,
    is_over: bool,
    /// Why the recording breaks off.
    failed: Option<RecordingError>,
}

impl<'a, F: BufRead> Replay<'a, F> {
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
        recording.known.retain(|known| plan.filters.wants(known.netns, &known.ends));
        road.learn(&std::mem::take(&mut recording.known));
        let ports = HashMap::new();
        Self { plan, recording, names, ports, last: None, road, is_over: false, failed: None }
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
        match item {
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
                self.road.release(facts.at, None)?;
                self.last = self.last.max(Some(facts.at));
                self.road.shown.facts(*facts);
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

    fn complete_port(&mut self, change: &mut StateEvent) {
        if change.lacks_its_port() {
            change.ends.local.port = self.ports.remove(&change.socket).unwrap_or(0);
        }
    }

    /// Releases what was held back. What a recording holds is all that was attempted.
    fn close(&mut self) -> Result<()> {
        self.is_over = true;
        let Self { road, recording, .. } = self;
        road.release(END_OF_TIME, None)?;
        if let Some(line) = recording.cut_line() {
            tracing::warn!(
                "the recording ends within line {line}, which is left out and counted as lost: \
                 whoever wrote it was stopped, or this recording is not complete"
            );
            road.account.undecodable += 1;
        }
        let attempted = road.account.received + road.account.undecodable;
        let end = self.last.unwrap_or(road.shown.clock.kernel);
        road.settle(LossTotals { attempted, ..LossTotals::default() }, end);
        road.summarize(end)
    }
}
