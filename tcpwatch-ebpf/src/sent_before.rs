//! When a segment that is sent again was sent before. The kernel writes the new time into the segment
//! before its tracepoint fires (`__tcp_transmit_skb` in `net/ipv4/tcp_output.c`), so that the time is
//! read when the socket's timer runs out. Then the retransmission follows on the same CPU
//! (`tcp_write_timer_handler` in `net/ipv4/tcp_timer.c`), unless a system call is at work on the socket.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tcpwatch_common::RetransmitTimes;

use crate::{
    kernel::{SkBuff, Sock, TcpSock, Timer, jiffies},
    maps::{self, SENT_BEFORE, SentBefore, WRITE_TIMER},
};

/// The kernel works this long at most on a timer that has run out, in nanoseconds.
const REACH_NS: u64 = 10_000_000;

/// Can the times be read on this kernel, and does anybody read them?
#[inline(always)]
pub(crate) fn is_on() -> bool {
    maps::WITH_SENT_BEFORE.load() != 0 && maps::STREAM.load() != 0
}

/// Learns the function of retransmission timers from the first socket that is seen.
#[inline(always)]
pub(crate) fn learn(tcp: TcpSock) {
    if !is_on() {
        return;
    }
    let Some(function) = WRITE_TIMER.get_ptr_mut(0) else { return };
    // SAFETY: the lookup returned a live value.
    if unsafe { *function } == 0 {
        // SAFETY: as above; whoever writes it writes the same.
        unsafe { *function = tcp.write_timer_function() };
    }
}

/// A timer has run out. If it is a socket's retransmission timer, its segment is noted.
#[inline(always)]
pub(crate) fn note(timer: Timer) {
    if !is_on() {
        return;
    }
    // SAFETY: the lookup returned a live value.
    let known = WRITE_TIMER.get_ptr(0).map_or(0, |function| unsafe { *function });
    if known == timer.function()
        && let Some(due) = timer.due_segment()
        && let Some(note) = SENT_BEFORE.get_ptr_mut(0)
    {
        // SAFETY: the helper takes nothing and always succeeds.
        let at_ns = unsafe { bpf_ktime_get_ns() };
        // SAFETY: the lookup returned a live value of this CPU, and timers do not interrupt each other.
        unsafe { *note = SentBefore { due, at_ns } };
    }
}

/// The times of a segment that was sent again. Takes the note.
#[inline(always)]
pub(crate) fn times(sock: Sock, tcp: TcpSock, segment: SkBuff) -> RetransmitTimes {
    RetransmitTimes {
        sent_before_ns: take(sock, segment),
        due: tcp.write_timer_due(),
        jiffies: jiffies(),
        seq: segment.outgoing_seq(),
        reserved: 0,
    }
}

#[inline(always)]
fn take(sock: Sock, segment: SkBuff) -> u64 {
    let Some(slot) = SENT_BEFORE.get_ptr_mut(0) else { return 0 };
    // SAFETY: the lookup returned a live value of this CPU. A timer that interrupts writes the note of
    // another socket: this one's is locked.
    let SentBefore { due, at_ns } = unsafe { *slot };
    if due.sock != sock.address() {
        return 0;
    }
    // SAFETY: as above.
    unsafe { (*slot).due.sock = 0 };
    // SAFETY: the helper takes nothing and always succeeds.
    let now = unsafe { bpf_ktime_get_ns() };
    let is_it = due.segment == 0 || due.segment == segment.address();
    if is_it && now.wrapping_sub(at_ns) < REACH_NS { due.sent_ns } else { 0 }
}
