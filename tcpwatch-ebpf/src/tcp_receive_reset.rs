//! Tracepoint `tcp:tcp_receive_reset` (since 4.15): a full socket accepts a reset. Emits
//! [`tcpwatch_common::Reset`].
//!
//! Fired by `tcp_reset` in `net/ipv4/tcp_input.c`, before the socket closes. A reset that ends a
//! mini-socket does not come here.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tcpwatch_common::{RecordHead, RecordKind, counter::Hook};

use crate::{
    count,
    emit::{self, EmitFailure},
    filter::{self, WantedSocket},
    kernel::Sock,
    refused,
    tcp_send_reset::ResetFields,
    trial,
};

#[btf_tracepoint(function = "tcp_receive_reset")]
fn receive_reset(ctx: BtfTracePointContext) -> i32 {
    let sock = Sock::argument(&ctx, 0);
    if trial::has(sock, Hook::ReceiveReset) {
        return 0;
    }
    if count::is_on() && count::wants(sock) {
        count::ends::reset_received(sock);
    }
    if emit::is_on()
        && let Err(loss) = try_receive_reset(&ctx)
    {
        emit::count_loss(&ctx, loss, Hook::ReceiveReset);
    }
    0
}

#[inline(always)]
fn try_receive_reset(ctx: &BtfTracePointContext) -> Result<(), EmitFailure> {
    let sock = Sock::argument(ctx, 0);
    let state = sock.state();
    let tcp = sock.as_tcp().ok_or(EmitFailure::NotATcpSocket)?;
    let Some(WantedSocket { ports, netns }) = filter::socket(sock, tcp) else { return Ok(()) };
    if refused::direction(sock) {
        return Ok(());
    }
    let head = emit::head(RecordKind::Reset, sock.cookie(), netns, ports, 0);
    let head = RecordHead { cgroup: tcp.cgroup(), ..head };
    let addresses = sock.addresses().ok_or(EmitFailure::UnknownFamily)?;
    ResetFields { head, reason: 0, state }.emit(addresses, Hook::ReceiveReset)
}
