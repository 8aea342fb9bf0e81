//! Tracepoint `tcp:tcp_retransmit_skb` (since 4.15): a full socket sends a segment again. Emits
//! [`Retransmit`].
//!
//! Fired by `__tcp_retransmit_skb` in `net/ipv4/tcp_output.c`, after the segment was handed down and
//! before the timer is armed anew. Up to 6.16 it fires only if that succeeded.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tcpwatch_common::{
    RecordKind, Retransmit,
    counter::Hook,
    retransmit::{FLAG_NOT_SENT, FLAG_ORPHAN},
};

use crate::{
    emit::{self, Loss},
    filter,
    kernel::{Addresses, Segment, Sock},
    maps,
};

#[btf_tracepoint(function = "tcp_retransmit_skb")]
fn retransmit(ctx: BtfTracePointContext) -> i32 {
    if let Err(loss) = try_retransmit(&ctx) {
        emit::count_loss(&ctx, loss, Hook::Retransmit);
    }
    0
}

#[inline(always)]
fn try_retransmit(ctx: &BtfTracePointContext) -> Result<(), Loss> {
    let sock = Sock::argument(ctx, 0);
    let (state, ports) = (sock.state(), (sock.bound_port(), sock.remote_port()));
    if !filter::state(state.into()) || !filter::known_ports(ports) {
        return Ok(());
    }
    let netns = sock.netns();
    let addresses = sock.addresses().ok_or(Loss::UnknownFamily)?;
    if !filter::netns(netns) || !filter::addresses(&addresses) {
        return Ok(());
    }
    let tcp = sock.as_tcp().ok_or(Loss::NotATcpSocket)?;
    emit::attempt(Hook::Retransmit);
    let failed = maps::RETRANSMIT_HAS_ERROR.load() != 0 && ctx.arg::<i32>(2) != 0;
    let orphan = if sock.is_orphan() { FLAG_ORPHAN } else { 0 };
    let flags = if failed { orphan | FLAG_NOT_SENT } else { orphan };
    let head = emit::head(RecordKind::Retransmit, sock.cookie(), netns, ports, flags);
    let record = Retransmit {
        head,
        rto: tcp.rto(),
        user_timeout_ms: tcp.user_timeout_ms(),
        total: tcp.retransmits(),
        state,
        segment: Segment::argument(ctx, 1).outgoing_flags(),
        timeouts: tcp.timeouts(),
        syn_retries: tcp.syn_retries(),
        local: [0],
        remote: [0],
    };
    emit_retransmit(record, &addresses)
}

/// Emits `record` with these addresses instead of its own.
#[inline(always)]
pub(crate) fn emit_retransmit(record: Retransmit<1>, addresses: &Addresses) -> Result<(), Loss> {
    let Retransmit {
        head,
        rto,
        user_timeout_ms,
        total,
        state,
        segment,
        timeouts,
        syn_retries,
        local: _,
        remote: _,
    } = record;
    match *addresses {
        Addresses::V4 { local, remote } => {
            emit::emit(Retransmit { head: emit::v4(head), local, remote, ..record })
        }
        Addresses::V6 { local, remote } => emit::emit(Retransmit {
            head: emit::v6(head),
            rto,
            user_timeout_ms,
            total,
            state,
            segment,
            timeouts,
            syn_retries,
            local,
            remote,
        }),
    }
}
