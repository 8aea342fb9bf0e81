//! Counts the changes of full sockets, as they are in truth: where a mini-socket takes over, the
//! tracepoint says CLOSED, and the socket is in TIME_WAIT or stays in FIN_WAIT_2.

use aya_ebpf::{bindings::BPF_SK_STORAGE_GET_F_CREATE, helpers::bpf_ktime_get_ns};
use tcpwatch_common::{
    Closing, Reason,
    counts::{self, Block, CONNECT_BOUNDS_NS, SYN_BOUND, between, bucket, stay, transition},
    state::{CLOSED, CLOSING, ESTABLISHED, FIN_WAIT_2, LISTEN, SYN_RECV, SYN_SENT, TIME_WAIT},
};

use super::{
    BlockWords,
    books::{self, Besides},
    ends, mini,
};
use crate::{
    accepting, closing,
    kernel::{self, Sock, TcpSock},
    maps::{self, Burial, CLOCKS, OVER, SocketNotes, StateSince},
};

/// Are half-open connections and timewait sockets watched?
#[inline(always)]
fn watches_minis() -> bool {
    kernel::are_watched()
}

/// A connection is accepted, whose half-open connection was counted when its SYN came. Without one
/// (SYN cookies, fast open) it is counted when it turns out that none is there.
#[inline(always)]
pub(crate) fn accepting(sock: Sock, block: Block) {
    let counted = super::is_on() && super::wants(sock);
    let left_over = accepting::note(sock.remote_port(), counted && watches_minis());
    if counted && let Some(kept) = sock.storage(&CLOCKS, BPF_SK_STORAGE_GET_F_CREATE.into()) {
        // SAFETY: the helper returned a live value.
        books::enters(sock, unsafe { &raw mut (*kept).mark }, SYN_RECV, books::NOTHING, block);
    }
    if super::is_on()
        && (left_over || counted && !watches_minis())
        && let Some(mut words) = BlockWords::of(block)
    {
        words.add(transition(LISTEN, SYN_RECV), 1);
    }
}

/// A full socket changes its state, but not from LISTEN to SYN_RECV. `block` is that of the program.
#[inline(always)]
pub(crate) fn change(sock: Sock, (old, new): (u8, u8), block: Block) {
    if !super::wants(sock) {
        return;
    }
    let Some(mut words) = BlockWords::of(block) else { return };
    // SAFETY: the helper takes nothing and always succeeds.
    let now = unsafe { bpf_ktime_get_ns() };
    let kept = kept(sock, new);
    let since = match kept {
        // SAFETY: the helper returned a live value, and only this socket's changes touch it.
        Some(kept) => unsafe { (*kept).clock },
        None => StateSince { since_ns: 0, state: 0 },
    };
    let is_timed = since.state == u64::from(old);
    let since_ns = if is_timed { since.since_ns } else { 0 };
    let besides = besides(sock, (old, new), is_timed);
    let cgroup = if let Some(kept) = kept {
        let state = if new == CLOSED { 0 } else { u64::from(new) };
        // SAFETY: as above.
        unsafe { (*kept).clock = StateSince { since_ns: now, state } };
        // SAFETY: as above.
        books::enters(sock, unsafe { &raw mut (*kept).mark }, new, besides, block)
    } else {
        if new != CLOSED && new != LISTEN {
            words.add(counts::UNKEPT, 1);
        }
        books::passes(sock, besides, block)
    };

    if new == FIN_WAIT_2 || new == CLOSING {
        mini::overtake();
    }
    let mut to = new;
    if new == CLOSED && (old == FIN_WAIT_2 || old == CLOSING) {
        match heir(sock, old, (since_ns, cgroup), (&mut words, block)) {
            Heir::None => {}
            Heir::TimeWait => to = TIME_WAIT,
            Heir::FinWait2 => return,
        }
    }
    words.add(transition(old, to), 1);
    let lasted = between(since_ns, now);
    let closing = if to == CLOSED {
        let Some(tcp) = sock.as_tcp() else { return };
        closing::of(sock, tcp, old)
    } else {
        Closing::default()
    };
    if old == SYN_RECV {
        left_syn_recv(sock, (to, now), (cgroup, block), (is_timed, lasted), closing, words);
    } else if old == SYN_SENT {
        left_syn_sent((to, lasted), besides.1, (cgroup, block), closing, &mut words);
        stay(SYN_SENT, lasted, &mut words.adder());
    } else if old != CLOSED && old != LISTEN {
        stay(old, lasted, &mut words.adder());
        if to == CLOSED {
            ends::closed(sock, (cgroup, block), now, closing);
        }
    }
}

