//! Iterators that full sockets are found by, in all network namespaces.

use aya_ebpf::helpers::generated::{bpf_skc_to_tcp_sock, bpf_sock_from_file};

use super::{
    Sock,
    any_tcp::{IteratorMeta, write},
    field,
};
use crate::maps::{self, SocketNotes};

/// `struct bpf_iter__bpf_sk_storage_map` (`net/core/bpf_sk_storage.c`).
#[repr(C)]
pub(crate) struct StorageIterator {
    meta: *const IteratorMeta,
    map: *const u8,
    sock: *const u8,
    value: *const SocketNotes,
}

impl StorageIterator {
    /// The socket that the iterator has come to and what is kept about it; `None` after the last. A copy, while the
    /// socket may change: each of its words is whole.
    #[inline(always)]
    pub(crate) fn value(&self) -> Option<(Sock, SocketNotes)> {
        if self.sock.is_null() || self.value.is_null() {
            return None;
        }
        // SAFETY: the kernel hands out the value of the map that the iterator was made for.
        Some((Sock::of_tcp(self.sock), unsafe { *self.value }))
    }

    /// Writes a value to the reader's file.
    #[inline(always)]
    pub(crate) fn write<T: Copy>(&self, value: &T) {
        write(self.meta, value);
    }
}

/// `struct bpf_iter__task_file` (`kernel/bpf/task_iter.c`).
#[repr(C)]
pub(crate) struct FileIterator {
    meta: *const IteratorMeta,
    task: *const u8,
    descriptor: u64,
    file: *const u8,
}

impl FileIterator {
    /// The TCP socket that the iterator has come to a descriptor of.
    #[inline(always)]
    pub(crate) fn tcp_sock(&self) -> Option<Sock> {
        if self.file.is_null() {
            return None;
        }
        // SAFETY: the helper takes any `struct file` and returns null for one that is no socket (since 5.11).
        let socket = unsafe { bpf_sock_from_file(self.file.cast_mut().cast()) };
        if socket.is_null() {
            return None;
        }
        let sock: *const u8 = field(socket.cast_const().cast(), &maps::SOCKET_SK);
        if sock.is_null() {
            return None;
        }
        // SAFETY: the helper takes any `struct sock_common` and returns null for another protocol's.
        let tcp = unsafe { bpf_skc_to_tcp_sock(sock.cast_mut().cast()) };
        (!tcp.is_null()).then_some(Sock::of_tcp(tcp.cast_const().cast()))
    }

    /// Writes a value to the reader's file.
    #[inline(always)]
    pub(crate) fn write<T: Copy>(&self, value: &T) {
        write(self.meta, value);
    }
}
