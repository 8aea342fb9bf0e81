//! Socket filters (classic BPF, `socket(7)`), which let a socket lose segments: what they drop, TCP never
//! sees, and does not acknowledge. They see a segment from its TCP header on (`tcp_v4_rcv`,
//! `net/ipv4/tcp_ipv4.c`).

use std::io;

use socket2::{SockFilter, Socket};

/// `BPF_LD | BPF_B | BPF_ABS`.
const LOAD_BYTE: u16 = 0x30;
/// `BPF_JMP | BPF_JSET | BPF_K`.
const JUMP_IF_ANY: u16 = 0x45;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;
/// Where the flags are in a TCP header.
const FLAGS: u32 = 13;
const RST_OR_SYN: u32 = 0x04 | 0x02;
const DROP: SockFilter = SockFilter::new(RETURN, 0, 0, 0);
const PASS: SockFilter = SockFilter::new(RETURN, 0, 0, u32::MAX);

/// From now on nothing reaches the socket.
pub(super) fn drop_everything(socket: &Socket) -> io::Result<()> {
    socket.attach_filter(&[DROP])
}

/// From now on nothing reaches the socket but SYNs and resets.
pub(super) fn drop_all_but_syn_and_reset(socket: &Socket) -> io::Result<()> {
    let load = SockFilter::new(LOAD_BYTE, 0, 0, FLAGS);
    let is_one = SockFilter::new(JUMP_IF_ANY, 0, 1, RST_OR_SYN);
    socket.attach_filter(&[load, is_one, PASS, DROP])
}
