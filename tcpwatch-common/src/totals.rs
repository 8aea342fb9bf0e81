//! What a full socket has done in its life, reported with its last change.
//!
//! Producer: `tcpwatch-ebpf/src/inet_sock_set_state.rs`. Consumer:
//! `tcpwatch/core/src/decode/state_change.rs`.

use crate::state_change::StateChange;

/// Counts of `struct tcp_sock` (`include/linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Totals {
    /// Bytes of data sent (`bytes_sent`). The kernel counts them before the network below takes them
    /// (`__tcp_transmit_skb` in `net/ipv4/tcp_output.c`).
    pub bytes_sent: u64,
    /// Of these, bytes that had been sent before: by `bytes_retrans`, which leaves out what the network
    /// below did not take (since 6.17), or by sequence numbers, whatever says more.
    pub bytes_retransmitted: u64,
    /// Bytes received in order (`bytes_received`), the peer's FIN counted as one.
    pub bytes_received: u64,
    /// Segments sent again (`total_retrans`).
    pub retransmits: u32,
    /// Smoothed round-trip time in microseconds, times 8 (`srtt_us`); 0 if never measured.
    pub srtt_us_8: u32,
    /// Smallest round-trip time of late in microseconds (`rtt_min`); `u32::MAX` if never measured.
    pub min_rtt_us: u32,
    /// [`UNDELIVERED_KNOWN`], [`SYN_COUNTED`], and below them the bytes of data that were handed over by
    /// the application and not acknowledged by the peer, [`UNDELIVERED_MAX`] at most.
    pub undelivered: u32,
}

/// [`Totals::undelivered`]: set since recordings have it.
pub const UNDELIVERED_KNOWN: u32 = 1 << 31;
/// [`Totals::undelivered`]: the SYN of an outgoing connection is one of the bytes sent.
pub const SYN_COUNTED: u32 = 1 << 30;
/// The largest number in [`Totals::undelivered`].
pub const UNDELIVERED_MAX: u32 = SYN_COUNTED - 1;

/// A socket's sequence numbers, at its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// `bytes_sent`.
    pub bytes_sent: u64,
    /// `bytes_retrans`.
    pub bytes_retrans: u64,
    /// `bytes_acked`; the FIN counts as one, and so does the SYN of a connection that went out
    /// (`tcp_snd_una_update` in `net/ipv4/tcp_input.c`).
    pub bytes_acked: u64,
    /// `snd_una`.
    pub snd_una: u32,
    /// `snd_nxt`.
    pub snd_nxt: u32,
    /// `write_seq`, which the FIN is part of.
    pub write_seq: u32,
    /// The state that is left, in the kernel's numbers: it says whether SYN and FIN are among the bytes.
    pub state: u8,
}

// Kernel state numbers, `include/net/tcp_states.h`.
const SYN_SENT: u8 = 2;
const FIN_WAIT_1: u8 = 4;
const FIN_WAIT_2: u8 = 5;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;

impl Numbers {
    /// [`Totals::bytes_retransmitted`] and [`Totals::undelivered`].
    #[must_use]
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
    pub fn judge(self) -> (u64, u32) {
        let (bytes_sent, bytes_retrans) = (self.bytes_sent, self.bytes_retrans);
        let fin = match self.state {
            FIN_WAIT_1 | FIN_WAIT_2 | CLOSING | LAST_ACK => 1,
            _ => 0,
        };
        let syn = u32::from(self.state == SYN_SENT);
        // All that was queued was sent, and the FIN is the last of it.
        let fin_sent = if self.write_seq == self.snd_nxt { fin } else { 0 };
        let in_flight = self.snd_nxt.wrapping_sub(self.snd_una);
        let numbered = self.bytes_acked.wrapping_add(in_flight.into());
        let numbered = numbered.saturating_sub(fin_sent.into());
        let queued = self.write_seq.wrapping_sub(self.snd_una);
        let queued = queued.saturating_sub(fin | syn);
        let undelivered = if queued > UNDELIVERED_MAX { UNDELIVERED_MAX } else { queued };
        if bytes_sent.saturating_sub(bytes_retrans) < numbered {
            return (bytes_retrans, undelivered | UNDELIVERED_KNOWN);
        }
        (bytes_sent - numbered, undelivered | UNDELIVERED_KNOWN | SYN_COUNTED)
    }
}

/// A [`StateChange`] to CLOSED with the totals of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StateChangeLast<const WORDS: usize> {
    /// The change.
    pub change: StateChange<WORDS>,
    /// The totals.
    pub totals: Totals,
}

const _: () = {
    assert!(size_of::<Totals>() == 40, "no padding");
    assert!(size_of::<StateChangeLast<1>>() == 64 + 40, "no padding between");
    assert!(size_of::<StateChangeLast<4>>() == 88 + 40, "no padding between");
};

#[cfg(test)]
mod tests {
    use super::*;

    const ESTABLISHED: u8 = 1;

    /// 1000 bytes acknowledged, 300 on their way, 200 not sent; as many times sent again.
    fn numbers(first: u32, extra: u64, state: u8) -> Numbers {
        Numbers {
            bytes_sent: 1300,
            bytes_retrans: 0,
            bytes_acked: 1000 + extra,
            snd_una: first,
            snd_nxt: first.wrapping_add(300),
            write_seq: first.wrapping_add(500),
            state,
        }
    }

    /// Bytes sent once, whether the SYN is among them, and what was not delivered.
    fn judged(numbers: Numbers) -> (u64, bool, u32) {
        let (again, undelivered) = numbers.judge();
        assert_ne!(undelivered & UNDELIVERED_KNOWN, 0);
        let syn = undelivered & SYN_COUNTED != 0;
        (numbers.bytes_sent - again, syn, undelivered & UNDELIVERED_MAX)
    }

    #[test]
    fn what_was_sent_and_not_delivered_follows_from_sequence_numbers_also_where_they_wrap() {
        for first in [5, u32::MAX - 100, u32::MAX - 400] {
            assert_eq!(judged(numbers(first, 0, ESTABLISHED)), (1300, true, 500));
            assert_eq!(judged(numbers(first, 1, ESTABLISHED)), (1300, false, 500), "with a SYN");
        }
    }

    #[test]
    fn what_the_network_below_did_not_take_counts_once() {
        let refused = |numbers| Numbers { bytes_sent: 5100, ..numbers };
        assert_eq!(judged(refused(numbers(5, 0, ESTABLISHED))), (1300, true, 500));
        assert_eq!(judged(refused(numbers(5, 1, ESTABLISHED))), (1301, true, 500), "and the SYN");
    }

    #[test]
    fn a_fin_is_no_byte_whether_sent_or_not() {
        let waits = Numbers { write_seq: 506, ..numbers(5, 0, FIN_WAIT_1) };
        assert_eq!(judged(waits), (1300, true, 500));
        let sent = Numbers { snd_nxt: 306, write_seq: 306, ..numbers(5, 0, FIN_WAIT_1) };
        assert_eq!(judged(sent), (1300, true, 300));
        let heard = Numbers { bytes_acked: 1301, snd_una: 306, ..sent };
        let heard = Numbers { state: FIN_WAIT_2, ..heard };
        assert_eq!(judged(heard), (1300, true, 0));
    }

    #[test]
    fn a_syn_that_nobody_acknowledges_is_no_byte() {
        let syn = Numbers {
            bytes_sent: 0,
            bytes_retrans: 0,
            bytes_acked: 0,
            snd_una: 9,
            snd_nxt: 10,
            write_seq: 10,
            state: SYN_SENT,
        };
        assert_eq!(judged(syn), (0, false, 0));
    }
}
