//! Keeps the books, see [`tcpwatch_common::books`]: one more in the state that is entered, one less in the state that is
//! left, in the cell of the socket's cgroup. What is left is what was marked when it was entered, so that a socket that
//! was never counted is not taken away: one from before the start, or one whose begin was missed.
//!
//! A full socket has its mark in its storage, a mini-socket in a table. The functions that are not inlined have stacks of
//! 32 bytes at most: programs on timers have no more to give.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE},
    btf_maps::{Array, HashMap, PerCpuHashMap},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use tcpwatch_common::{
    KeptSocket,
    books::{
        CELL_WORDS, CgroupCell, ENTERED, FOUND, HALF_OPEN, LEFT, MAX_CELLS, MAX_MARKS,
        MAX_REQUEST_MARKS, MiniMark, ORPHAN_FIN_WAIT_2, cell_key, counted, place,
    },
    counts::Block,
    state::{CLOSE_WAIT, CLOSED, FIN_WAIT_2, TIME_WAIT},
};

use crate::{
    kernel::{AnyTcp, Seeded, Sock, TcpSock},
    maps::{CLOCKS, SocketNotes, StateSince},
};

const BPF_NOEXIST: u64 = 1;
/// Memory is taken when something is put in.
const GROWS: usize = BPF_F_NO_PREALLOC as usize;

/// What is counted, by [`cell_key`]. User space makes those of cgroup 0.
#[btf_map]
static CELLS: PerCpuHashMap<u64, CgroupCell, { MAX_CELLS as usize }, GROWS> = PerCpuHashMap::new();

/// What a cell is when it is made; a program's stack has no room for it.
#[btf_map]
static EMPTY_CELL: Array<CgroupCell, 1> = Array::new();

/// Timewait sockets that are counted, by the address of the timer. Entries are there beforehand: memory for each one
/// would take three times as long as all the rest that is counted of a connection's end.
#[btf_map]
static MARKS: HashMap<u64, MiniMark, { MAX_MARKS as usize }> = HashMap::new();

/// The same for half-open connections, so that many timewait sockets do not keep them from being counted.
#[btf_map]
static REQUEST_MARKS: HashMap<u64, MiniMark, { MAX_REQUEST_MARKS as usize }> = HashMap::new();

/// The mark of a full socket, beside the time of its state.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct FullMark {
    /// State that it is counted in: kernel number; 0 for none.
    pub(crate) state: u32,
    /// The cell that it is counted in.
    pub(crate) cgroup: u32,
}

/// Something that is counted besides a change of state: a word of [`tcpwatch_common::counts`], and how much.
pub(super) type Besides = (usize, u32);

/// The cells that a walk through the sockets writes.
const WALKER: Block = Block::Walk;

/// Nothing.
pub(super) const NOTHING: Besides = (0, 0);

/// The cgroup that sockets of this one are counted as from now on: 0 if there is no room for it.
#[inline(never)]
fn admitted(cgroup: u32) -> u32 {
    let key = cell_key(cgroup, Block::Full);
    if CELLS.get_ptr(key).is_some() {
        return cgroup;
    }
    make(key);
    if CELLS.get_ptr(key).is_some() { cgroup } else { 0 }
}

#[inline(always)]
fn make(key: u64) {
    let Some(empty) = EMPTY_CELL.get_ptr(0) else { return };
    // SAFETY: the lookup returned a live value, which nothing writes.
    let empty = unsafe { &*empty };
    // Another CPU may be faster.
    let _made = CELLS.insert(key, empty, BPF_NOEXIST);
}

/// The cell of a cgroup for other programs than those on changes of state, made where that is admitted.
#[inline(always)]
fn later_cell(key: u64) -> u64 {
    if CELLS.get_ptr(key & !0xff).is_none() {
        return key & 0xff;
    }
    make(key);
    if CELLS.get_ptr(key).is_some() { key } else { key & 0xff }
}

