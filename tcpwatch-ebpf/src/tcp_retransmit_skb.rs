//! Tracepoint `tcp:tcp_retransmit_skb` (since 4.15): a full socket sends a segment again. Emits
//! [`Retransmit`].
//!
//! Fired by `__tcp_retransmit_skb` in `net/ipv4/tcp_output.c`, after the segment was handed down and
//! before the timer is armed anew. Up to 6.16 it fires only if that succeeded.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tcpwatch_common::{
    RecordHead, RecordKind, Retransmit, RetransmitTimes, TimedRetransmit,
    counter::Hook,
    counts::RetransmitKind,
    retransmit::{
        FLAG_COUNTED, FLAG_NOT_SENT, FLAG_ORPHAN, TCP_ACK, TCP_FIN, TCP_SYN, counts_though_unsent,
    },
    state::SYN_SENT,
};

use crate::{
    count,
    emit::{self, EmitFailure},
    filter::{self, WantedSocket},
    inet_sock_set_state::tell_kept_back,
    kernel::{Addresses, SkBuff, Sock},
    maps, refused, sent_before, trial,
};

#[btf_tracepoint(function = "tcp_retransmit_skb")]
fn retransmit(ctx: BtfTracePointContext) -> i32 {
    if trial::has(Sock::argument(&ctx, 0), Hook::Retransmit) {
        return 0;
    }
    if count::is_on() {
        count_again(&ctx);
    }
    if emit::is_on()
        && let Err(loss) = try_retransmit(&ctx)
    {
        emit::count_loss(&ctx, loss, Hook::Retransmit);
    }
    0
}

#[inline(always)]
fn count_again(ctx: &BtfTracePointContext) {
    let sock = Sock::argument(ctx, 0);
    if !count::wants(sock) {
        return;
    }
    if error(ctx) != 0 {
        return;
    }
    let flags = SkBuff::argument(ctx, 1).outgoing_flags();
    let kind = if flags & TCP_SYN != 0 {
        if flags & TCP_ACK == 0 { RetransmitKind::Syn } else { RetransmitKind::SynAck }
    } else if flags & TCP_FIN != 0 {
        RetransmitKind::Fin
    } else {
        RetransmitKind::Data
    };
    count::again(sock, kind);
}

/// Why the network below did not take it; 0 if it did.
#[inline(always)]
fn error(ctx: &BtfTracePointContext) -> i32 {
    if maps::RETRANSMIT_HAS_ERROR.load() == 0 { 0 } else { ctx.arg::<i32>(2) }
}

#[inline(always)]
fn not_sent(ctx: &BtfTracePointContext) -> u16 {
    match error(ctx) {
        0 => 0,
        error if counts_though_unsent(error) => FLAG_NOT_SENT | FLAG_COUNTED,
        _ => FLAG_NOT_SENT,
    }
}

#[inline(always)]
fn try_retransmit(ctx: &BtfTracePointContext) -> Result<(), EmitFailure> {
    let sock = Sock::argument(ctx, 0);
    let state = sock.state();
    let tcp = sock.as_tcp().ok_or(EmitFailure::NotATcpSocket)?;
    let Some(WantedSocket { ports, netns }) = filter::socket(sock, tcp) else { return Ok(()) };
    if refused::direction(sock) {
        return Ok(());
    }
    let orphan = if sock.is_orphan() { FLAG_ORPHAN } else { 0 };
    let flags = orphan | not_sent(ctx);
    let segment = SkBuff::argument(ctx, 1);
    let times = sent_before::is_on().then(|| sent_before::times(sock, tcp, segment));
    let kind = if times.is_some() { RecordKind::TimedRetransmit } else { RecordKind::Retransmit };
    let head = emit::head(kind, sock.cookie(), netns, ports, flags);
    let head = RecordHead { cgroup: tcp.cgroup(), ..head };
    if filter::asks_ports() && state == SYN_SENT {
        tell_kept_back(ctx, sock, &head);
    }
    let again = RetransmitFields {
        head,
        rto: tcp.rto(),
        user_timeout_ms: tcp.user_timeout_ms(),
        total: tcp.retransmits(),
        state,
        segment: segment.outgoing_flags(),
        timeouts: tcp.timeouts(),
        syn_retries: tcp.syn_retries(),
        times,
    };
    again.emit(sock, Hook::Retransmit)
}

/// A retransmission: the part of the record that does not depend on the family.
#[derive(Clone, Copy)]
pub(crate) struct RetransmitFields {
    pub(crate) head: RecordHead,
    pub(crate) rto: u32,
    pub(crate) user_timeout_ms: u32,
    pub(crate) total: u32,
    pub(crate) state: u8,
    pub(crate) segment: u8,
    pub(crate) timeouts: u8,
    pub(crate) syn_retries: u8,
    pub(crate) times: Option<RetransmitTimes>,
}

impl RetransmitFields {
    /// Emits the record with the addresses of `sock`, if they are wanted.
    #[inline(always)]
    pub(crate) fn emit(self, sock: Sock, hook: Hook) -> Result<(), EmitFailure> {
        match sock.addresses().ok_or(EmitFailure::UnknownFamily)? {
            Addresses::V4 { local, remote } if filter::v4(local, remote) => {
                self.record(emit::v4(self.head), local, remote, hook)
            }
            Addresses::V6 { local, remote } if filter::v6(local, remote) => {
                self.record(emit::v6(self.head), local, remote, hook)
            }
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn record<const WORDS: usize>(
        self,
        head: RecordHead,
        local: [u32; WORDS],
        remote: [u32; WORDS],
        hook: Hook,
    ) -> Result<(), EmitFailure> {
        emit::attempt(hook);
        let Self { rto, user_timeout_ms, total, state, segment, timeouts, syn_retries, .. } = self;
        let again = Retransmit {
            head,
            rto,
            user_timeout_ms,
            total,
            state,
            segment,
            timeouts,
            syn_retries,
            local,
            remote,
        };
        match self.times {
            None => emit::emit(again),
            Some(times) => emit::emit(TimedRetransmit { again, times }),
        }
    }
}
