//! From what the kernel gives to events, in a live run. What no record says is asked for here; the recording
//! takes a copy of everything.

use tcpwatch_core::{
    decode::{Names, decode},
    event::{Event, KnownSocket},
};
use tcpwatch_kernel::source::recording::Header;

use crate::{live_recording::LiveRecording, questions::Questions, road::Road};

/// Makes events of records, and keeps what they need to be understood.
pub(crate) struct Intake {
    names: Names,
    pub(crate) questions: Questions,
    pub(crate) recording: LiveRecording,
}

impl Intake {
    pub(crate) fn new(header: Header, recording: LiveRecording) -> Self {
        let names = Names { symbols: header.symbols, reset_reasons: header.reset_reasons };
        Self { names, questions: Questions::default(), recording }
    }

    /// Takes in sockets that exist.
    pub(crate) fn learn(&mut self, known: &[KnownSocket], road: &mut Road<'_>) {
        for id in known.iter().filter_map(|known| known.cgroup) {
            self.questions.locate(id, road, &mut self.recording);
        }
        self.recording.known(known);
        road.learn(known);
    }

    /// Takes in a record of the ring.
    pub(crate) fn take(&mut self, record: &[u8], road: &mut Road<'_>) {
        let Self { names, questions, recording } = self;
        let mut decoded = decode(record, names);
        if let Ok(Event::State(change)) = &mut decoded {
            questions.complete_port(change, recording);
        }
        if let Some(id) = decoded.as_ref().ok().and_then(Event::cgroup) {
            questions.locate(id, road, recording);
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
