//! Iterator `tcp` (`net/ipv4/tcp_ipv4.c`, since 5.9): lists the TCP sockets of the reader's network
//! namespace as [`SeenSocket`]s, with the functions that the timers of mini-sockets run.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_seq_write;
use tcpwatch_common::SeenSocket;

use crate::kernel::AnyTcp;

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
fn tcp_sockets(context: *mut c_void) -> i32 {
    // SAFETY: this is a program on `iter/tcp`.
    let Some(socket) = (unsafe { AnyTcp::of_iterator(context.cast_const().cast()) }) else {
        return 0;
    };
    let (local_port, remote_port) = socket.ports();
    let (mini, handler) = socket.mini_handler().map_or((0, 0), |(kind, at)| (kind as u8, at));
    let seen = SeenSocket { handler, local_port, remote_port, mini, reserved: [0; 3] };
    // SAFETY: the first word of the context is `struct bpf_iter_meta *`.
    let meta = unsafe { context.cast::<*const *mut c_void>().read() };
    // SAFETY: the first word of that is `struct seq_file *`.
    let file = unsafe { meta.read() };
    // SAFETY: the value is as large as it is said to be. One that does not fit is asked for again
    // (`bpf_seq_read` in `kernel/bpf/bpf_iter.c`).
    unsafe {
        bpf_seq_write(file.cast(), (&raw const seen).cast(), size_of::<SeenSocket>() as u32);
    }
    0
}
