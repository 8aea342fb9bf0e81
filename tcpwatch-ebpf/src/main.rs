//! The kernel side of tcpwatch. Kernel hooks come in, records leave through the ring `EVENTS`.
//!
//! One file per hook: an attached shell that turns an error into a counter, and a body that reads
//! top to bottom. `kernel` reads kernel memory, `filter` decides what is rejected, `emit` owns the
//! ring and its counters, `wakeup` decides when the reader is woken. `count` counts for Prometheus.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::inline_always,
    reason = "BPF functions have five arguments at most and no stack to spare: small helpers inline"
)]
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a checked conversion has a panicking path, which the verifier refuses"
)]
#![expect(clippy::needless_pass_by_value, reason = "aya's macros hand contexts over by value")]

mod accepting;
mod closing;
mod copies;
mod count;
mod emit;
mod filter;
mod inet_sk_error_report;
mod inet_sock_set_state;
mod kept_sockets;
mod kernel;
mod lab_tap;
mod listener_queue;
mod maps;
mod owner;
mod refused;
mod sent_before;
mod socket_io;
mod tcp_receive_reset;
mod tcp_retransmit_skb;
mod tcp_retransmit_synack;
mod tcp_send_reset;
mod tcp_sockets;
mod timer;
mod trial;
mod undecided;
mod wakeup;

/// Lets clippy and tests build this crate for the host, where no kernel calls it.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier would have to accept a path that panics.
    loop {}
}

/// GPL-only helpers load only for a program that says so.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
