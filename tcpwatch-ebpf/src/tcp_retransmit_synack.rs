//! Tracepoint `tcp:tcp_retransmit_synack` (since 4.15): the SYN+ACK of a half-open connection is
//! sent again. Emits [`tcpwatch_common::Retransmit`].
//!
//! Fired by `tcp_rtx_synack` in `net/ipv4/tcp_output.c`, for the request's timer and for a SYN that
//! comes again.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tcpwatch_common::{
    RecordHead, RecordKind,
    counter::Hook,
    counts,
    retransmit::{FLAG_REQUEST, FLAG_SYN_CAME_AGAIN, TCP_ACK, TCP_SYN},
    state::{LISTEN, SYN_RECV},
};

use crate::{
    count,
    emit::{self, EmitFailure},
    filter::{self, WantedSocket},
    kernel::Sock,
    listener_queue::{self, HalfOpenStep},
    refused, sent_before,
    tcp_retransmit_skb::RetransmitFields,
    trial,
};

#[btf_tracepoint(function = "tcp_retransmit_synack")]
fn retransmit_synack(ctx: BtfTracePointContext) -> i32 {
    let listener = Sock::argument(&ctx, 0);
    if trial::has(listener, Hook::RetransmitSynAck) {
        return 0;
    }
    if count::is_on() && count::wants(listener) {
        count::again(listener, counts::RetransmitKind::SynAck);
    }
    if emit::is_on()
        && let Err(loss) = try_retransmit_synack(&ctx)
    {
        emit::count_loss(&ctx, loss, Hook::RetransmitSynAck);
    }
    0
}

#[inline(always)]
fn try_retransmit_synack(ctx: &BtfTracePointContext) -> Result<(), EmitFailure> {
    if refused::half_open() {
        return Ok(());
    }
    let request = Sock::request(ctx, 1);
    // The first argument is the listener, or the socket that fast open has made already.
    let listener = Sock::argument(ctx, 0).as_tcp().ok_or(EmitFailure::NotATcpSocket)?;
    let Some(WantedSocket { ports, netns }) = filter::socket(request, listener) else {
        return Ok(());
    };
    let first = Sock::argument(ctx, 0);
    let state = first.state();
    let listens = state == LISTEN;
    let (cookie, timer_is_armed) = if listens {
        (request.known_cookie(), request.request_timer_is_armed())
    } else {
        // Its own timer repeats the SYN+ACK (`tcp_fastopen_synack_timer` in `net/ipv4/tcp_timer.c`).
        (first.cookie(), sent_before::is_on() && listener.write_timer_is_pending())
    };
    let earlier = request.request_timeouts();
    let (flags, timeouts) = if timer_is_armed {
        (FLAG_REQUEST | FLAG_SYN_CAME_AGAIN, earlier)
    } else {
        (FLAG_REQUEST, earlier + 1)
    };
    let head = emit::head(RecordKind::Retransmit, cookie, netns, ports, flags);
    if listens {
        let addresses = request.addresses().ok_or(EmitFailure::UnknownFamily)?;
        if filter::addresses(&addresses) {
            let of = (request.as_request(), first.as_listener());
            let hook = Hook::RetransmitSynAck;
            if let Err(loss) =
                listener_queue::tell(of, &head, &addresses, HalfOpenStep::Waits, hook)
            {
                emit::count_loss(ctx, loss, hook);
            }
        }
    }
    let again = RetransmitFields {
        head: RecordHead { cgroup: listener.cgroup(), ..head },
        rto: 0,
        user_timeout_ms: 0,
        total: 0,
        state: if listens { SYN_RECV } else { state },
        segment: TCP_SYN | TCP_ACK,
        timeouts,
        syn_retries: listener.syn_retries(),
        times: None,
    };
    again.emit(request, Hook::RetransmitSynAck)
}
