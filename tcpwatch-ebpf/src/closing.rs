//! What is known of a full socket that enters CLOSED; [`tcpwatch_common::closing`] says what it means.

use tcpwatch_common::{
    Closing,
    state::SYN_SENT,
    state_change::{
        FLAG_CONNECT_FAILED, FLAG_DEAD, FLAG_DONE, FLAG_LINGER2_OFF, FLAG_NO_PORT, FLAG_NO_SOCKET,
        FLAG_REPAIR, FLAG_RETRIED, FLAG_SOFT_ERROR, FLAG_TW_ROOM, FLAG_UNACKED, FLAG_UNNUMBERED,
        FLAG_UNSENT,
    },
};

use crate::kernel::{SOCK_DEAD, SOCK_DONE, Sock, TcpSock, not_zero};

/// Why it closes, as far as the socket itself says. Flags are put together without a jump: the kernel's
/// verifier would follow both ways of each, and all that comes after them.
#[inline(always)]
pub(crate) fn of(sock: Sock, tcp: TcpSock, from: u8) -> Closing {
    let kernel = sock.flags();
    let lives = 1 - (kernel & SOCK_DEAD) as u16;
    let mut flags = (kernel & (SOCK_DEAD | SOCK_DONE)) as u16;
    flags |= FLAG_LINGER2_OFF * (tcp.linger2().cast_unsigned() >> 31) as u16;
    flags |= FLAG_REPAIR * tcp.repair();
    flags |= FLAG_UNACKED * tcp.unacked();
    flags |= FLAG_UNSENT * tcp.unsent();
    flags |= FLAG_TW_ROOM * tcp.tw_room();
    flags |= FLAG_NO_SOCKET * (lives & (1 - tcp.has_socket()));
    let mut error = sock.error();
    if from == SYN_SENT {
        // Where the network below takes nothing, timeouts count alone.
        flags |= FLAG_RETRIED * not_zero(tcp.retransmits() | u32::from(tcp.timeouts()));
        flags |= FLAG_NO_PORT * found_no_port(sock, tcp);
        flags |= FLAG_CONNECT_FAILED * tcp.connecting();
        flags |= FLAG_UNNUMBERED * tcp.unnumbered();
        if error == 0 {
            error = tcp.soft_error(sock);
            flags |= FLAG_SOFT_ERROR * not_zero(error.into());
        }
    }
    Closing { from, error, flags, reset: None }
}

/// 1 if a connect that ends has found no free local port. That of the socket's connection before may still
/// be in `inet_sport`, which `inet_put_port` leaves.
#[inline(always)]
pub(crate) fn found_no_port(sock: Sock, tcp: TcpSock) -> u16 {
    let is_bound = not_zero(sock.bound_port().into());
    (1 - is_bound) & (1 - not_zero(sock.error().into())) & tcp.unnumbered()
}

// They lie where the kernel has them.
const _: () = assert!(FLAG_DEAD as u64 == SOCK_DEAD && FLAG_DONE as u64 == SOCK_DONE);
