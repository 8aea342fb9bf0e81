//! Tracepoint `sock:inet_sock_set_state` (since 4.16): every state change of a full socket.
//! Emits [`StateChange`].
//!
//! Fired by `inet_sk_set_state` and `inet_sk_state_store` in `net/ipv4/af_inet.c`, before the new
//! state is stored.

use aya_ebpf::{
    helpers::bpf_get_current_comm, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use tcpwatch_common::{
    Family, RecordHead, RecordKind, StateChange,
    counter::Hook,
    state_change::{FLAG_DEAD, FLAG_DONE, FLAG_TASK, FLAG_UNDECIDED},
};

use crate::{
    emit::{self, Loss},
    filter::{self, Verdict},
    kernel::{Addresses, Sock},
};

/// `enum sock_flags`: `SOCK_DEAD`, `SOCK_DONE`.
const SOCK_DEAD: u64 = 1 << 0;
const SOCK_DONE: u64 = 1 << 1;

// Kernel state numbers, `include/net/tcp_states.h`.
const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;
const SYN_RECV: u32 = 3;
const FIN_WAIT1: u32 = 4;
const CLOSE: u32 = 7;
const CLOSE_WAIT: u32 = 8;
const LAST_ACK: u32 = 9;
const LISTEN: u32 = 10;

#[btf_tracepoint(function = "inet_sock_set_state")]
fn set_state(ctx: BtfTracePointContext) -> i32 {
    if let Err(loss) = try_set_state(&ctx) {
        emit::count_loss(&ctx, loss, Hook::SetState);
    }
    0
}

#[inline(always)]
fn try_set_state(ctx: &BtfTracePointContext) -> Result<(), Loss> {
    let sock = Sock::argument(ctx, 0);
    let (old, new) = (ctx.arg::<u32>(1), ctx.arg::<u32>(2));
    // tcp_close_state() also "changes" FIN_WAIT_2 to FIN_WAIT_2: not a change.
    if old == new || !filter::states(old, new) || !sock.is_tcp() {
        return Ok(());
    }
    let tcp = sock.as_tcp().ok_or(Loss::NotATcpSocket)?;
    let ports = (tcp.local_port(), sock.remote_port());
    let listens = new == LISTEN || old == LISTEN && new == CLOSE;
    let verdict = if listens { filter::listener_port(ports.0) } else { filter::ports(ports) };
    let netns = sock.netns();
    if verdict == Verdict::Unwanted || !filter::netns(netns) {
        return Ok(());
    }
    let addresses = sock.addresses().ok_or(Loss::UnknownFamily)?;
    if !filter::addresses(&addresses) {
        return Ok(());
    }

    emit::attempt(Hook::SetState);
    let mut flags = sock_flags(sock);
    if verdict == Verdict::Undecided {
        flags |= FLAG_UNDECIDED;
    }
    let (pid, comm) = if by_system_call(old, new) {
        flags |= FLAG_TASK;
        (emit::current_pid(), bpf_get_current_comm().unwrap_or_default())
    } else {
        (0, [0; 16])
    };
    let head = emit::head(RecordKind::StateChange, sock.cookie(), netns, ports, flags);
    let (old, new, error) = (old as u8, new as u8, sock.error());
    match addresses {
        Addresses::V4 { local, remote } => emit::emit(|| {
            let head = RecordHead { family: Family::V4 as u8, ..head };
            StateChange { head, old, new, error, pid, comm, local, remote }
        }),
        Addresses::V6 { local, remote } => emit::emit(|| {
            let head = RecordHead { family: Family::V6 as u8, ..head };
            StateChange { head, old, new, error, pid, comm, local, remote }
        }),
    }
}

#[inline(always)]
fn sock_flags(sock: Sock) -> u16 {
    let kernel = sock.flags();
    let mut flags = 0;
    if kernel & SOCK_DEAD != 0 {
        flags |= FLAG_DEAD;
    }
    if kernel & SOCK_DONE != 0 {
        flags |= FLAG_DONE;
    }
    flags
}

/// Is this change only ever made by a system call of the task that owns the socket? All others can
/// happen in a softirq, where the current task is a bystander.
#[inline(always)]
fn by_system_call(old: u32, new: u32) -> bool {
    match new {
        // connect() in tcp_v4_connect() and tcp_v6_connect(); listen() in inet_csk_listen_start().
        SYN_SENT | LISTEN => old == CLOSE,
        // close() and shutdown() through tcp_close_state().
        FIN_WAIT1 => old == ESTABLISHED || old == SYN_RECV,
        LAST_ACK => old == CLOSE_WAIT,
        _ => false,
    }
}
