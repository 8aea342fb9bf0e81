//! The head every ring record starts with.
//!
//! Producer: `tcpwatch-ebpf/src/emit.rs`. Consumer: `tcpwatch/core/src/decode/`.

/// A record of the table [`records!`](crate::records), with addresses of one family: `repr(C)`, without padding,
/// made of integers and byte arrays, so that any bytes of its length are a value.
pub trait Record: sealed::Sealed + Copy + 'static {
    /// Its tag.
    const KIND: RecordKind;
}

mod sealed {
    /// Of the table.
    pub trait Sealed {}
}

macro_rules! table {
    ($($(#[$what:meta])* $record:ident = $tag:literal,)*) => {
        /// Tag of a record, its first discriminating byte.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum RecordKind {
            $($(#[$what])* $record = $tag,)*
        }

        impl RecordKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$record),*];

            /// The kind with this tag.
            #[must_use]
            pub const fn from_tag(tag: u8) -> Option<Self> {
                match tag {
                    $($tag => Some(Self::$record),)*
                    _ => None,
                }
            }

            /// The byte in [`RecordHead::kind`].
            #[must_use]
            pub const fn tag(self) -> u8 {
                match self {
                    $(Self::$record => $tag,)*
                }
            }

            /// Bytes of a record with IPv4 addresses, and of one with IPv6 addresses.
            #[must_use]
            pub const fn lengths(self) -> [usize; 2] {
                match self {
                    $(Self::$record => [size_of::<crate::$record<1>>(), size_of::<crate::$record<4>>()],)*
                }
            }
        }

        $(
            impl<const WORDS: usize> sealed::Sealed for crate::$record<WORDS> {}
            impl<const WORDS: usize> Record for crate::$record<WORDS> {
                const KIND: RecordKind = RecordKind::$record;
            }
            const _: () = {
                assert!(align_of::<crate::$record<4>>() == 8, "ring records are 8-byte aligned");
                assert!(size_of::<crate::$record<1>>() < size_of::<crate::$record<4>>(), "the length says the family");
            };
        )*
    };
}
crate::records!(table);

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
