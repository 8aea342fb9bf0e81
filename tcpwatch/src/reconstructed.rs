//! `tcpwatch lab from`: reads a recording and writes a scenario of it.

use anyhow::Result;
use tcpwatch::cli::{lab::LabFrom, sandbox::Confine};
use tcpwatch_core::event::Cookie;
use tcpwatch_kernel::probe::Filters;
use tcpwatch_lab::reconstruct::{self, RecordedRun};
use tcpwatch_stream::{batch::Item, plan::Plan, replay::Replay};

use crate::recorded;

/// The text of the scenario.
pub(crate) fn scenario(asked: &LabFrom) -> Result<String> {
    let recording = recorded::open(&asked.recording, Confine::Auto)?;
    let plan = Plan::of(Filters::default());
    let mut replay = Replay::open(&plan, recording);
    let (mut events, mut lost) = (Vec::new(), 0_u64);
    while let Some(batch) = replay.next_batch()? {
        for item in batch.items {
            match item {
                Item::TrackedEvent(event) => events.push(event.clone()),
                Item::Loss(records) => lost = lost.saturating_add(records.count),
                Item::Place(..) | Item::Summary(_) => {}
            }
        }
    }
    let sysctls = replay.sysctls();
    let name = asked.recording.file_name().unwrap_or(asked.recording.as_os_str());
    let name = name.to_string_lossy();
    let recorded = RecordedRun { events: &events, sysctls: &sysctls, name: &name, lost };
    let sockets: Vec<Cookie> = asked.socket.iter().copied().map(Cookie).collect();
    Ok(reconstruct::scenario(&recorded, &sockets)?)
}