/// Adds to up to three words of a cell: one to that of a state that is left and to that of one that is entered, where
/// they are not 0, and `number` to another word.
#[inline(never)]
fn add(cgroup: u32, writer: u32, states: u32, word: u32, number: u32) {
    let key = u64::from(cgroup) << 8 | u64::from(writer);
    let cell = CELLS.get_ptr_mut(key).or_else(|| CELLS.get_ptr_mut(later_cell(key)));
    let Some(cell) = cell.map(<*mut CgroupCell>::cast::<u64>) else { return };
    let states = opaque(states);
    let (from, to) = (place(states), place(states >> 8));
    if from != 0 {
        add_to(cell, LEFT + from, 1);
    }
    if to != 0 {
        add_to(cell, ENTERED + to, 1);
    }
    let word = opaque(word) as usize;
    if word != 0 && word < CELL_WORDS {
        add_to(cell, word, number.into());
    }
}

#[inline(always)]
fn add_to(cell: *mut u64, word: usize, number: u64) {
    // SAFETY: the word lies inside the cell, which the verifier checks.
    let word = unsafe { cell.add(word) };
    // SAFETY: a live word of this CPU, which only programs of one kind write; they never interrupt each other.
    unsafe { *word += number };
}

/// The same number, of which the compiler knows nothing: otherwise it leaves out the mask that the verifier needs. Up to
/// 6.1 that knows nothing either of a number of 32 bits that was on the stack.
#[inline(always)]
fn opaque(number: u32) -> u32 {
    // SAFETY: a live local value.
    unsafe { (&raw const number).read_volatile() }
}

/// A socket that is counted in a cell goes from one state to another; 0 is none.
#[inline(always)]
fn shift(cgroup: u32, writer: Block, (from, to): (u32, u32), (word, number): Besides) {
    let word = if number == 0 { 0 } else { counted(word) as u32 };
    add(cgroup, writer as u32, from | to << 8, word, number);
}

/// Counts one of something for a cgroup: a word of [`tcpwatch_common::counts`].
#[inline(always)]
pub(super) fn count(cgroup: u32, writer: Block, word: usize) {
    add(cgroup, writer as u32, 0, counted(word) as u32, 1);
}

/// A full socket enters a state. `mark` lies in its storage. Returns its cell.
#[inline(always)]
pub(super) fn enters(
    sock: Sock,
    mark: *mut FullMark,
    state: u8,
    besides: Besides,
    writer: Block,
) -> u32 {
    // SAFETY: the caller got it from the socket's storage, and changes of a socket are made one after the other.
    let before = unsafe { *mark };
    let to = if state == CLOSED { 0 } else { u32::from(state) };
    let cgroup = if before.state == 0 { admitted(cgroup_of(sock)) } else { before.cgroup };
    // SAFETY: as above.
    unsafe { *mark = FullMark { state: to, cgroup } };
    shift(cgroup, writer, (before.state, to), besides);
    cgroup
}

/// Something is counted of a full socket that has no mark and gets none. Returns its cell.
#[inline(always)]
pub(super) fn passes(sock: Sock, besides: Besides, writer: Block) -> u32 {
    let cgroup = cgroup_of(sock);
    shift(cgroup, writer, (0, 0), besides);
    cgroup
}

