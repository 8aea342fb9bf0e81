//! Tracepoint `sock:inet_sock_set_state` (since 4.16): every state change of a full socket.
//! Emits [`StateChange`].
//!
//! Fired by `inet_sk_set_state` and `inet_sk_state_store` in `net/ipv4/af_inet.c`, before the new
//! state is stored.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tcpwatch_common::{
    Closing, OwnerTask, OwnerVia, RecordHead, RecordKind, StateChange, StateChangeLast,
    config::KeptBack,
    counter::Hook,
    state::{CLOSE_WAIT, CLOSED, ESTABLISHED, FIN_WAIT_1, LAST_ACK, LISTEN, SYN_RECV, SYN_SENT},
    state_change::{
        FLAG_DEAD, FLAG_DONE, FLAG_FAST_OPEN, FLAG_KEPT_BACK, FLAG_LINGER2_OFF, FLAG_SYN_COOKIE,
    },
};

use crate::{
    accepting, closing,
    copies::{self, Copy},
    count,
    emit::{self, EmitFailure},
    filter::{self, PortsVerdict},
    kernel::{Addresses, SOCK_DEAD, SOCK_DONE, Sock, TcpSock},
    maps, owner, refused, sent_before, trial, undecided,
};

#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
fn set_state(ctx: BtfTracePointContext) -> i32 {
    observe(&ctx, copies::FIRST)
}

#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
fn set_state_second(ctx: BtfTracePointContext) -> i32 {
    observe(&ctx, copies::SECOND)
}

#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
fn set_state_third(ctx: BtfTracePointContext) -> i32 {
    observe(&ctx, copies::THIRD)
}

#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
fn set_state_fourth(ctx: BtfTracePointContext) -> i32 {
    observe(&ctx, copies::FOURTH)
}

#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
fn set_state_fifth(ctx: BtfTracePointContext) -> i32 {
    observe(&ctx, copies::FIFTH)
}

#[inline(always)]
fn observe(ctx: &BtfTracePointContext, copy: Copy) -> i32 {
    // First of all, because it is all that a copy does as a rule.
    if let Some(change) = TracedChange::of(ctx)
        && copy.takes(change.sock, change.new)
    {
        change.observe(ctx, copy);
    }
    0
}

/// What the tracepoint reports of a TCP socket.
#[derive(Clone, Copy)]
struct TracedChange {
    sock: Sock,
    old: u8,
    new: u8,
}

/// What the filters let through.
struct PassedChange {
    tcp: TcpSock,
    netns: u32,
    /// Only the socket's next change has the port that a filter asks for.
    waits: bool,
}

impl TracedChange {
    /// `None` if it is none of TCP: `tcp_close_state()` also "changes" FIN_WAIT_2 to FIN_WAIT_2.
    #[inline(always)]
    fn of(ctx: &BtfTracePointContext) -> Option<Self> {
        let sock = Sock::argument(ctx, 0);
        let (old, new) = (ctx.arg::<u32>(1) as u8, ctx.arg::<u32>(2) as u8);
        (old != new && sock.is_tcp()).then_some(Self { sock, old, new })
    }

    #[inline(always)]
    fn observe(self, ctx: &BtfTracePointContext, copy: Copy) {
        let Self { sock, old, new } = self;
        if trial::has(sock, Hook::SetState) {
            return;
        }
        if old == LISTEN && new == SYN_RECV {
            count::full::accepting(sock, copy.block);
        } else if count::is_on() {
            count::full::change(sock, (old, new), copy.block);
        }
        if emit::is_on()
            && let Err(loss) = self.emit(ctx, copy.hook)
        {
            emit::count_loss(ctx, loss, copy.hook);
        }
        if old == SYN_RECV {
            accepting::is_over();
        }
    }

    #[inline(always)]
    fn emit(self, ctx: &BtfTracePointContext, hook: Hook) -> Result<(), EmitFailure> {
        let Self { sock, old, new } = self;
        if refused::change(sock, old, new) {
            return Ok(());
        }
        let ports = (local_port(sock, old, new)?, sock.remote_port());
        if old == LISTEN && new == SYN_RECV && ports.1 == 0 {
            // Up to 6.12 an accepted socket is still an exact copy of its listener here, cookie included
            // (inet_csk_clone_lock): not a change of any connection. Its next change carries all fields.
            return Ok(());
        }
        // So may the change before this one be.
        let may_be_kept = filter::asks_ports() && old == SYN_SENT;
        let Some(PassedChange { tcp, netns, waits }) = self.wanted(ports)? else {
            if may_be_kept {
                undecided::forget(sock.cookie());
            }
            return Ok(());
        };
        let ends = new == CLOSED && old != LISTEN;
        let (error, flags) = if ends {
            let Closing { error, flags, .. } = closing::of(sock, tcp, old);
            (error, flags)
        } else {
            (sock.error(), flags(sock, tcp, old, new))
        };
        let head = emit::head(RecordKind::StateChange, sock.cookie(), netns, ports, flags);
        let head = RecordHead { cgroup: tcp.cgroup(), ..head };
        let opens = old == SYN_SENT && new == ESTABLISHED && maps::WITH_TOTALS.load() != 0;
        let round_trip_us = if opens { tcp.syn_round_trip_us() } else { 0 };
        let what = StateChangeFields { old, new, error, round_trip_us };
        if may_be_kept && let Some(kept) = undecided::take(head.cookie) {
            emit_kept_back(ctx, &kept, &head, sock, hook);
        }
        // No closure: one that is not inlined returns a type that the kernel's BTF does not take.
        let owner = if let Some(via) = system_call(sock, old, new)
            && let Some(task) = owner::of_system_call(tcp)
        {
            Some((task, via as u16))
        } else {
            None
        };
        if waits {
            return undecided::keep(head.cookie, &what.kept_back(&head, owner));
        }
        if let Some(owner) = owner {
            tell_owner(ctx, &head, sock, owner, hook);
        }
        let is_last = ends && maps::WITH_TOTALS.load() != 0;
        what.emit(head, sock, is_last.then_some(tcp), hook)
    }

