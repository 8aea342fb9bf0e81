//! [`StateChange`] becomes [`StateEvent`].

use std::net::IpAddr;

use tcpwatch_common::{
    RecordHead, StateChange, StateChangeV4, StateChangeV6,
    state_change::{
        FLAG_DEAD, FLAG_DONE, FLAG_FAST_OPEN, FLAG_KEPT_BACK, FLAG_LINGER2_OFF, FLAG_TASK,
    },
};

use super::{DecodeError, address, record};
use crate::event::{
    Cookie, Endpoint, Endpoints, KernelTime, Netns, Process, StateEvent, TcpState, Via,
    process::Comm,
};

pub(super) fn decode(bytes: &[u8], head: &RecordHead) -> Result<StateEvent, DecodeError> {
    if let Some(record) = record::whole::<StateChangeV4>(bytes) {
        return Ok(event(&record, address::v4(record.local), address::v4(record.remote)));
    }
    if let Some(record) = record::whole::<StateChangeV6>(bytes) {
        return Ok(event(&record, address::v6(record.local), address::v6(record.remote)));
    }
    Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() })
}

fn event<const WORDS: usize>(
    record: &StateChange<WORDS>,
    local: IpAddr,
    remote: IpAddr,
) -> StateEvent {
    let StateChange { head, old, new, error, pid, comm, local: _, remote: _ } = *record;
    let RecordHead {
        at_ns,
        cookie,
        netns,
        kind: _,
        family: _,
        local_port,
        remote_port,
        flags,
        reserved: _,
    } = head;
    let (from, to) = (TcpState::from_kernel(old), TcpState::from_kernel(new));
    StateEvent {
        at: KernelTime(at_ns),
        socket: Cookie(cookie),
        netns: Netns(netns),
        ends: Endpoints {
            local: Endpoint { address: local, port: local_port },
            remote: Endpoint { address: remote, port: remote_port },
        },
        from,
        to,
        error,
        orphaned: flags & FLAG_DEAD != 0,
        peer_finished: flags & FLAG_DONE != 0,
        process: (flags & FLAG_TASK != 0).then(|| Process {
            pid,
            comm: Comm::from_kernel(text(comm)),
            via: via(to),
        }),
        no_fin_wait: flags & FLAG_LINGER2_OFF != 0,
        fast_open: flags & FLAG_FAST_OPEN != 0,
        timer: None,
        kept_back: flags & FLAG_KEPT_BACK != 0,
    }
}

/// The system call that enters a state.
const fn via(to: TcpState) -> Via {
    match to {
        TcpState::SynSent => Via::Connect,
        TcpState::Listen => Via::Listen,
        _ => Via::Close,
    }
}

/// The bytes of a name, as they lie in memory.
fn text([first, second]: [u64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let words = first.to_ne_bytes().into_iter().chain(second.to_ne_bytes());
    for (byte, from) in bytes.iter_mut().zip(words) {
        *byte = from;
    }
    bytes
}