/// What is counted by cgroup besides the state. Only a socket that came from SYN_SENT, by a simultaneous open, is timed
/// in SYN_RECV.
#[inline(always)]
fn besides(sock: Sock, (old, new): (u8, u8), is_timed: bool) -> Besides {
    match (old, new) {
        (CLOSED, SYN_SENT) => (counts::CONNECTS, 1),
        (SYN_SENT, _) => (counts::SYNS_SUM, sock.as_tcp().map_or(0, TcpSock::retransmits) + 1),
        (SYN_RECV, ESTABLISHED) if !is_timed => (counts::ACCEPTS, 1),
        _ => books::NOTHING,
    }
}

/// What is kept about the socket: made unless it closes.
#[inline(always)]
fn kept(sock: Sock, new: u8) -> Option<*mut SocketNotes> {
    let flags = if new == CLOSED { 0 } else { u64::from(BPF_SK_STORAGE_GET_F_CREATE) };
    sock.storage(&CLOCKS, flags)
}

#[inline(always)]
fn left_syn_sent(
    (to, lasted): (u8, Option<u64>),
    syns: u32,
    counted: (u32, Block),
    closing: Closing,
    words: &mut BlockWords,
) {
    let again = syns as usize - 1;
    let bucket_of_syns = if again >= SYN_BOUND { SYN_BOUND } else { again };
    words.add(counts::SYNS + (bucket_of_syns & SYN_BOUND), 1);
    match to {
        ESTABLISHED => {
            if let Some(nanos) = lasted {
                words.add(counts::CONNECTED + bucket(&CONNECT_BOUNDS_NS, nanos), 1);
                words.add(counts::CONNECTED_NS, nanos);
            }
        }
        CLOSED => connect_ended(closing, counted),
        _ => {}
    }
}

/// Only a socket that came from SYN_SENT, by a simultaneous open, has a clock here: it was counted
/// as a connect. All others were accepted, and the time is that of the half-open connection.
#[inline(always)]
fn left_syn_recv(
    sock: Sock,
    (to, now): (u8, u64),
    counted: (u32, Block),
    (is_timed, lasted): (bool, Option<u64>),
    closing: Closing,
    mut words: BlockWords,
) {
    if is_timed {
        stay(SYN_RECV, lasted, &mut words.adder());
        if to == CLOSED {
            connect_ended(closing, counted);
        }
        return;
    }
    if watches_minis() && accepting::is_left_over() {
        words.add(transition(LISTEN, SYN_RECV), 1);
        words.add(counts::UNTIMED + usize::from(SYN_RECV), 1);
    }
    if to == CLOSED {
        ends::closed(sock, counted, now, closing);
    }
}

#[inline(always)]
fn connect_ended(closing: Closing, (cgroup, block): (u32, Block)) {
    books::count(cgroup, block, counts::CONNECT_ENDS + closing.reason() as usize % Reason::ROOM);
}

/// The mini-socket that replaces a full socket that closes.
enum Heir {
    None,
    TimeWait,
    FinWait2,
}

/// Takes the note that the start of the mini-socket's timer left.
#[inline(always)]
fn heir(
    sock: Sock,
    old: u8,
    (since_ns, cgroup): (u64, u32),
    (words, block): (&mut BlockWords, Block),
) -> Heir {
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
    if state & OVER == 0 {
        books::timewait_enters(timer, cgroup, books::of_timewait(state as u8), block);
    }
    if state & !OVER == u64::from(TIME_WAIT) {
        return Heir::TimeWait;
    }
    let clock = StateSince { since_ns, state: u64::from(FIN_WAIT_2) };
    mini::keep(timer, clock, words);
    Heir::FinWait2
}

/// Takes the note out of this place, if it is about this socket.
#[inline(always)]
fn take_note(key: u64, place: u32) -> Option<Burial> {
    let burial = maps::BURIALS.get_ptr_mut(place)?;
    // SAFETY: the lookup returned a live value; another CPU that uses the same place at the same
    // moment is recognized by its key.
    let note = unsafe { *burial };
    if note.key != key {
        return None;
    }
    // SAFETY: as above.
    unsafe { (*burial).key = 0 };
    Some(note)
}

/// Where timers are not watched.
#[inline(always)]
fn guess(sock: Sock, old: u8) -> Heir {
    let Some(tcp) = sock.as_tcp() else { return Heir::None };
    match closing::of(sock, tcp, old).guessed_successor() {
        Some(TIME_WAIT) => Heir::TimeWait,
        Some(_) => Heir::FinWait2,
        None => Heir::None,
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
