//! The recording that is made of a live run: a copy of everything that comes from the kernel.

use std::io;

use anyhow::{Context as _, Result};
use tcpwatch_core::{
    event::{CgroupId, KnownSocket, Netns, Waiter},
    facts::HostFacts,
    sink::Loss,
    timing::Sysctls,
    track::{Gone, Others, Reliance},
};
use tcpwatch_kernel::{
    clock,
    probe::{Probes, Tells},
    source::{
        packed::chunk::RecordingChunk,
        recorder::{Recorder, RecordingTarget},
        recording::{Header, RecordingError},
    },
};

use crate::plan::Plan;

/// A recording that is being made, or none.
pub(crate) struct LiveRecording {
    recorder: Option<Recorder>,
    /// Why it breaks off.
    failed: Option<io::Error>,
}

impl LiveRecording {
    /// Begins a recording, if there is a file for one. A file that can be created and not be written is no
    /// error here: that ends a run in order.
    pub(crate) fn begin(target: Option<&RecordingTarget>, header: &Header) -> Result<Self> {
        let recorder = target.map(|target| {
            let created = Recorder::create(target, header);
            created.with_context(|| format!("cannot create {}", target.path.display()))
        });
        Ok(Self { recorder: recorder.transpose()?, failed: None })
    }

    pub(crate) fn known(&mut self, sockets: &[KnownSocket]) {
        self.write(|recorder| recorder.known(sockets));
    }

    pub(crate) fn record(&mut self, record: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(record);
        }
    }

    pub(crate) fn records(&mut self, records: &RecordingChunk) {
        if let Some(recorder) = &mut self.recorder {
            recorder.records(records);
        }
    }

    pub(crate) fn answer(&mut self, socket: &KnownSocket) {
        self.write(|recorder| recorder.answer(socket));
    }

    pub(crate) fn waiter(&mut self, waiter: &Waiter) {
        self.write(|recorder| recorder.waiter(waiter));
    }

    pub(crate) fn others(&mut self, others: &Others) {
        self.write(|recorder| recorder.others(others));
    }

    pub(crate) fn sysctls(&mut self, netns: Netns, sysctls: Sysctls) {
        self.write(|recorder| recorder.sysctls(netns, sysctls));
    }

    pub(crate) fn facts(&mut self, facts: &HostFacts) {
        self.write(|recorder| recorder.facts(facts));
    }

    pub(crate) fn loss(&mut self, loss: &Loss) {
        self.write(|recorder| recorder.loss(loss));
    }

    pub(crate) fn gone(&mut self, gone: &Gone) {
        self.write(|recorder| recorder.gone(gone));
    }

    pub(crate) fn cgroup(&mut self, id: CgroupId, path: &[u8], name: Option<&str>) {
        self.write(|recorder| recorder.cgroup(id, path, name));
    }

    pub(crate) fn flush(&mut self) {
        self.write(Recorder::flush);
    }

    fn write(&mut self, write: impl FnOnce(&mut Recorder) -> io::Result<()>) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = write(recorder)
        {
            self.recorder = None;
            self.failed = Some(error);
        }
    }

    /// Waits until it cannot be written any more, which may be never.
    pub(crate) async fn broken(&mut self) {
        match &mut self.recorder {
            Some(recorder) => self.failed = Some(recorder.broken().await),
            None => std::future::pending().await,
        }
        self.recorder = None;
    }

    /// There is one, as far as it could be written.
    pub(crate) const fn is_made(&self) -> bool {
        self.recorder.is_some()
    }

    /// It could not be written, which ends the run.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Writes the rest, and says once whether all of it was written.
    pub(crate) fn result(&mut self) -> Result<(), RecordingError> {
        if let Some(recorder) = self.recorder.take() {
            self.failed = recorder.finish().err();
        }
        let failed = self.failed.take();
        failed.map_or(Ok(()), |error| Err(RecordingError::Write(error.to_string())))
    }
}

/// What a record needs to be understood elsewhere, and later.
pub(crate) fn header(plan: &Plan, probes: &Probes) -> Header {
    Header {
        version: Header::VERSION,
        clock: clock::read(),
        reliance: Reliance {
            gapless: true,
            minis: probes.minis.is_ok(),
            lives: plan.filters.tells == Tells::Lives,
            selective: plan.filters.leaves_out_sockets(),
            rate: clock::tick_rate(),
        },
        symbols: probes.symbols.clone(),
        reset_reasons: probes.dialect.reset_reasons.clone(),
        part: 0,
    }
}
