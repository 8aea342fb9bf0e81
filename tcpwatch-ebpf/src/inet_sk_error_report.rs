//! Tracepoint `sock:inet_sk_error_report` (since 5.14): the application will see an error. Emits
//! [`SocketError`].
//!
//! Fired by `sk_error_report` in `net/core/sock.c`; around the end of a connection before or after
//! the socket's last change, depending on the kernel.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tcpwatch_common::{RecordHead, RecordKind, SocketError, counter::Hook};

use crate::{
    emit::{self, EmitFailure},
    filter,
    kernel::{Addresses, Sock},
    refused, trial,
};

#[btf_tracepoint(function = "inet_sk_error_report")]
fn error_report(ctx: BtfTracePointContext) -> i32 {
    if let Err(loss) = try_error_report(&ctx) {
        emit::count_loss(&ctx, loss, Hook::ErrorReport);
    }
    0
}

#[inline(always)]
fn try_error_report(ctx: &BtfTracePointContext) -> Result<(), EmitFailure> {
    let sock = Sock::argument(ctx, 0);
    if !sock.is_tcp() {
        return Ok(());
    }
    if trial::has(sock, Hook::ErrorReport) {
        return Ok(());
    }
    let (error, state) = (sock.error(), sock.state());
    // A blocking connect() that fails reports a second time, after it has wiped the socket
    // (inet_stream_connect() calls tcp_disconnect()).
    if error == 0 || sock.remote_port() == 0 {
        return Ok(());
    }
    let tcp = sock.as_tcp().ok_or(EmitFailure::NotATcpSocket)?;
    let ports = (tcp.local_port(), sock.remote_port());
    let netns = tcp.netns();
    if !filter::known_ports(ports)
        || !filter::netns(netns)
        || refused::direction(sock)
        || refused::cgroup(|| tcp.cgroup())
    {
        return Ok(());
    }
    let head = emit::head(RecordKind::SocketError, sock.cookie(), netns, ports, 0);
    let head = RecordHead { cgroup: tcp.cgroup(), ..head };
    match sock.addresses().ok_or(EmitFailure::UnknownFamily)? {
        Addresses::V4 { local, remote } if filter::v4(local, remote) => {
            record(emit::v4(head), error, state, local, remote)
        }
        Addresses::V6 { local, remote } if filter::v6(local, remote) => {
            record(emit::v6(head), error, state, local, remote)
        }
        _ => Ok(()),
    }
}

#[inline(always)]
fn record<const WORDS: usize>(
    head: RecordHead,
    error: u16,
    state: u8,
    local: [u32; WORDS],
    remote: [u32; WORDS],
) -> Result<(), EmitFailure> {
    emit::attempt(Hook::ErrorReport);
    emit::emit(SocketError { head, error: error.into(), state, reserved: [0; 3], local, remote })
}
