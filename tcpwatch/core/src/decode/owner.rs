//! [`Owner`] becomes [`OwnerEvent`].

use std::net::IpAddr;

use tcpwatch_common::{Owner, OwnerTask, OwnerVia, RecordHead};

use super::{DecodeError, address, record, state_change::text};
use crate::event::{Cookie, KernelTime, Netns, OwnerEvent, Process, Via, process::Comm};

pub(super) fn decode(bytes: &[u8], head: &RecordHead) -> Result<OwnerEvent, DecodeError> {
    if let Some(record) = record::whole::<Owner<1>>(bytes) {
        return event(&record, address::v4(record.local), address::v4(record.remote));
    }
    if let Some(record) = record::whole::<Owner<4>>(bytes) {
        return event(&record, address::v6(record.local), address::v6(record.remote));
    }
    Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() })
}

fn event<const WORDS: usize>(
    record: &Owner<WORDS>,
    local: IpAddr,
    remote: IpAddr,
) -> Result<OwnerEvent, DecodeError> {
    let Owner { head, task, local: _, remote: _ } = *record;
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
        socket: Cookie(head.cookie),
        netns: Netns(head.netns),
        ends: address::ends(&head, local, remote),
        cgroup: address::cgroup(&head),
        process,
    })
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
