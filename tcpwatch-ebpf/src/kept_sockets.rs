//! Iterator `bpf_sk_storage_map` (`net/core/bpf_sk_storage.c`, since 5.9): lists the full sockets that are counted as
//! [`tcpwatch_common::KeptSocket`]s, whatever network namespace they are in, because they are found by what is kept
//! about them.

use crate::{count::books, kernel::StorageIterator};

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_sk_storage_map")]
extern "C" fn kept_sockets(context: &StorageIterator) -> i32 {
    books::list(context);
    0
}
