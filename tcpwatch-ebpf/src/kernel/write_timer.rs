//! The retransmission timer of a full socket, and the segment that its running out sends again.

use core::ptr;

use super::{TcpSock, Timer, field, probe};
use crate::maps;

/// `ICSK_TIME_RETRANS`: the first segment that is not acknowledged is sent again.
const RETRANSMIT: u8 = 1;
/// `ICSK_TIME_LOSS_PROBE`: the last segment is sent again (`tcp_send_loss_probe`).
const LOSS_PROBE: u8 = 5;

/// Levels of the tree of segments that are looked at; one of 65,536 segments has 32 at most.
const LEVELS: usize = 32;

/// The segment that will be sent again.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    /// Address of the socket.
    pub(crate) sock: u64,
    /// Address of the segment; 0 for a probe, which may send a part of it.
    pub(crate) segment: u64,
    /// When it was sent last, by the clock of `bpf_ktime_get_ns`.
    pub(crate) sent_ns: u64,
}

impl TcpSock {
    /// The function that its retransmission timer runs, the same for every socket.
    #[inline(always)]
    pub(crate) fn write_timer_function(self) -> u64 {
        // SAFETY: the timer is a field of `struct tcp_sock`, the type of the pointer.
        let timer = unsafe { self.0.add(maps::RETRANSMIT_TIMER.load() as usize) };
        field(timer, &maps::TIMER_FUNCTION)
    }

    /// The jiffy at which the timer is due that was armed last.
    #[inline(always)]
    pub(crate) fn write_timer_due(self) -> u64 {
        field(self.0, &maps::RETRANSMIT_DUE)
    }
}

impl Timer {
    /// Of a retransmission timer that has run out: what it will send again. `None` if that cannot be
    /// known, or the timer is for something else.
    #[inline(always)]
    pub(crate) fn due_segment(self) -> Option<Due> {
        let tcp = self.0.wrapping_sub(maps::RETRANSMIT_TIMER.load() as usize);
        let pending: u8 = probe(tcp, maps::ICSK_PENDING.load())?;
        let (side, is_probe) = match pending {
            RETRANSMIT => (maps::RB_LEFT.load(), false),
            LOSS_PROBE => (maps::RB_RIGHT.load(), true),
            _ => return None,
        };
        let mut node: *const u8 = probe(tcp, maps::RTX_QUEUE.load())?;
        if node.is_null() {
            return None;
        }
        for _ in 0..LEVELS {
            let next: *const u8 = probe(node, side)?;
            if ptr::eq(next, ptr::null()) {
                break;
            }
            node = next;
        }
        let segment = node.wrapping_sub(maps::SKB_RBNODE.load() as usize);
        let sent_ns = probe(segment, maps::SKB_MSTAMP.load())?;
        let segment = if is_probe { 0 } else { segment.expose_provenance() as u64 };
        Some(Due { sock: tcp.expose_provenance() as u64, segment, sent_ns })
    }
}
