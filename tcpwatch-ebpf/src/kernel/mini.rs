//! Timers, and the mini-sockets around them.

use aya_ebpf::programs::BtfTracePointContext;
use tcpwatch_common::{
    MiniKind,
    state::{LISTEN, SYN_RECV},
};

use super::{Common, Room, field, probe};
use crate::maps;

/// `struct timer_list *` as a tracepoint handed it to us.
#[derive(Clone, Copy)]
pub(crate) struct Timer(pub(super) *const u8);

impl Timer {
    /// Argument `n` of a tracepoint whose type there is `struct timer_list *`.
    #[inline(always)]
    pub(crate) fn argument(ctx: &BtfTracePointContext, n: usize) -> Self {
        Self(ctx.arg::<*const u8>(n))
    }

    /// What the timer belongs to, by its handler; `None` for all the other timers of the system.
    #[inline(always)]
    pub(crate) fn mini_kind(self) -> Option<MiniKind> {
        let handler = self.function();
        let [timewait, request] = handlers();
        if handler == timewait {
            return Some(MiniKind::TimeWait);
        }
        (handler == request).then_some(MiniKind::Request)
    }

    /// The function that it runs.
    #[inline(always)]
    pub(crate) fn function(self) -> u64 {
        field(self.0, &maps::TIMER_FUNCTION)
    }

    /// Its address; never 0.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0.expose_provenance() as u64
    }

    /// When the first SYN+ACK of the half-open connection around the timer was sent
    /// (`tcp_make_synack` in `net/ipv4/tcp_output.c`), by the clock of `bpf_ktime_get_ns`; 0 if it
    /// was not.
    #[inline(always)]
    pub(crate) fn request_sent_ns(self) -> u64 {
        let request = self.0.wrapping_sub(maps::RSK_TIMER.load() as usize);
        probe::<u64>(request, maps::SNT_SYNACK.load()).unwrap_or(0) * 1000
    }

    /// The half-open connection around it.
    #[inline(always)]
    pub(crate) fn request(self) -> Request {
        Request(self.0.wrapping_sub(maps::RSK_TIMER.load() as usize))
    }

    /// The jiffy before which the timer does not fire.
    #[inline(always)]
    pub(crate) fn expires(self) -> u64 {
        field(self.0, &maps::TIMER_EXPIRES)
    }
}

/// `struct request_sock *` of a half-open connection.
#[derive(Clone, Copy)]
pub(crate) struct Request(pub(super) *const u8);

impl Request {
    /// Has the last segment of its handshake come, and was it dropped?
    #[inline(always)]
    pub(crate) fn acked(self) -> bool {
        let mask = maps::REQUEST_ACKED_MASK.load();
        let byte: Option<u8> = probe(self.0, maps::REQUEST_ACKED.load());
        u32::from(byte.unwrap_or(0)) & mask != 0
    }

    /// Whether its timer has not fired yet; false where the kernel does not show it.
    #[inline(always)]
    pub(crate) fn has_not_fired(self) -> bool {
        let offset = maps::RSK_NUM_TIMEOUT.load();
        offset != 0 && probe::<u8>(self.0, offset).is_some_and(|byte| timeouts(byte) == 0)
    }
}

/// Runs of a half-open connection's timer, from the byte whose upper seven bits are `num_timeout`.
#[inline(always)]
pub(super) fn timeouts(byte: u8) -> u8 {
    byte >> 1
}

/// The functions that the timers of timewait sockets and of request sockets run; 0 matches no timer,
/// because a timer that is armed has a function.
#[inline(always)]
fn handlers() -> [u64; 2] {
    // SAFETY: the lookup returned a live value, which user space writes once.
    maps::HANDLERS.get_ptr(0).map_or([0; 2], |handlers| unsafe { *handlers })
}

/// Are the timers of mini-sockets watched?
#[inline(always)]
pub(crate) fn are_watched() -> bool {
    let [timewait, _] = handlers();
    timewait != 0
}

/// A copy of a mini-socket. The verifier has no type for memory that lies before a pointer it
/// typed, so the object around a timer is copied.
#[derive(Clone, Copy)]
pub(crate) struct MiniCopy<'a> {
    /// What it has in common with other sockets.
    pub(crate) common: Common<'a>,
    kind: MiniKind,
}

impl<'a> MiniCopy<'a> {
    /// The object that contains `timer`, copied into `room`.
    #[inline(always)]
    pub(crate) fn around(timer: Timer, kind: MiniKind, room: &'a mut Room) -> Option<Self> {
        let offset = match kind {
            MiniKind::TimeWait => maps::TW_TIMER.load(),
            MiniKind::Request => maps::RSK_TIMER.load(),
        };
        let common = Common::at(timer.0.wrapping_sub(offset as usize), room)?;
        Some(Self { common, kind })
    }

    /// Kernel state number; half-open connections are in SYN_RECV.
    #[inline(always)]
    pub(crate) fn state(self) -> u8 {
        match self.kind {
            MiniKind::TimeWait => self.common.field(&maps::TW_SUBSTATE),
            MiniKind::Request => SYN_RECV,
        }
    }

    /// Does a half-open connection's listener still listen? (`reqsk_timer_handler` in
    /// `net/ipv4/inet_connection_sock.c` asks the same.)
    #[inline(always)]
    pub(crate) fn listens(self) -> bool {
        let listener: *const u8 = self.common.field(&maps::SKC_LISTENER);
        probe::<u8>(listener, maps::SKC_STATE.load()) == Some(LISTEN)
    }

    /// SYN+ACKs sent again so far.
    #[inline(always)]
    pub(crate) fn retransmits(self) -> u8 {
        match self.kind {
            MiniKind::TimeWait => 0,
            MiniKind::Request => self.common.field(&maps::RSK_NUM_RETRANS),
        }
    }
}