    #[inline(always)]
    fn wanted(self, ports: (u16, u16)) -> Result<Option<PassedChange>, EmitFailure> {
        let Self { sock, old, new } = self;
        // A listener waits for nothing: user space asks for its port and decides.
        let listens = new == LISTEN || old == LISTEN && new == CLOSED;
        let verdict = if listens { filter::listener_port(ports.0) } else { filter::ports(ports) };
        let waits = verdict == PortsVerdict::Undecided && !listens;
        // A connect that found no free port never gets one.
        if verdict == PortsVerdict::Unwanted || waits && new == CLOSED {
            return Ok(None);
        }
        let tcp = sock.as_tcp().ok_or(EmitFailure::NotATcpSocket)?;
        if new == SYN_SENT || new == ESTABLISHED {
            sent_before::learn(tcp);
        }
        let netns = tcp.netns();
        if !filter::netns(netns) || refused::cgroup(|| tcp.cgroup()) {
            return Ok(None);
        }
        let addresses = sock.addresses().ok_or(EmitFailure::UnknownFamily)?;
        Ok(filter::addresses(&addresses).then_some(PassedChange { tcp, netns, waits }))
    }
}

/// The cheap way first; it fails only at the very end of a life, and while there is no port.
///
/// A socket that leaves CLOSED without a port gets one afterwards: `tcp_v4_connect` enters SYN_SENT before
/// `inet_hash_connect`, `inet_csk_listen_start` enters LISTEN before `get_port`. Of a socket that is used
/// again, `inet_sport` still holds the port of its life before (`inet_put_port` leaves it), also when a
/// connect fails because no port is free, and so has sent nothing.
#[inline(always)]
fn local_port(sock: Sock, old: u8, new: u8) -> Result<u16, EmitFailure> {
    match sock.bound_port() {
        0 if old != CLOSED => {
            let tcp = sock.as_tcp().ok_or(EmitFailure::NotATcpSocket)?;
            let ends = old == SYN_SENT && new == CLOSED;
            let no_port = ends && closing::found_no_port(sock, tcp) != 0;
            Ok(if no_port { 0 } else { tcp.local_port() })
        }
        port => Ok(port),
    }
}

/// Tells a connect that was kept back until a port was known, if there is one: `now` has the ports.
#[inline(always)]
pub(crate) fn tell_kept_back(ctx: &BtfTracePointContext, sock: Sock, now: &RecordHead) {
    if let Some(kept) = undecided::take(sock.cookie()) {
        emit_kept_back(ctx, &kept, now, sock, Hook::SetState);
    }
}

#[inline(always)]
fn emit_kept_back(
    ctx: &BtfTracePointContext,
    kept: &KeptBack,
    now: &RecordHead,
    sock: Sock,
    hook: Hook,
) {
    let (head, change) = StateChangeFields::at_last(kept, now);
    if kept.task.comm[0] != 0 || kept.task.pid != 0 {
        tell_owner(ctx, &head, sock, (kept.task, OwnerVia::Connect as u16), hook);
    }
    if let Err(loss) = change.emit(head, sock, None, hook) {
        emit::count_loss(ctx, loss, hook);
    }
}

#[inline(always)]
fn tell_owner(
    ctx: &BtfTracePointContext,
    head: &RecordHead,
    sock: Sock,
    owner: (OwnerTask, u16),
    hook: Hook,
) {
    if let Some(addresses) = sock.addresses()
        && let Err(loss) = owner::tell(head, &addresses, owner, hook)
    {
        emit::count_loss(ctx, loss, hook);
    }
}

/// The part of a record that does not depend on the family.
#[derive(Clone, Copy)]
struct StateChangeFields {
    old: u8,
    new: u8,
    error: u16,
    /// The round trip of the SYN, in microseconds, when a connect succeeds; else 0. See [`StateChange::pid`].
    round_trip_us: u32,
}

