//! The life of a mini-socket, as the events of its timer show it: a timewait socket (TIME_WAIT, and FIN_WAIT_2 after
//! the application has gone) or a request socket (half-open, SYN_RECV).
//!
//! Producer: `tcpwatch-ebpf/src/timer.rs`. Consumer: `tcpwatch/core/src/decode/mini_socket.rs`.

use crate::record::RecordHead;

/// What happened to the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TimerEvent {
    /// Armed: the mini-socket is born, or its timer was moved (a cancel came just before).
    Start = 1,
    /// Disarmed: before an expiry, before it is armed again, or for good.
    Cancel = 2,
    /// The handler is called.
    Expire = 3,
}

/// What the timer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MiniKind {
    /// `struct inet_timewait_sock`.
    TimeWait = 1,
    /// `struct request_sock`.
    Request = 2,
}

/// [`RecordHead::flags`]: the network namespace is being torn down (`net->ns.count` is 0).
pub const FLAG_NETNS_GONE: u16 = 1 << 0;
/// [`RecordHead::flags`]: a half-open connection's timer fires, and its listener still listens.
pub const FLAG_LISTENS: u16 = 1 << 1;
/// [`RecordHead::flags`]: its timer fires, and its listener does not listen any more.
pub const FLAG_LISTENER_CLOSED: u16 = 1 << 2;
/// [`RecordHead::flags`]: a half-open connection's timer is armed that has not fired yet. Older versions leave it out.
pub const FLAG_NOT_FIRED: u16 = 1 << 3;

/// One timer event of a mini-socket. [`RecordHead::cookie`] is 0 if it has none yet (cookies are given on request).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct MiniSocket<const WORDS: usize> {
    /// Time, socket, namespace, ports.
    pub head: RecordHead,
    /// `timer->expires`: the jiffy before which the timer does not fire. After a re-arm into the
    /// same bucket of the timer wheel, which is not reported, this is the only trace of it.
    pub expires: u64,
    /// The jiffy of this event.
    pub jiffies: u64,
    /// [`TimerEvent`].
    pub event: u8,
    /// [`MiniKind`].
    pub mini: u8,
    /// State in the kernel's numbers; for a timewait socket `tw_substate`.
    pub state: u8,
    /// SYN+ACKs sent again so far (`num_retrans`); 0 for a timewait socket.
    pub retransmits: u8,
    /// In a [`RequestStart`], segments that the listener has dropped since it was made (`sk_drops`); else 0,
    /// as in recordings of versions that did not read it.
    pub listener_dropped: u32,
    /// Address on this host; its bytes in memory are in network order.
    pub local: [u32; WORDS],
    /// Address of the peer; its bytes in memory are in network order.
    pub remote: [u32; WORDS],
}

/// Return addresses that come with a timer that is disarmed early: from the timer functions out to the
/// function of TCP that called them.
pub const TRACE: usize = 8;

/// A [`MiniSocket`] whose timer was disarmed before it was due, with the kernel functions that did
/// it, innermost first; zeros where there are fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct MiniSocketCancel<const WORDS: usize> {
    /// The event.
    pub mini: MiniSocket<WORDS>,
    /// Return addresses.
    pub trace: [u64; TRACE],
}

/// A [`MiniSocket`] of a request socket whose timer is armed, with the listener that the kernel chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RequestStart<const WORDS: usize> {
    /// The event.
    pub mini: MiniSocket<WORDS>,
    /// Cookie of the listener; 0 if it has none yet.
    pub listener: u64,
}

const _: () = {
    assert!(size_of::<MiniSocket<1>>() == 64, "IPv4 record");
    assert!(size_of::<MiniSocket<4>>() == 88, "IPv6 record");
    assert!(core::mem::offset_of!(MiniSocket<1>, remote) + 4 == 64, "no tail padding");
    assert!(core::mem::offset_of!(MiniSocket<4>, remote) + 16 == 88, "no tail padding");
    assert!(size_of::<RequestStart<4>>() == 96, "no padding");
    assert!(size_of::<MiniSocketCancel<1>>() == 64 + 8 * TRACE, "no padding between");
    assert!(size_of::<MiniSocketCancel<4>>() == 88 + 8 * TRACE, "no padding between");
};
