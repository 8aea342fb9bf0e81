//! From what the kernel gives to events, in a live run. What no record says is asked for here; the recording
//! takes a copy of everything.

use tcpwatch_core::{
    decode::{Names, decode},
    event::{CgroupId, Event, KnownSocket},
};
use tcpwatch_kernel::{
    clock,
    probe::RefusedCgroups,
    source::{drain::TakenRecords, recording::Header},
};

use crate::{live_recording::LiveRecording, questions::Questions, road::Road};

/// Makes events of records, and keeps what they need to be understood.
pub(crate) struct Intake {
    names: Names,
    pub(crate) questions: Questions,
    pub(crate) recording: LiveRecording,
    /// Cgroups that the kernel side is to leave out, if it can.
    refused: Option<RefusedCgroups>,
}

impl Intake {
    pub(crate) fn new(
        header: Header,
        recording: LiveRecording,
        refused: Option<RefusedCgroups>,
    ) -> Self {
        let names = Names { symbols: header.symbols, reset_reasons: header.reset_reasons };
        Self { names, questions: Questions::default(), recording, refused }
    }

    /// Takes in sockets that exist.
    pub(crate) fn learn(&mut self, mut known: Vec<KnownSocket>, road: &mut Road<'_>) {
        known.retain(|known| known.cgroup.is_none_or(|id| !self.refuses(id, road)));
        self.recording.known(&known);
        road.learn(&known);
    }

    /// Finds out where a cgroup is; is all that its sockets do left out, from their first change on? Then the kernel
    /// side leaves it out from now on.
    fn refuses(&mut self, id: CgroupId, road: &mut Road<'_>) -> bool {
        self.questions.locate(id, road, &mut self.recording);
        let refuses = road.shown.whereabouts.is_refused(id);
        if refuses && let Some(refused) = &mut self.refused {
            refused.refuse(id);
        }
        refuses
    }

    /// Takes in records of the ring.
    pub(crate) fn take(&mut self, taken: &TakenRecords, road: &mut Road<'_>) {
        let mut unseen = taken.dropped;
        if taken.for_recording {
            self.recording.records(&taken.records);
            unseen += u64::try_from(taken.records.count()).unwrap_or(u64::MAX);
        } else {
            for (_, record) in taken.records.iter() {
                self.record(record, road);
            }
        }
        if unseen > 0 {
            road.account.unseen += unseen;
            road.tracker.lost(clock::now());
        }
    }

    fn record(&mut self, record: &[u8], road: &mut Road<'_>) {
        let mut decoded = decode(record, &self.names);
        if let Some(id) = decoded.as_ref().ok().and_then(Event::cgroup)
            && self.refuses(id, road)
        {
            road.account.received += 1;
            return;
        }
        let Self { questions, recording, .. } = self;
        if let Ok(Event::State(change)) = &mut decoded {
            questions.complete_port(change, recording);
        }
        recording.record(record);
        match decoded {
            Ok(event) => {
                Questions::learn_sysctls(&event, road, recording);
                road.push(event);
            }
            Err(_) => road.account.undecodable += 1,
        }
    }
}
