//! A process that holds a socket, and how that is known.
//!
//! Producer: `tcpwatch-ebpf/src/owner.rs`. Consumer: `tcpwatch/core/src/decode/owner.rs`.

use crate::record::RecordHead;

/// How the owner is known: [`RecordHead::flags`] of an [`Owner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum OwnerVia {
    /// It called `connect()`.
    Connect = 1,
    /// It called `listen()`.
    Listen = 2,
    /// It called `close()` or `shutdown()`.
    Close = 3,
    /// It received or sent data.
    Io = 4,
}

impl From<OwnerVia> for u16 {
    #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
    fn from(via: OwnerVia) -> Self {
        via as Self
    }
}

/// A task as the kernel has it: its process, and itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct OwnerTask {
    /// Process (thread group) id in the pid namespace of the reader; 0 outside of it.
    pub pid: u32,
    /// User id of the task (real), in the initial user namespace.
    pub uid: u32,
    /// Name of the process: that of its thread group leader, 16 bytes of text padded with zeros.
    pub comm: [u64; 2],
    /// Name of the task, in the same form.
    pub thread: [u64; 2],
}

/// A process that holds the socket of the head; an address is one 32-bit word for IPv4 and four for
/// IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Owner<const WORDS: usize> {
    /// Time, socket, namespace, ports; [`OwnerVia`] in the flags.
    pub head: RecordHead,
    /// Which process.
    pub task: OwnerTask,
    /// Address on this host; its bytes in memory are in network order.
    pub local: [u32; WORDS],
    /// Address of the peer; its bytes in memory are in network order.
    pub remote: [u32; WORDS],
}

/// A process and the program that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ProcessImage {
    /// Thread group id in the initial pid namespace; 0 for none.
    pub pid: u32,
    /// Low half of `task_struct.self_exec_id`, one more after each `exec` of it or of those that it was forked from.
    pub execs: u32,
}

/// What is known of the processes that receive and send on a socket: the value of its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Holder {
    /// The one that was seen last.
    pub process: ProcessImage,
    /// Records emitted so far.
    pub changes: u32,
    /// Zero.
    pub reserved: u32,
    /// When the last one was (`CLOCK_MONOTONIC`, nanoseconds).
    pub at_ns: u64,
}

/// After so many records, a socket that processes share has one in [`HOLDER_PAUSE_NS`] at most.
pub const HOLDER_CHANGES: u32 = 8;
/// Nanoseconds between two such records.
pub const HOLDER_PAUSE_NS: u64 = 10_000_000;

const _: () = {
    assert!(size_of::<OwnerTask>() == 40, "no padding");
    assert!(size_of::<Owner<1>>() == 80, "IPv4 record");
    assert!(size_of::<Owner<4>>() == 104, "IPv6 record");
    assert!(size_of::<Holder>() == 24, "no padding");
};
