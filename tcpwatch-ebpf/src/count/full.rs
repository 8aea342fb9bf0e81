//! Counts the changes of full sockets, as they are in truth: where a mini-socket takes over, the
//! tracepoint says CLOSED, and the socket is in TIME_WAIT or goes on in FIN_WAIT_2.

use aya_ebpf::{bindings::BPF_SK_STORAGE_GET_F_CREATE, helpers::bpf_ktime_get_ns};
use tcpwatch_common::counts::{
    self, Block, CONNECT_BOUNDS_NS, ConnectEnd, End, SYN_BOUND, between, bucket, stay,
};

use super::{Words, mini, transition};
use crate::{
    accepting,
    inet_sock_set_state::{
        CLOSE, CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT2, LAST_ACK, LISTEN, SOCK_DONE, SYN_RECV,
        SYN_SENT, TIME_WAIT,
    },
    kernel::{self, SOCK_DEAD, Sock},
    maps::{self, Burial, CLOCKS, Clock},
};

// `include/uapi/asm-generic/errno.h`.
const EPIPE: u16 = 32;
const ENETDOWN: u16 = 100;
const ENETUNREACH: u16 = 101;
const ECONNABORTED: u16 = 103;
const ECONNRESET: u16 = 104;
const ETIMEDOUT: u16 = 110;
const ECONNREFUSED: u16 = 111;
const EHOSTDOWN: u16 = 112;
const EHOSTUNREACH: u16 = 113;
const EPROTO: u16 = 71;
const EMSGSIZE: u16 = 90;
const ENOPROTOOPT: u16 = 92;

/// Are half-open connections and timewait sockets watched?
#[inline(always)]
fn watches_minis() -> bool {
    kernel::are_watched()
}

/// A connection is accepted, whose half-open connection was counted when its SYN came. Without one
/// (SYN cookies, fast open) it is counted when it turns out that none is there.
#[inline(always)]
pub(crate) fn accepting(sock: Sock) {
    let counted = super::is_on() && super::wants(sock);
    let left_over = accepting::note(sock.remote_port(), counted && watches_minis());
    if super::is_on()
        && (left_over || counted && !watches_minis())
        && let Some(mut words) = Words::of(Block::Full)
    {
        words.add(transition(LISTEN, SYN_RECV), 1);
    }
}

/// A full socket changes its state, but not from LISTEN to SYN_RECV.
#[inline(always)]
pub(crate) fn change(sock: Sock, old: u32, new: u32) {
    if !super::wants(sock) {
        return;
    }
    let Some(mut words) = Words::of(Block::Full) else { return };
    // SAFETY: the helper takes nothing and always succeeds.
    let now = unsafe { bpf_ktime_get_ns() };
    let clock = clock(sock, new);
    let since = match clock {
        // SAFETY: the helper returned a live value, and only this socket's changes touch it.
        Some(clock) => unsafe { *clock },
        None => Clock { since_ns: 0, state: 0 },
    };
    let is_timed = since.state == u64::from(old);
    let since_ns = if is_timed { since.since_ns } else { 0 };
    if let Some(clock) = clock {
        let state = if new == CLOSE { 0 } else { u64::from(new) };
        // SAFETY: as above.
        unsafe { *clock = Clock { since_ns: now, state } };
    } else if new != CLOSE && new != LISTEN {
        words.add(counts::UNKEPT, 1);
    }

    if new == FIN_WAIT2 || new == CLOSING {
        mini::overtake();
    }
    let mut to = new;
    if new == CLOSE && (old == FIN_WAIT2 || old == CLOSING) {
        match heir(sock, old, since_ns, &mut words) {
            Heir::None => {}
            Heir::TimeWait => to = TIME_WAIT,
            Heir::FinWait2 => return,
        }
    }
    words.add(transition(old, to), 1);
    let lasted = between(since_ns, now);
    if old == SYN_RECV {
        left_syn_recv(sock, to, is_timed, lasted, &mut words);
    } else if old == SYN_SENT {
        left_syn_sent(sock, to, lasted, &mut words);
        stay(SYN_SENT as u8, lasted, &mut words.adder());
    } else if old != CLOSE && old != LISTEN {
        stay((old & 15) as u8, lasted, &mut words.adder());
        if to == CLOSE {
            words.add(counts::ENDS + (end(sock, old) as usize & 15), 1);
        }
    }
}

/// The socket's clock: made if the new state is to be timed.
#[inline(always)]
fn clock(sock: Sock, new: u32) -> Option<*mut Clock> {
    // How long a listener listens tells nothing about connections.
    let flags = match new {
        CLOSE | LISTEN => 0,
        _ => u64::from(BPF_SK_STORAGE_GET_F_CREATE),
    };
    sock.storage(&CLOCKS, flags)
}

#[inline(always)]
fn left_syn_sent(sock: Sock, to: u32, lasted: Option<u64>, words: &mut Words) {
    let Some(tcp) = sock.as_tcp() else { return };
    let again = u64::from(tcp.retransmits());
    let bucket_of_syns = if again >= SYN_BOUND as u64 { SYN_BOUND } else { again as usize };
    words.add(counts::SYNS + (bucket_of_syns & SYN_BOUND), 1);
    words.add(counts::SYNS_SUM, again + 1);
    match to {
        ESTABLISHED => {
            if let Some(nanos) = lasted {
                words.add(counts::CONNECTED + bucket(&CONNECT_BOUNDS_NS, nanos), 1);
                words.add(counts::CONNECTED_NS, nanos);
            }
        }
        CLOSE => {
            let error = sock.error();
            let end = match error {
                0 if tcp.local_port() == 0 => ConnectEnd::NoPort,
                0 => ConnectEnd::Canceled,
                _ => connect_end(error),
            };
            words.add(counts::CONNECT_ENDS + (end as usize & 15), 1);
        }
        _ => {}
    }
}

