//! Tracepoint `tcp:tcp_send_reset` (since 4.15): this host sends a reset. Emits [`Reset`].
//!
//! Fired by `tcp_v4_send_reset` in `net/ipv4/tcp_ipv4.c`, its twin for IPv6, and
//! `tcp_send_active_reset` in `net/ipv4/tcp_output.c`. Since 6.10 also where there is no full socket,
//! and with the reason.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tcpwatch_common::{
    RecordHead, RecordKind, Reset,
    config::MINI_BYTES,
    counter::Hook,
    reset::{FLAG_NO_SYN, FLAG_REASON, FLAG_SENT},
};

use crate::{
    count,
    emit::{self, EmitFailure},
    filter,
    kernel::{Addresses, AnySock, Common, Room, SkBuff},
    maps, trial,
};

#[btf_tracepoint(function = "tcp_send_reset")]
fn send_reset(ctx: BtfTracePointContext) -> i32 {
    if let Err(loss) = try_send_reset(&ctx) {
        emit::count_loss(&ctx, loss, Hook::SendReset);
    }
    0
}

#[inline(always)]
fn try_send_reset(ctx: &BtfTracePointContext) -> Result<(), EmitFailure> {
    let (sock, segment) = (AnySock::argument(ctx, 0), SkBuff::unchecked(ctx, 1));
    let mut room = Room([0; MINI_BYTES]);
    let copy = sock.copy(&mut room);
    let netns = match copy {
        Some(copy) => copy.netns(),
        None => segment.netns(),
    };
    if trial::is_in(netns, Hook::SendReset) {
        return Ok(());
    }
    let netns = netns.ok_or(EmitFailure::Unreadable)?;
    let state = copy.map_or(0, Common::state);
    if count::is_on() && count::wants_netns(netns) {
        count::ends::reset_sent(sock, state, segment.incoming_ports());
    }
    if !emit::is_on() {
        return Ok(());
    }
    if !filter::netns(netns) {
        return Ok(());
    }
    // A listener's cookie would name another socket than the one the reset is about.
    let cookie = copy.filter(|copy| copy.ports().1 != 0).map_or(0, Common::cookie);
    let (reason, flags) = match maps::RESET_HAS_REASON.load() {
        0 => (0, FLAG_SENT),
        _ => (ctx.arg::<u32>(2), FLAG_SENT | FLAG_REASON),
    };
    let flags = if segment.comes_without_syn() { flags | FLAG_NO_SYN } else { flags };
    // Without a socket a reset only ever answers a segment, and a listener's socket does not name
    // the peer; without a segment it is the application's doing. A socket that is closed already has
    // lost its port (inet_put_port()), but not the copy of it.
    let (ports, addresses) = match (segment.incoming_ports(), copy) {
        (Some(ports), _) => (ports, segment.incoming_addresses()),
        (None, Some(copy)) => {
            let local = sock.local_port().ok_or(EmitFailure::Unreadable)?;
            ((local, copy.ports().1), copy.addresses())
        }
        (None, None) => return Err(EmitFailure::Unreadable),
    };
    if !filter::known_ports(ports) {
        return Ok(());
    }
    let head = emit::head(RecordKind::Reset, cookie, netns, ports, flags);
    ResetFields { head, reason, state }
        .emit(addresses.ok_or(EmitFailure::UnknownFamily)?, Hook::SendReset)
}

/// A reset: the part of the record that does not depend on the family.
#[derive(Clone, Copy)]
pub(crate) struct ResetFields {
    pub(crate) head: RecordHead,
    pub(crate) reason: u32,
    pub(crate) state: u8,
}

impl ResetFields {
    /// Emits the record with these addresses, if they are wanted.
    #[inline(always)]
    pub(crate) fn emit(self, addresses: Addresses, hook: Hook) -> Result<(), EmitFailure> {
        match addresses {
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
        let Self { head: _, reason, state } = self;
        emit::emit(Reset { head, reason, state, reserved: [0; 3], local, remote })
    }
}
