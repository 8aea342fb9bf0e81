//! Keeps the books about sockets, see [`tcpwatch_common::books`]: one more in the state that is entered, one less in the
//! state that is left, in the cell of the socket's cgroup. What is left is what was marked when it was entered, so that
//! a socket that was never counted is not taken away: one from before the start, or one whose begin was missed.
//!
//! A full socket has its mark in its storage, a mini-socket in a table. The functions that are not inlined have stacks of
//! 32 bytes at most: programs on timers have no more to give.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    btf_maps::{Array, HashMap, PerCpuHashMap},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use tcpwatch_common::{
    books::{
        Cell, ENTERED, HALF_OPEN, LEFT, MAX_CELLS, MAX_MARKS, Mark, ORPHAN_FIN_WAIT_2, WALKED,
        WALKER, place, word,
    },
    state::{CLOSED, TIME_WAIT},
};

use crate::{
    kernel::{AnyTcp, Seeded, Sock},
    maps::CLOCKS,
};

const BPF_NOEXIST: u64 = 1;
/// Memory is taken when something is put in.
const GROWS: usize = BPF_F_NO_PREALLOC as usize;

/// What is counted, by the number of the cgroup.
#[btf_map]
static CELLS: PerCpuHashMap<u32, Cell, { MAX_CELLS as usize }, GROWS> = PerCpuHashMap::new();

/// What a cell is when it is made; a program's stack has no room for it.
#[btf_map]
static EMPTY_CELL: Array<Cell, 1> = Array::new();

/// Mini-sockets that are counted, by the address of the timer.
#[btf_map]
static MARKS: HashMap<u64, Mark, { MAX_MARKS as usize }, GROWS> = HashMap::new();

/// The mark of a full socket, beside the time of its state.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct FullMark {
    /// State that it is counted in: kernel number; 0 for none.
    pub(crate) state: u32,
    /// The cell that it is counted in.
    pub(crate) cgroup: u32,
}

/// The cell of a cgroup; that of the unknown ones if there is no room.
#[inline(always)]
fn cell(cgroup: u32) -> Option<*mut u32> {
    if let Some(cell) = CELLS.get_ptr_mut(cgroup) {
        return Some(cell.cast());
    }
    let empty = EMPTY_CELL.get_ptr(0)?;
    // SAFETY: the lookup returned a live value, which nothing writes.
    let empty = unsafe { &*empty };
    // Another CPU may be faster.
    let _made = CELLS.insert(cgroup, empty, BPF_NOEXIST);
    if let Some(cell) = CELLS.get_ptr_mut(cgroup) {
        return Some(cell.cast());
    }
    CELLS.get_ptr_mut(0_u32).map(<*mut Cell>::cast)
}

#[inline(always)]
fn add(cell: *mut u32, word: usize) {
    // SAFETY: words are made from masked numbers and lie inside the cell, which the verifier checks.
    let word = unsafe { cell.add(word) };
    // SAFETY: a live word of this CPU, which only programs of one kind write; they never interrupt each other.
    unsafe { *word = (*word).wrapping_add(1) };
}

/// A socket that is counted in the cell of `cgroup` goes from one state to another; 0 is none.
#[inline(never)]
fn shift(cgroup: u32, from: u32, to: u32, writer: u32) {
    let writer = opaque(writer);
    if let Some(cell) = cell(cgroup) {
        add(cell, word(writer, LEFT, from));
        add(cell, word(writer, ENTERED, to));
    }
}

/// The same number, of which the compiler knows nothing: otherwise it leaves out the mask that the verifier needs. Up to
/// 6.1 that knows nothing either of a number of 32 bits that was on the stack.
#[inline(always)]
fn opaque(number: u32) -> u32 {
    // SAFETY: a live local value.
    unsafe { (&raw const number).read_volatile() }
}

/// A full socket enters a state. `mark` lies in its storage.
#[inline(always)]
pub(super) fn enters(sock: Sock, mark: *mut FullMark, state: u8, writer: u32) {
    // SAFETY: the caller got it from the socket's storage, and changes of a socket are made one after the other.
    let before = unsafe { *mark };
    let to = if state == CLOSED { 0 } else { u32::from(state) };
    if before.state == 0 && to == 0 {
        return;
    }
    let cgroup = if before.state == 0 { cgroup_of(sock) } else { before.cgroup };
    // SAFETY: as above.
    unsafe { *mark = FullMark { state: to, cgroup } };
    shift(cgroup, before.state, to, writer);
}