/// Only a socket that came from SYN_SENT, by a simultaneous open, has a clock here: it was counted as
/// a connect. All others were accepted, and the time is that of the half-open connection.
#[inline(always)]
fn left_syn_recv(sock: Sock, to: u32, is_timed: bool, lasted: Option<u64>, words: &mut Words) {
    let error = sock.error();
    if is_timed {
        stay(SYN_RECV as u8, lasted, &mut words.adder());
        if to == CLOSE {
            let end = if error == 0 { ConnectEnd::Canceled } else { connect_end(error) };
            words.add(counts::CONNECT_ENDS + (end as usize & 15), 1);
        }
        return;
    }
    if watches_minis() && accepting::take_left_over() {
        words.add(transition(LISTEN, SYN_RECV), 1);
        words.add(counts::UNTIMED + SYN_RECV as usize, 1);
    }
    match to {
        ESTABLISHED => words.add(counts::ACCEPTS, 1),
        CLOSE => words.add(counts::ENDS + (end(sock, SYN_RECV) as usize & 15), 1),
        _ => {}
    }
}

#[inline(always)]
fn connect_end(error: u16) -> ConnectEnd {
    match error {
        ECONNREFUSED => ConnectEnd::Refused,
        ETIMEDOUT => ConnectEnd::TimedOut,
        ECONNRESET | EPIPE => ConnectEnd::Reset,
        EHOSTUNREACH | ENETUNREACH | EHOSTDOWN | ENETDOWN | ENOPROTOOPT | EPROTO | EMSGSIZE => {
            ConnectEnd::Unreachable
        }
        _ => ConnectEnd::Other,
    }
}

/// Why the socket closes. Who sent a reset shows in the error only if it was the peer.
#[inline(always)]
fn end(sock: Sock, old: u32) -> End {
    match sock.error() {
        0 => {}
        ETIMEDOUT => return End::TimedOut,
        ECONNRESET | EPIPE | ECONNREFUSED => return End::ResetReceived,
        // tcp_abort() in net/ipv4/tcp.c.
        ECONNABORTED => return End::Killed,
        EHOSTUNREACH | ENETUNREACH | EHOSTDOWN | ENETDOWN | ENOPROTOOPT | EPROTO | EMSGSIZE => {
            return End::Unreachable;
        }
        _ => return End::Unknown,
    }
    match old {
        LAST_ACK => End::Normal,
        // close() with unread data or with SO_LINGER 0: tcp_disconnect() and __tcp_close() reset.
        ESTABLISHED | CLOSE_WAIT | SYN_RECV => End::ResetSent,
        FIN_WAIT2 | CLOSING => {
            if sock.as_tcp().is_some_and(|tcp| tcp.linger2() < 0) {
                return End::ResetSent;
            }
            // No mini-socket took over, though it was to (`tcp_time_wait`).
            if sock.flags() & (SOCK_DONE | SOCK_DEAD) != 0 {
                return End::TimeWaitOverflow;
            }
            End::Unknown
        }
        _ => End::Unknown,
    }
}

/// The mini-socket that goes on for a full socket that closes.
enum Heir {
    None,
    TimeWait,
    FinWait2,
}

/// Takes the note that the start of the mini-socket's timer left.
#[inline(always)]
fn heir(sock: Sock, old: u32, since_ns: u64, words: &mut Words) -> Heir {
    if !watches_minis() {
        return guess(sock, old);
    }
    let key = key(sock.hash(), sock.remote_port());
    let [first, second] = places(key);
    let Some(Burial { timer, state, .. }) =
        take_note(key, first).or_else(|| take_note(key, second))
    else {
        return Heir::None;
    };
    if state == u64::from(TIME_WAIT) {
        return Heir::TimeWait;
    }
    let clock = Clock { since_ns, state: u64::from(FIN_WAIT2) };
    mini::keep(timer, clock, words);
    Heir::FinWait2
}

/// Takes the note out of this place, if it is about this socket.
#[inline(always)]
fn take_note(key: u64, place: u32) -> Option<Burial> {
    let burial = maps::BURIALS.get_ptr_mut(place)?;
    // SAFETY: the lookup returned a live value; another CPU that uses the same place at the same
    // moment is told by its key.
    let note = unsafe { *burial };
    if note.key != key {
        return None;
    }
    // SAFETY: as above.
    unsafe { (*burial).key = 0 };
    Some(note)
}

/// Where timers are not watched: the connection is in TIME_WAIT if the peer's FIN has come, and stays
/// in FIN_WAIT_2 if not.
#[inline(always)]
fn guess(sock: Sock, old: u32) -> Heir {
    let flags = sock.flags();
    if sock.error() != 0 {
        Heir::None
    } else if flags & SOCK_DONE != 0 || old == CLOSING {
        Heir::TimeWait
    } else if flags & SOCK_DEAD != 0 {
        Heir::FinWait2
    } else {
        Heir::None
    }
}

/// A mini-socket and its full socket have the same hash of their four-tuple and namespace.
#[inline(always)]
pub(super) fn key(hash: u32, remote_port: u16) -> u64 {
    u64::from(hash) << 32 | u64::from(remote_port) << 16 | 1
}

/// The two places where a note about it may be.
#[inline(always)]
pub(super) fn places(key: u64) -> [u32; 2] {
    let first = (key >> 32) as u32 & (counts::BURIALS as u32 - 1);
    [first, first ^ 1]
}
