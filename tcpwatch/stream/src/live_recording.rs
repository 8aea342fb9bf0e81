//! The recording that is made of a live run: a copy of everything that comes from the kernel.

use std::{io, path::Path};

use anyhow::{Context as _, Result};
use tcpwatch_core::{
    event::{CgroupId, KnownSocket, Netns, Waiter},
    facts::HostFacts,
    timing::Sysctls,
    track::{Others, Reliance},
};
use tcpwatch_kernel::{
    clock,
    probe::{Probes, Tells},
    source::{
        recording::{Header, Recorder, RecordingError},
        recording_file::RecordingFile,
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
    /// Begins a recording, if there is a path for one. A file that can be created and not be written is no
    /// error here: that ends a run in order.
    pub(crate) fn begin(path: Option<&Path>, header: &Header) -> Result<Self> {
        let Some(path) = path else { return Ok(Self { recorder: None, failed: None }) };
        let file = RecordingFile::create(path);
        let file = file.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(match Recorder::new(Box::new(file), header) {
            Ok(recorder) => Self { recorder: Some(recorder), failed: None },
            Err(error) => Self { recorder: None, failed: Some(error) },
        })
    }

    pub(crate) fn known(&mut self, sockets: &[KnownSocket]) {
        self.write(|recorder| recorder.known(sockets));
    }

    pub(crate) fn record(&mut self, record: &[u8]) {
        self.write(|recorder| recorder.record(record));
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

    /// There is one, as far as it could be written.
    pub(crate) const fn is_made(&self) -> bool {
        self.recorder.is_some()
    }

    /// It could not be written, which ends the run.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Says once whether all of it was written.
    pub(crate) fn result(&mut self) -> Result<(), RecordingError> {
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
    }
}
