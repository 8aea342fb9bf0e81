//! Tracepoint `tcp:tcp_send_reset` (since 4.15): this host sends a reset. Emits [`Reset`].
//!
//! Fired by `tcp_v4_send_reset` in `net/ipv4/tcp_ipv4.c`, its twin for IPv6, and
//! `tcp_send_active_reset` in `net/ipv4/tcp_output.c`. Since 6.10 also where there is no full socket,
//! and with the reason.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tcpwatch_common::{
    RecordKind, Reset,
    config::MINI_BYTES,
    counter::Hook,
    reset::{FLAG_REASON, FLAG_SENT},
};

use crate::{
    emit::{self, Loss},
    filter,
    kernel::{Addresses, Common, Room, Segment, Sock},
    maps,
};

#[btf_tracepoint(function = "tcp_send_reset")]
fn send_reset(ctx: BtfTracePointContext) -> i32 {
    if let Err(loss) = try_send_reset(&ctx) {
        emit::count_loss(&ctx, loss, Hook::SendReset);
    }
    0
}

#[inline(always)]
fn try_send_reset(ctx: &BtfTracePointContext) -> Result<(), Loss> {
    let (sock, segment) = (Sock::argument(ctx, 0), Segment::argument(ctx, 1));
    let mut room = Room([0; MINI_BYTES]);
    let copy = sock.copy(&mut room);
    // Without a socket a reset only ever answers a segment, and a listener's socket does not name
    // the peer; without a segment it is the application's doing.
    let (ports, addresses) = if let Some(ends) = segment.incoming_ends() {
        (ends.ports, ends.addresses)
    } else {
        let copy = copy.ok_or(Loss::Unreadable)?;
        // A socket that is closed already has lost its port (inet_put_port()).
        let local = sock.probe_local_port().ok_or(Loss::Unreadable)?;
        let addresses = copy.addresses().ok_or(Loss::UnknownFamily)?;
        ((local, copy.ports().1), addresses)
    };
    let netns = match copy {
        Some(copy) => copy.netns(),
        None => segment.netns(),
    };
    let netns = netns.ok_or(Loss::Unreadable)?;
    let state = copy.map_or(0, Common::state);
    let wanted = filter::state(state.into())
        && filter::known_ports(ports)
        && filter::netns(netns)
        && filter::addresses(&addresses);
    if !wanted {
        return Ok(());
    }
    emit::attempt(Hook::SendReset);
    // A listener's cookie would name another socket than the one the reset is about.
    let cookie = copy.filter(|copy| copy.ports().1 != 0).map_or(0, Common::cookie);
    let (reason, flags) = match maps::RESET_HAS_REASON.load() {
        0 => (0, FLAG_SENT),
        _ => (ctx.arg::<u32>(2), FLAG_SENT | FLAG_REASON),
    };
    let head = emit::head(RecordKind::Reset, cookie, netns, ports, flags);
    let record = Reset { head, reason, state, reserved: [0; 3], local: [0], remote: [0] };
    emit_reset(record, &addresses)
}

/// Emits `record` with these addresses instead of its own.
#[inline(always)]
pub(crate) fn emit_reset(record: Reset<1>, addresses: &Addresses) -> Result<(), Loss> {
    let Reset { head, reason, state, reserved, local: _, remote: _ } = record;
    match *addresses {
        Addresses::V4 { local, remote } => {
            emit::emit(Reset { head: emit::v4(head), local, remote, ..record })
        }
        Addresses::V6 { local, remote } => {
            emit::emit(Reset { head: emit::v6(head), reason, state, reserved, local, remote })
        }
    }
}
