//! What is asked of the running kernel because no record says it. Every answer goes into the recording, so
//! that a replay needs no kernel.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tcpwatch_core::{
    event::{CgroupId, Event, KernelTime, Netns, StateEvent},
    timing::Sysctls,
};
use tcpwatch_kernel::{
    clock,
    source::{
        cgroup_paths::CgroupPaths, container_names::ContainerNames, sysctls, witness::Witness,
    },
};

use crate::{
    live_recording::LiveRecording,
    road::{END_OF_TIME, Road},
};

/// Sockets asked about at a time.
const AT_A_TIME: usize = 64;
/// Sysctls are read again after this long: somebody may set them, and another namespace may get the inode of one that has
/// gone.
const SYSCTLS_LAST: Duration = Duration::from_secs(10);
/// Namespaces for which it is remembered when that was.
const MOST_NAMESPACES: usize = 4096;

/// Asks, no more often than the kernel should be asked.
#[derive(Default)]
pub(crate) struct Questions {
    witness: Witness,
    cgroups: CgroupPaths,
    containers: ContainerNames,
    sysctls_read: BTreeMap<Netns, Instant>,
}

impl Questions {
    /// Finds the port of a listener that got it after it had entered LISTEN. The answer comes before the
    /// change in a recording.
    pub(crate) fn complete_port(&mut self, change: &mut StateEvent, recording: &mut LiveRecording) {
        if change.lacks_its_port()
            && let Some(known) = self.witness.listener(change.netns, change.socket)
        {
            change.ends.local.port = known.ends.local.port;
            recording.answer(&known);
        }
    }

    /// Looks up where a cgroup is and what its container is called, once: while it exists, and before what names it is in a recording.
    pub(crate) fn locate(
        &mut self,
        id: CgroupId,
        road: &mut Road<'_>,
        recording: &mut LiveRecording,
    ) {
        if road.shown.whereabouts.is_known(id) {
            return;
        }
        let path = self.cgroups.path(id, Instant::now());
        let place = path.map(|path| {
            let place = self.containers.place(&path);
            let name = place.container.as_ref().and_then(|container| container.name.as_deref());
            recording.cgroup(id, &path, name);
            place
        });
        if place.is_some() || !self.cgroups.may_find_later() {
            road.shown.place(id, place);
        }
    }

    /// Whatever is sent again follows the sysctls of its namespace.
    pub(crate) fn learn_sysctls(
        &mut self,
        event: &Event,
        road: &mut Road<'_>,
        recording: &mut LiveRecording,
    ) {
        let Event::Retransmit(again) = event else { return };
        let (netns, now) = (again.netns, Instant::now());
        let last = self.sysctls_read.get(&netns);
        if last.is_some_and(|last| now.duration_since(*last) < SYSCTLS_LAST) {
            return;
        }
        if self.sysctls_read.len() >= MOST_NAMESPACES {
            self.sysctls_read.clear();
        }
        self.sysctls_read.insert(netns, now);
        let sysctls = match sysctls::read(netns) {
            Ok(sysctls) => sysctls,
            // The namespace has gone, and its sockets have not.
            Err(_) if road.tracker.knows_sysctls(netns) => return,
            Err(error) => {
                tracing::warn!("retries in netns {} are judged by defaults: {error}", netns.0);
                Sysctls::default()
            }
        };
        note_sysctls(netns, sysctls, road, recording);
    }

    /// When the kernel has to be asked about a socket whose timer is silent.
    pub(crate) fn due_at(&self, road: &Road<'_>) -> Option<KernelTime> {
        road.tracker.asks_at().map(|at| at.max(self.witness.rests_until()))
    }

    /// Asks about sockets that may have changed without a word, if it is time to.
    pub(crate) fn ask(&mut self, road: &mut Road<'_>, recording: &mut LiveRecording) {
        let now = clock::now();
        if now >= self.witness.rests_until() {
            self.ask_some(now, road, recording);
        }
    }

    /// Asks about all sockets that may have changed without a word.
    pub(crate) fn ask_all(&mut self, road: &mut Road<'_>, recording: &mut LiveRecording) {
        while self.ask_some(END_OF_TIME, road, recording) {}
    }

    /// Asks what is due at `now`, as much as is asked at a time; returns whether there was any.
    fn ask_some(
        &mut self,
        now: KernelTime,
        road: &mut Road<'_>,
        recording: &mut LiveRecording,
    ) -> bool {
        let questions = road.tracker.questions(now, AT_A_TIME);
        if questions.is_empty() {
            return false;
        }
        let (known, unknown) = self.witness.ask(&questions);
        for known in known {
            recording.answer(&known);
            road.answer(&known);
        }
        // At the end nothing is asked again.
        for question in unknown.into_iter().filter(|_| now < END_OF_TIME) {
            road.tracker.unanswered(question, now);
        }
        true
    }
}

/// Takes in the sysctls of a namespace, and records them, if they are not known as these.
pub(crate) fn note_sysctls(
    netns: Netns,
    sysctls: Sysctls,
    road: &mut Road<'_>,
    recording: &mut LiveRecording,
) {
    if road.tracker.sysctls_of(netns) != Some(&sysctls) {
        recording.sysctls(netns, sysctls);
        road.tracker.learn_sysctls(netns, sysctls);
    }
}
