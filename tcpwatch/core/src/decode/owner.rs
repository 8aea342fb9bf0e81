//! [`Owner`] becomes [`OwnerEvent`].

use tcpwatch_common::{Owner, OwnerTask, OwnerVia, RecordHead};

use super::{Decode, DecodeError, Names, address, state_change::text};
use crate::event::{KernelTime, Netns, OwnerEvent, Process, Via, process::Comm};

impl<const WORDS: usize> Decode for Owner<WORDS> {
    type Event = OwnerEvent;

    fn decode(&self, _names: &Names) -> Result<OwnerEvent, DecodeError> {
        let Self { head, task, local, remote } = *self;
        let OwnerTask { pid, uid, comm, thread } = task;
        let (comm, thread) = (Comm::from_kernel(text(comm)), Comm::from_kernel(text(thread)));
        let process = Process {
            pid: (pid != 0).then_some(pid),
            comm,
            thread: (thread != comm).then_some(thread),
            uid: Some(uid),
            via: via(&head)?,
        };
        Ok(OwnerEvent {
            at: KernelTime(head.at_ns),
            socket: address::socket(&head)?,
            netns: Netns(head.netns),
            ends: address::ends(&head, local, remote),
            cgroup: address::cgroup(&head),
            process,
        })
    }
}

fn via(head: &RecordHead) -> Result<Via, DecodeError> {
    [
        (OwnerVia::Connect, Via::Connect),
        (OwnerVia::Listen, Via::Listen),
        (OwnerVia::Close, Via::Close),
        (OwnerVia::Io, Via::Io),
    ]
    .into_iter()
    .find_map(|(number, via)| (u16::from(number) == head.flags).then_some(via))
    .ok_or(DecodeError::Value {
        kind: head.kind,
        value: u8::try_from(head.flags).unwrap_or(u8::MAX),
    })
}
