//! What is known of a full socket that enters CLOSED; [`tcpwatch_common::closing`] says what it means.

use tcpwatch_common::{
    Closing,
    state::{SYN_RECV, SYN_SENT},
    state_change::{
        FLAG_CONNECT_FAILED, FLAG_DEAD, FLAG_DONE, FLAG_LINGER2_OFF, FLAG_NO_PORT, FLAG_NO_SOCKET,
        FLAG_REPAIR, FLAG_RETRIED, FLAG_SOFT_ERROR, FLAG_TW_ROOM, FLAG_UNACKED, FLAG_UNNUMBERED,
        FLAG_UNSENT,
    },
};

use crate::kernel::{SOCK_DEAD, SOCK_DONE, Sock, TcpSock};

/// Why it closes, as far as the socket itself says.
#[inline(always)]
pub(crate) fn of(sock: Sock, tcp: TcpSock, from: u8) -> Closing {
    let kernel = sock.flags();
    let mut flags = 0;
    let mut set = |flag: u16, is: bool| {
        if is {
            flags |= flag;
        }
    };
    set(FLAG_DEAD, kernel & SOCK_DEAD != 0);
    set(FLAG_DONE, kernel & SOCK_DONE != 0);
    set(FLAG_LINGER2_OFF, tcp.linger2() < 0);
    set(FLAG_REPAIR, tcp.is_under_repair());
    set(FLAG_UNACKED, tcp.is_unacked());
    set(FLAG_UNSENT, tcp.is_unsent());
    set(FLAG_TW_ROOM, tcp.has_tw_room());
    set(FLAG_NO_SOCKET, kernel & SOCK_DEAD == 0 && tcp.has_no_socket());
    let mut error = sock.error();
    if from == SYN_SENT || from == SYN_RECV {
        set(FLAG_RETRIED, tcp.retransmits() > 0);
    }
    if from == SYN_SENT {
        set(FLAG_NO_PORT, tcp.local_port() == 0);
        set(FLAG_CONNECT_FAILED, tcp.is_connecting());
        set(FLAG_UNNUMBERED, tcp.is_unnumbered());
        if error == 0 {
            error = tcp.soft_error(sock);
            set(FLAG_SOFT_ERROR, error != 0);
        }
    }
    Closing { from, error, flags, reset: None }
}