impl StateChangeFields {
    #[inline(always)]
    fn kept_back(self, head: &RecordHead, owner: Option<(OwnerTask, u16)>) -> KeptBack {
        let Self { old, new, .. } = self;
        let nobody = OwnerTask { pid: 0, uid: 0, comm: [0; 2], thread: [0; 2] };
        let task = owner.map_or(nobody, |(task, _)| task);
        KeptBack { at_ns: head.at_ns, task, old, new, flags: head.flags, reserved: 0 }
    }

    /// A change that was kept back, with the ends that are known by now.
    #[inline(always)]
    fn at_last(kept: &KeptBack, now: &RecordHead) -> (RecordHead, Self) {
        let KeptBack { at_ns, task: _, old, new, flags, reserved: _ } = *kept;
        let kind = RecordKind::StateChange as u8;
        let head = RecordHead { kind, at_ns, flags: flags | FLAG_KEPT_BACK, ..*now };
        (head, Self { old, new, error: 0, round_trip_us: 0 })
    }

    /// With `ending`, the totals of that socket go along. Addresses are read for each record anew: carried through
    /// the program, they would take an eighth of its stack.
    #[inline(always)]
    fn emit(
        self,
        head: RecordHead,
        sock: Sock,
        ending: Option<TcpSock>,
        hook: Hook,
    ) -> Result<(), EmitFailure> {
        let addresses = sock.addresses().ok_or(EmitFailure::UnknownFamily)?;
        emit::attempt(hook);
        let kind = ending.map_or(head.kind, |_| RecordKind::StateChangeLast as u8);
        let head = RecordHead { kind, ..head };
        match addresses {
            Addresses::V4 { local, remote } => self.record(emit::v4(head), local, remote, ending),
            Addresses::V6 { local, remote } => self.record(emit::v6(head), local, remote, ending),
        }
    }

    #[inline(always)]
    fn record<const WORDS: usize>(
        self,
        head: RecordHead,
        local: [u32; WORDS],
        remote: [u32; WORDS],
        ending: Option<TcpSock>,
    ) -> Result<(), EmitFailure> {
        let Self { old, new, error, round_trip_us } = self;
        let change =
            StateChange { head, old, new, error, pid: round_trip_us, comm: [0; 2], local, remote };
        match ending {
            None => emit::emit(change),
            Some(tcp) => emit::emit(StateChangeLast { change, totals: tcp.totals(old) }),
        }
    }
}

#[inline(always)]
fn flags(sock: Sock, tcp: TcpSock, old: u8, new: u8) -> u16 {
    let kernel = sock.flags();
    let mut flags = if tcp.linger2() < 0 { FLAG_LINGER2_OFF } else { 0 };
    // The acknowledgment of a client's SYN alone counts as one byte. `syn_data_acked` is set later
    // (`tcp_rcv_synsent_state_process` in `net/ipv4/tcp_input.c`).
    if old == SYN_RECV && tcp.bytes_received() > 0 || old == SYN_SENT && tcp.bytes_acked() > 1 {
        flags |= FLAG_FAST_OPEN;
    }
    if old == SYN_RECV && new == ESTABLISHED {
        let unrequested = accepting::lacks_request(sock.remote_port());
        flags |= FLAG_SYN_COOKIE * (unrequested & tcp.is_not_measured());
    }
    if kernel & SOCK_DEAD != 0 {
        flags |= FLAG_DEAD;
    }
    if kernel & SOCK_DONE != 0 {
        flags |= FLAG_DONE;
    }
    flags
}

/// The system call of the current task that makes this change, if one does. All others can happen in a softirq,
/// where the current task is a bystander.
#[inline(always)]
fn system_call(sock: Sock, old: u8, new: u8) -> Option<OwnerVia> {
    match (old, new) {
        // connect() in tcp_v4_connect() and tcp_v6_connect(), listen() in inet_csk_listen_start().
        (CLOSED, SYN_SENT) => Some(OwnerVia::Connect),
        (CLOSED, LISTEN) => Some(OwnerVia::Listen),
        // close() and shutdown() through tcp_close_state().
        (ESTABLISHED | SYN_RECV, FIN_WAIT_1) | (CLOSE_WAIT, LAST_ACK) => Some(OwnerVia::Close),
        // close() with data unread or without lingering (__tcp_close(), tcp_disconnect()). What else ends these
        // states at once leaves an error (tcp_reset(), tcp_write_err(), tcp_abort()), or does not hold the
        // socket's lock (inet_csk_listen_stop() for connections that were not accepted).
        (ESTABLISHED | SYN_RECV | SYN_SENT | CLOSE_WAIT, CLOSED)
            if sock.error() == 0 && sock.is_locked_by_task() && !sock.is_orphan() =>
        {
            Some(OwnerVia::Close)
        }
        _ => None,
    }
}
