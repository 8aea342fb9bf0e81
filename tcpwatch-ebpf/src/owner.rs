//! Which process holds a socket. Emits [`Owner`].
//!
//! The current task is named only where it is certain that it acts on the socket by a system call, and
//! never a thread of the kernel.

use tcpwatch_common::{Owner, OwnerTask, RecordHead, RecordKind, counter::Hook};

use crate::{
    emit::{self, EmitFailure},
    kernel::{Addresses, TaskStruct, TcpSock},
    maps::MPTCP_OWNERS,
};

/// The process of the current task, which makes a system call on this socket. Subflows of an MPTCP connection
/// belong to whom it belongs: a process opens the first one, threads of the kernel open and close others.
#[inline(always)]
pub(crate) fn of_system_call(tcp: TcpSock) -> Option<OwnerTask> {
    let task = TaskStruct::of_a_process();
    let Some(token) = tcp.mptcp_token() else {
        return task.filter(|_| tcp.has_file()).map(TaskStruct::describe);
    };
    let Some(task) = task else {
        let kept = MPTCP_OWNERS.get_ptr(token)?;
        // Volatile: the compiler would share the loads with those of the task below, and the verifier refuses
        // one instruction for two kinds of pointers.
        // SAFETY: the lookup returned a live entry.
        return Some(unsafe { kept.read_volatile() });
    };
    let owner = task.describe();
    // Without room, the other subflows have no owner.
    let _kept = MPTCP_OWNERS.insert(token, owner, 0).is_ok();
    Some(owner)
}

/// Says that `task` holds the socket of `head`; `via` is an [`tcpwatch_common::OwnerVia`]. As a number: the verifier
/// of types refuses an `Option` of a pair whose niche is in the enumeration.
#[inline(always)]
pub(crate) fn tell(
    head: &RecordHead,
    addresses: &Addresses,
    (task, via): (OwnerTask, u16),
    hook: Hook,
) -> Result<(), EmitFailure> {
    emit::attempt(hook);
    let head = RecordHead { kind: RecordKind::Owner as u8, flags: via, ..*head };
    match *addresses {
        Addresses::V4 { local, remote } => {
            emit::emit(Owner { head: emit::v4(head), task, local, remote })
        }
        Addresses::V6 { local, remote } => {
            emit::emit(Owner { head: emit::v6(head), task, local, remote })
        }
    }
}
