//! Tracepoints `tcp:tcp_rcv_space_adjust` (since 4.15) and `sock:sock_send_length` (since 6.3): a process has
//! received or sent data. Emits [`tcpwatch_common::Owner`] when it is another process than before.
//!
//! Fired by `tcp_rcv_space_adjust` in `net/ipv4/tcp_input.c` when data are taken out of the queue, and by
//! `sock_sendmsg_nosec` in `net/socket.c` after a system call that sends.

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE, helpers::bpf_ktime_get_ns, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use tcpwatch_common::{
    OwnerVia, RecordHead, RecordKind,
    counter::Hook,
    owner::{HOLDER_CHANGES, HOLDER_PAUSE_NS, Holder},
};

use crate::{
    emit::{self, EmitFailure},
    filter,
    kernel::{Sock, TaskStruct},
    maps::HOLDERS,
    owner, refused, trial,
};

#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
fn received(ctx: BtfTracePointContext) -> i32 {
    let sock = Sock::argument(&ctx, 0);
    // A consumer inside the kernel (`tcp_read_sock`) may run in a softirq.
    if is_another(sock) && sock.is_locked_by_task() {
        learn(&ctx, sock, Hook::Received);
    }
    0
}

#[btf_tracepoint(function = "sock_send_length")]
fn sent(ctx: BtfTracePointContext) -> i32 {
    let sock = Sock::argument(&ctx, 0);
    if sock.is_tcp() && is_another(sock) {
        learn(&ctx, sock, Hook::Sent);
    }
    0
}

/// Is it another process than the one that was seen last, or does it run another program? The way of nearly all calls ends here.
#[inline(always)]
fn is_another(sock: Sock) -> bool {
    let Some(holder) = sock.storage(&HOLDERS, 0) else { return true };
    // SAFETY: the helper returned the live value of this socket.
    let Holder { process, .. } = unsafe { *holder };
    let now = TaskStruct::current_image();
    process.pid != now.pid || process.execs != now.execs
}

#[inline(always)]
fn learn(ctx: &BtfTracePointContext, sock: Sock, hook: Hook) {
    if let Err(loss) = try_learn(sock, hook) {
        emit::count_loss(ctx, loss, hook);
    }
}

#[inline(always)]
fn try_learn(sock: Sock, hook: Hook) -> Result<(), EmitFailure> {
    // A raw socket may have TCP's number.
    let Some(tcp) = sock.as_tcp() else { return Ok(()) };
    if trial::is_in(Some(tcp.netns()), hook) {
        return Ok(());
    }
    let Some(task) = TaskStruct::of_a_process().filter(|_| tcp.has_file()) else { return Ok(()) };
    if !take_note(sock) {
        return Ok(());
    }
    let ports = (sock.bound_port(), sock.remote_port());
    let netns = tcp.netns();
    if !filter::known_ports(ports) || !filter::netns(netns) {
        return Ok(());
    }
    let addresses = sock.addresses().ok_or(EmitFailure::UnknownFamily)?;
    if !filter::addresses(&addresses)
        || refused::direction(sock)
        || refused::cgroup(|| tcp.cgroup())
    {
        return Ok(());
    }
    let head = emit::head(RecordKind::Owner, sock.cookie(), netns, ports, 0);
    let head = RecordHead { cgroup: tcp.cgroup(), ..head };
    owner::tell(&head, &addresses, (task.describe(), OwnerVia::Io as u16), hook)
}

/// Notes the current process as the holder; false if that is not to be reported, because processes that share
/// the socket take turns.
#[inline(always)]
fn take_note(sock: Sock) -> bool {
    let Some(holder) = sock.storage(&HOLDERS, u64::from(BPF_SK_STORAGE_GET_F_CREATE)) else {
        return true;
    };
    // SAFETY: the helper returned the live value of this socket.
    let Holder { changes, at_ns, .. } = unsafe { *holder };
    // SAFETY: the helper takes nothing and always succeeds.
    let now = unsafe { bpf_ktime_get_ns() };
    if changes >= HOLDER_CHANGES && now - at_ns < HOLDER_PAUSE_NS {
        return false;
    }
    let (process, changes) = (TaskStruct::current_image(), changes.saturating_add(1));
    // SAFETY: as above.
    unsafe { *holder = Holder { process, changes, reserved: 0, at_ns: now } };
    true
}
