//! The iterator over what is kept about full sockets.

use super::any_tcp::{IteratorMeta, write};
use crate::maps::SocketNotes;

/// `struct bpf_iter__bpf_sk_storage_map` (`net/core/bpf_sk_storage.c`).
#[repr(C)]
pub(crate) struct StorageIterator {
    meta: *const IteratorMeta,
    map: *const u8,
    sock: *const u8,
    value: *const SocketNotes,
}

impl StorageIterator {
    /// What is kept about the socket that the iterator has come to; `None` after the last. A copy, while the socket
    /// may change: each of its words is whole.
    #[inline(always)]
    pub(crate) fn value(&self) -> Option<SocketNotes> {
        if self.sock.is_null() || self.value.is_null() {
            return None;
        }
        // SAFETY: the kernel hands out the value of the map that the iterator was made for.
        Some(unsafe { *self.value })
    }

    /// Writes a value to the reader's file.
    #[inline(always)]
    pub(crate) fn write<T: Copy>(&self, value: &T) {
        write(self.meta, value);
    }
}
