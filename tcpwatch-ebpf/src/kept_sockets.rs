//! Lists of the full sockets that are counted as [`tcpwatch_common::KeptSocket`]s, whatever network namespace they are in.

use crate::{
    count::books,
    kernel::{FileIterator, StorageIterator},
};

/// Iterator `bpf_sk_storage_map` (`net/core/bpf_sk_storage.c`, since 5.9): all of them, found by what is kept about them.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_sk_storage_map")]
extern "C" fn kept_sockets(context: &StorageIterator) -> i32 {
    if let Some((sock, notes)) = context.value()
        && let Some(listed) = books::listed(sock, notes)
    {
        context.write(&listed);
    }
    0
}

/// Iterator `task_file` (`kernel/bpf/task_iter.c`, since 5.8): those that a process holds, once for each descriptor.
/// For kernels that let no program go through the values of a map.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
extern "C" fn held_sockets(context: &FileIterator) -> i32 {
    if let Some(sock) = context.tcp_sock()
        && let Some(notes) = books::notes(sock)
        && let Some(listed) = books::listed(sock, notes)
    {
        context.write(&listed);
    }
    0
}
