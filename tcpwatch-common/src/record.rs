//! The head every ring record starts with.
//!
//! Producer: `tcpwatch-ebpf/src/emit.rs`. Consumer: `tcpwatch/core/src/decode/`.

/// Tag of a record, its first discriminating byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A full socket changed its state: [`crate::StateChange`].
    StateChange = 1,
    /// The timer of a mini-socket: [`crate::MiniSocket`].
    MiniSocket = 2,
    /// The same, disarmed early: [`crate::MiniSocketCancel`].
    MiniSocketCancel = 3,
    /// A full socket closed, with its totals: [`crate::StateChangeLast`].
    StateChangeLast = 4,
    /// A segment was sent again: [`crate::Retransmit`].
    Retransmit = 5,
    /// A reset: [`crate::Reset`].
    Reset = 6,
    /// An error for the application: [`crate::SocketError`].
    SocketError = 7,
    /// A segment on a link of the laboratory: [`crate::Segment`].
    Segment = 8,
    /// A process that holds a socket: [`crate::Owner`].
    Owner = 9,
    /// A request socket's timer is armed: [`crate::RequestStart`].
    RequestStart = 10,
    /// A full socket sent a segment again: [`crate::TimedRetransmit`].
    TimedRetransmit = 11,
    /// The queues of a half-open connection's listener: [`crate::ListenerQueue`].
    ListenerQueue = 12,
}

/// Address family on the wire. An IPv4 connection of an IPv6 socket (`::ffff:a.b.c.d`) is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// Addresses are 4 bytes.
    V4 = 4,
    /// Addresses are 16 bytes.
    V6 = 6,
}

/// Fields common to all records. All integers are in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RecordHead {
    /// `CLOCK_MONOTONIC` in nanoseconds (`bpf_ktime_get_ns`).
    pub at_ns: u64,
    /// Socket cookie, the number `ss -e` prints as `sk:` (in hexadecimal there).
    pub cookie: u64,
    /// Inode of the network namespace, as in `/proc/PID/ns/net`.
    pub netns: u32,
    /// [`RecordKind`].
    pub kind: u8,
    /// [`Family`].
    pub family: u8,
    /// Port on this host; 0 while the kernel has not chosen one.
    pub local_port: u16,
    /// Port of the peer; 0 when there is none.
    pub remote_port: u16,
    /// Meaning depends on `kind`.
    pub flags: u16,
    /// Low half of the number of the socket's cgroup in the second hierarchy (`kernfs_node.id`); of a half-open
    /// connection that of its listener's, with the start of its timer only. 0 where it is not known.
    ///
    /// That half is what `kernfs` hands out (`__kernfs_new_node`, `fs/kernfs/dir.c`) and is unique among the
    /// cgroups that exist, as long as one has sockets those included that have been removed. The high half
    /// counts how often these numbers began anew.
    pub cgroup: u32,
}

const _: () = {
    assert!(size_of::<RecordHead>() == 32, "the head is 32 bytes");
    assert!(align_of::<RecordHead>() == 8, "ring records are 8-byte aligned");
};

impl RecordKind {
    /// The kind with this tag.
    #[must_use]
    pub const fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            1 => Self::StateChange,
            2 => Self::MiniSocket,
            3 => Self::MiniSocketCancel,
            4 => Self::StateChangeLast,
            5 => Self::Retransmit,
            6 => Self::Reset,
            7 => Self::SocketError,
            8 => Self::Segment,
            9 => Self::Owner,
            10 => Self::RequestStart,
            11 => Self::TimedRetransmit,
            12 => Self::ListenerQueue,
            _ => return None,
        })
    }
}