/// Number of a full socket's cgroup; 0 if it is not known.
#[inline(always)]
pub(super) fn cgroup_of(sock: Sock) -> u32 {
    sock.as_tcp().map_or(0, TcpSock::cgroup)
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

/// Marks a mini-socket, over what a missed end has left, or a walk has found before. `false` if there is no room.
#[inline(always)]
fn mark<const ROOM: usize>(
    marks: &HashMap<u64, MiniMark, ROOM>,
    timer: u64,
    mark: MiniMark,
    writer: Block,
) -> bool {
    if marks.insert(timer, mark, BPF_NOEXIST).is_ok() {
        return true;
    }
    let Some(before) = marks.get_ptr_mut(timer) else { return false };
    // SAFETY: the lookup returned a live value, and a mini-socket's events happen one after the other.
    let old = unsafe { *before };
    // SAFETY: as above.
    unsafe { *before = mark };
    shift(old.cgroup, writer, (old.state(), 0), NOTHING);
    true
}

/// A timewait socket enters a state, and is counted in this cell.
#[inline(never)]
pub(super) fn timewait_enters(timer: u64, cgroup: u32, state: u32, writer: Block) {
    if mark(&MARKS, timer, MiniMark::new(cgroup, state, now()), writer) {
        shift(cgroup, writer, (0, state), NOTHING);
    }
}

/// A half-open connection begins, and is counted in the cell of this cgroup.
#[inline(never)]
pub(super) fn request_enters(timer: u64, cgroup: u32) {
    let cgroup = admitted(cgroup);
    let state = HALF_OPEN.into();
    if mark(&REQUEST_MARKS, timer, MiniMark::new(cgroup, state, now()), Block::Mini) {
        shift(cgroup, Block::Mini, (0, state), NOTHING);
    }
}

/// A timewait socket leaves its state. Returns its mark, as one word; 0 if it was not counted.
#[inline(never)]
pub(super) fn timewait_leaves(timer: u64, writer: Block) -> u64 {
    leaves(&MARKS, timer, writer)
}

/// The same for a half-open connection.
#[inline(never)]
pub(super) fn request_leaves(timer: u64, writer: Block) -> u64 {
    leaves(&REQUEST_MARKS, timer, writer)
}

#[inline(always)]
fn leaves<const ROOM: usize>(
    marks: &HashMap<u64, MiniMark, ROOM>,
    timer: u64,
    writer: Block,
) -> u64 {
    let Some(mark) = marks.get_ptr(timer) else { return 0 };
    // SAFETY: the lookup returned a live value.
    let taken = unsafe { mark.cast::<u64>().read() };
    if marks.remove(timer).is_err() {
        return 0;
    }
    let mark = MiniMark::from_word(taken);
    shift(mark.cgroup, writer, (mark.state(), 0), NOTHING);
    taken
}

/// A walk has come to a socket: it is counted if it was not.
#[inline(always)]
pub(crate) fn meet(socket: AnyTcp) {
    match socket.seeded() {
        Some(Seeded::Full(sock)) => meet_full(sock),
        Some(Seeded::Timewait { timer, state })
            if meet_mini(&MARKS, timer, of_timewait(state)) && !socket.timer_is_armed() =>
        {
            timewait_leaves(timer, WALKER);
        }
        Some(Seeded::Request { timer })
            if meet_mini(&REQUEST_MARKS, timer, HALF_OPEN.into()) && !socket.timer_is_armed() =>
        {
            request_leaves(timer, WALKER);
        }
        _ => {}
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
    let kept = unsafe { &mut *kept };
    if kept.mark.state != 0 {
        return;
    }
    let cgroup = admitted(cgroup_of(sock));
    kept.mark = FullMark { state: state.into(), cgroup };
    kept.clock = at_the_latest(sock, state);
    found(cgroup, state.into());
}

/// When it entered its state, at the latest. CLOSE_WAIT and FIN_WAIT_2 are entered by a segment with an acknowledgment.
#[inline(always)]
fn at_the_latest(sock: Sock, state: u8) -> StateSince {
    let by_segment = state == CLOSE_WAIT || state == FIN_WAIT_2;
    let passed = if by_segment { sock.as_tcp().map_or(0, TcpSock::acknowledged_ago) } else { 0 };
    StateSince::at_the_latest(now().saturating_sub(passed), state)
}

#[inline(always)]
fn found(cgroup: u32, state: u32) {
    add(cgroup, WALKER as u32, 0, (FOUND + place(opaque(state))) as u32, 1);
}

/// Nothing locks a mini-socket: it may end at this moment. Its mark is made first; if its timer is then disarmed, the
/// program on it may have come before the mark, which is to be taken back. Returns whether it has a mark since now.
#[inline(always)]
fn meet_mini<const ROOM: usize>(
    marks: &HashMap<u64, MiniMark, ROOM>,
    timer: u64,
    state: u32,
) -> bool {
    let is_new = marks.get_ptr(timer).is_none()
        && mark(marks, timer, MiniMark::new(0, state, now()), WALKER);
    if is_new {
        found(0, state);
    }
    is_new
}

/// What is kept about a socket.
#[inline(always)]
pub(crate) fn notes(sock: Sock) -> Option<SocketNotes> {
    // SAFETY: the helper returned a live value; each word of the copy is whole.
    sock.storage(&CLOCKS, 0).map(|notes| unsafe { *notes })
}

/// How a full socket is listed, if it is counted.
#[inline(always)]
pub(crate) fn listed(sock: Sock, notes: SocketNotes) -> Option<KeptSocket> {
    let SocketNotes { clock: StateSince { since_ns, .. }, mark: FullMark { state, cgroup } } =
        notes;
    (state != 0).then(|| KeptSocket { cookie: sock.cookie(), since_ns, cgroup, state })
}
