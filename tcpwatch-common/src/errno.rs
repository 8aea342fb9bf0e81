//! The errors that end a TCP connection (`include/uapi/asm-generic/errno.h`), and what they mean.
//! The numbers are those of every architecture that the kernel side is built for.

use crate::Reason;

const EPERM: u16 = 1;
const EACCES: u16 = 13;
const EPIPE: u16 = 32;
const EPROTO: u16 = 71;
const EMSGSIZE: u16 = 90;
const ENOPROTOOPT: u16 = 92;
const ENETDOWN: u16 = 100;
const ENETUNREACH: u16 = 101;
const ECONNABORTED: u16 = 103;
const ECONNRESET: u16 = 104;
const ETIMEDOUT: u16 = 110;
const ECONNREFUSED: u16 = 111;
const EHOSTDOWN: u16 = 112;
const EHOSTUNREACH: u16 = 113;

/// What an error of a socket means. The kernel's error for a reset does not say who sent it: taken
/// alone, the peer did.
#[must_use]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
pub const fn meaning(errno: u16) -> Reason {
    match errno {
        ECONNREFUSED => Reason::Refused,
        ETIMEDOUT => Reason::TimedOut,
        // EPIPE is what a reset becomes in CLOSE_WAIT (tcp_reset in net/ipv4/tcp_input.c).
        ECONNRESET | EPIPE => Reason::ResetReceived,
        // tcp_abort in net/ipv4/tcp.c.
        ECONNABORTED => Reason::Killed,
        // icmp_err_convert in net/ipv4/icmp.c, tab_unreach in net/ipv6/icmp.c.
        EPERM | EACCES | EHOSTUNREACH | ENETUNREACH | EHOSTDOWN | ENETDOWN | ENOPROTOOPT
        | EPROTO | EMSGSIZE => Reason::Unreachable,
        _ => Reason::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_that_icmp_becomes_says_that_the_peer_cannot_be_reached() {
        for errno in [EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENOPROTOOPT, EMSGSIZE, EPROTO, EACCES] {
            assert_eq!(meaning(errno), Reason::Unreachable, "{errno}");
        }
    }

    #[test]
    fn a_port_that_icmp_says_is_closed_refuses() {
        assert_eq!(meaning(ECONNREFUSED), Reason::Refused);
    }

    #[test]
    fn an_error_that_is_not_in_the_table_means_nothing() {
        assert_eq!(meaning(5), Reason::Unknown);
    }
}