/// Number of a full socket's cgroup; 0 if it is not known.
#[inline(always)]
pub(super) fn cgroup_of(sock: Sock) -> u32 {
    sock.as_tcp().map_or(0, |tcp| tcp.cgroup())
}

/// The state that a timewait socket is counted in.
#[inline(always)]
pub(super) const fn of_timewait(state: u8) -> u32 {
    if state == TIME_WAIT { TIME_WAIT as u32 } else { ORPHAN_FIN_WAIT_2 as u32 }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and always succeeds.
    unsafe { bpf_ktime_get_ns() }
}

/// A mini-socket enters a state.
#[inline(never)]
pub(super) fn mini_enters(timer: u64, cgroup: u32, state: u32, writer: u32) {
    let mark = Mark::new(cgroup, state, now());
    if MARKS.insert(timer, mark, BPF_NOEXIST).is_err() {
        // What a missed end has left, or a walk has found before; or there is no room.
        let Some(before) = MARKS.get_ptr_mut(timer) else { return };
        // SAFETY: the lookup returned a live value, and a mini-socket's events happen one after the other.
        let old = unsafe { *before };
        // SAFETY: as above.
        unsafe { *before = mark };
        shift(old.cgroup, old.state(), 0, writer);
    }
    shift(cgroup, 0, state, writer);
}

/// A mini-socket leaves its state. Returns its mark, as one word; 0 if it was not counted.
#[inline(never)]
pub(super) fn mini_leaves(timer: u64, writer: u32) -> u64 {
    let Some(mark) = MARKS.get_ptr(timer) else { return 0 };
    // SAFETY: the lookup returned a live value.
    let taken = unsafe { mark.cast::<u64>().read() };
    if MARKS.remove(timer).is_err() {
        return 0;
    }
    let mark = Mark::from_word(taken);
    shift(mark.cgroup, mark.state(), 0, writer);
    taken
}

/// A walk has come to a socket: it is counted if it was not, and that it was met.
#[inline(always)]
pub(crate) fn meet(socket: AnyTcp) {
    match socket.seeded() {
        Some(Seeded::Full(sock)) => meet_full(sock),
        Some(Seeded::Timewait { timer, state }) => meet_mini(socket, timer, of_timewait(state)),
        Some(Seeded::Request { timer }) => meet_mini(socket, timer, HALF_OPEN.into()),
        None => {}
    }
}

/// The kernel holds the socket's lock meanwhile (`bpf_iter_tcp_seq_show` in `net/ipv4/tcp_ipv4.c`, since 5.15), so that
/// it does not change.
#[inline(always)]
fn meet_full(sock: Sock) {
    let state = sock.state();
    if state == CLOSED {
        return;
    }
    let Some(kept) = sock.storage(&CLOCKS, BPF_SK_STORAGE_GET_F_CREATE.into()) else { return };
    // SAFETY: the helper returned a live value.
    let mark = unsafe { &raw mut (*kept).mark };
    // SAFETY: as above.
    if unsafe { (*mark).state } == 0 {
        enters(sock, mark, state, WALKER);
    }
    // SAFETY: as above.
    let mark = unsafe { *mark };
    if let Some(cell) = cell(mark.cgroup) {
        add(cell, WALKED + place(mark.state));
    }
}

/// Nothing locks a mini-socket: it may end at this moment. Its mark is made first; if its timer is then disarmed, the
/// program on it may have come before the mark, which is taken back.
#[inline(always)]
fn meet_mini(socket: AnyTcp, timer: u64, state: u32) {
    if MARKS.get_ptr(timer).is_none() {
        mini_enters(timer, 0, state, WALKER);
    }
    if !socket.timer_is_armed() {
        mini_leaves(timer, WALKER);
        return;
    }
    let Some(mark) = MARKS.get_ptr(timer) else { return };
    // SAFETY: the lookup returned a live value.
    let mark = unsafe { *mark };
    if let Some(cell) = cell(mark.cgroup) {
        add(cell, WALKED + place(mark.state()));
    }
}
