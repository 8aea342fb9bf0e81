//! Tracepoints `timer:timer_start`, `timer:timer_cancel`, `timer:timer_expire_entry`: the life of
//! mini-sockets, which have no tracepoint of their own. Emits [`MiniSocket`], with the
//! functions that did it for one that is disarmed early.
//!
//! A mini-socket lives exactly as long as its timer (`kernel/time/timer.c`,
//! `net/ipv4/inet_timewait_sock.c`, `net/ipv4/inet_connection_sock.c`). Every other timer of the
//! system is rejected by its handler: two loads and two compares.

use aya_ebpf::{
    helpers::generated::bpf_jiffies64, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use tcpwatch_common::{
    MiniKind, MiniSocket, RecordHead, RecordKind, RequestStart, TimerEvent,
    config::MINI_BYTES,
    counter::Hook,
    mini_socket::{FLAG_LISTENER_CLOSED, FLAG_LISTENS, FLAG_NETNS_GONE, FLAG_NOT_FIRED},
};

use crate::{
    accepting, count,
    emit::{self, EmitFailure},
    filter::{self, PortsVerdict},
    kernel::{Addresses, MiniCopy, Room, Timer},
    listener_queue::{self, HalfOpenStep},
    refused, sent_before, trial,
};

#[btf_tracepoint(function = "timer_start")]
fn timer_start(ctx: BtfTracePointContext) -> i32 {
    observe(&ctx, TimerEvent::Start, Hook::TimerStart)
}

#[btf_tracepoint(function = "timer_cancel")]
fn timer_cancel(ctx: BtfTracePointContext) -> i32 {
    observe(&ctx, TimerEvent::Cancel, Hook::TimerCancel)
}

#[btf_tracepoint(function = "timer_expire_entry")]
fn timer_expire(ctx: BtfTracePointContext) -> i32 {
    sent_before::note(Timer::argument(&ctx, 0));
    observe(&ctx, TimerEvent::Expire, Hook::TimerExpire)
}

#[inline(always)]
fn observe(ctx: &BtfTracePointContext, event: TimerEvent, hook: Hook) -> i32 {
    let timer = Timer::argument(ctx, 0);
    if let Some(kind) = timer.mini_kind()
        && let Err(loss) = try_observe(ctx, timer, kind, event, hook)
    {
        emit::count_loss(ctx, loss, hook);
    }
    0
}

#[inline(always)]
fn try_observe(
    ctx: &BtfTracePointContext,
    timer: Timer,
    kind: MiniKind,
    event: TimerEvent,
    hook: Hook,
) -> Result<(), EmitFailure> {
    let mut room = Room([0; MINI_BYTES]);
    let mini = MiniCopy::around(timer, kind, &mut room).ok_or(EmitFailure::Unreadable)?;
    if trial::is_in(mini.common.netns(), hook) {
        if event as u8 == TimerEvent::Start as u8 {
            trial::begins(mini.state());
        }
        return Ok(());
    }
    let canceled = event as u8 == TimerEvent::Cancel as u8;
    let accepted = canceled && is_accepted(kind, mini.common.ports().1);
    if count::is_on() {
        count::mini::event(ctx, (timer, kind, mini), event, accepted);
    }
    // While nothing else takes room on the stack.
    if is_refused(kind, mini) {
        return Ok(());
    }
    if emit::is_on() { tell(ctx, timer, (kind, mini), (event, accepted), hook) } else { Ok(()) }
}

#[inline(always)]
fn tell(
    ctx: &BtfTracePointContext,
    timer: Timer,
    (kind, mini): (MiniKind, MiniCopy<'_>),
    (event, accepted): (TimerEvent, bool),
    hook: Hook,
) -> Result<(), EmitFailure> {
    let state = mini.state();
    let ports = mini.common.ports();
    if filter::ports(ports) == PortsVerdict::Unwanted {
        return Ok(());
    }
    let netns = mini.common.netns().ok_or(EmitFailure::Unreadable)?;
    if !filter::netns(netns) {
        return Ok(());
    }
    let addresses = mini.common.addresses().ok_or(EmitFailure::UnknownFamily)?;
    if !filter::addresses(&addresses) {
        return Ok(());
    }
    emit::attempt(hook);
    // SAFETY: the helper takes nothing and always succeeds (since 5.5).
    let (expires, jiffies) = (timer.expires(), unsafe { bpf_jiffies64() });
    let canceled = event as u8 == TimerEvent::Cancel as u8;
    let is_request = kind as u8 == MiniKind::Request as u8;
    let early = canceled && jiffies < expires && !accepted;
    let expires_request = is_request && event as u8 == TimerEvent::Expire as u8;
    let begins = is_request && event as u8 == TimerEvent::Start as u8;
    let flags = if canceled && mini.common.netns_is_gone() {
        FLAG_NETNS_GONE
    } else if expires_request {
        if mini.listens() { FLAG_LISTENS } else { FLAG_LISTENER_CLOSED }
    } else if begins && timer.request().has_not_fired() {
        FLAG_NOT_FIRED
    } else {
        0
    };
    let listener = mini.common.listener();
    let (tag, with) = if early {
        (RecordKind::MiniSocketCancel, With::Trace(ctx))
    } else if begins {
        (RecordKind::RequestStart, With::Listener(listener.cookie()))
    } else {
        (RecordKind::MiniSocket, With::Nothing)
    };
    // A timewait socket has none: its memory ends before (`struct inet_timewait_sock`).
    let cgroup = if begins { listener.cgroup() } else { 0 };
    let head = emit::head(tag, mini.common.cookie(), netns, ports, flags);
    let head = RecordHead { cgroup, ..head };
    if is_request && (early || accepted || expires_request) {
        let moment = if accepted { HalfOpenStep::Accepted } else { HalfOpenStep::Waits };
        let of = (timer.request(), listener);
        if let Err(loss) = listener_queue::tell(of, &head, &addresses, moment, hook) {
            emit::count_loss(ctx, loss, hook);
        }
    }
    let what = TimerFields {
        expires,
        jiffies,
        event: event as u8,
        mini: kind as u8,
        state,
        retransmits: mini.retransmits(),
        listener_dropped: if begins { listener.dropped() } else { 0 },
    };
    match addresses {
        Addresses::V4 { local, remote } => what.emit(emit::v4(head), local, remote, with),
        Addresses::V6 { local, remote } => what.emit(emit::v6(head), local, remote, with),
    }
}

#[inline(always)]
fn is_refused(kind: MiniKind, mini: MiniCopy<'_>) -> bool {
    match kind {
        MiniKind::Request => {
            refused::half_open() || refused::cgroup(|| mini.common.listener().cgroup())
        }
        MiniKind::TimeWait => refused::timewait(mini.common.cookie()),
    }
}

/// Is this the usual end of a half-open connection?
#[inline(always)]
fn is_accepted(kind: MiniKind, remote_port: u16) -> bool {
    kind as u8 == MiniKind::Request as u8 && accepting::take(remote_port)
}

/// What a record has besides the event.
enum With<'a> {
    Nothing,
    /// The functions that led here.
    Trace(&'a BtfTracePointContext),
    /// The listener's cookie.
    Listener(u64),
}

/// The part of a record that does not depend on the family.
#[derive(Clone, Copy)]
struct TimerFields {
    expires: u64,
    jiffies: u64,
    event: u8,
    mini: u8,
    state: u8,
    retransmits: u8,
    listener_dropped: u32,
}

impl TimerFields {
    #[inline(always)]
    fn emit<const WORDS: usize>(
        self,
        head: RecordHead,
        local: [u32; WORDS],
        remote: [u32; WORDS],
        with: With<'_>,
    ) -> Result<(), EmitFailure> {
        let Self { expires, jiffies, event, mini, state, retransmits, listener_dropped } = self;
        let record = MiniSocket {
            head,
            expires,
            jiffies,
            event,
            mini,
            state,
            retransmits,
            listener_dropped,
            local,
            remote,
        };
        match with {
            With::Nothing => emit::emit(record),
            With::Trace(ctx) => emit::emit_traced(record, ctx),
            With::Listener(listener) => emit::emit(RequestStart { mini: record, listener }),
        }
    }
}
