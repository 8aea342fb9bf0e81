//! Counts the lives of mini-sockets from the events of their timers; what an event means is decided in
//! [`tcpwatch_common::mini_clock`]. An event waits here for the next one on the same CPU, which happens in the
//! same softirq or with interrupts off: one about another timer decides as well.

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, generated::bpf_jiffies64},
    programs::BtfTracePointContext,
};
use tcpwatch_common::{
    EarlyEnd, MiniClosing, MiniKind, Reason, TimerEvent,
    books::MiniMark,
    counts::{self, Block, Pending, between, stay, transition},
    mini_clock::{Anew, ClockStep, goes_on, time_wait_began},
    state::{FIN_WAIT_2, LISTEN, SYN_RECV, TIME_WAIT},
};

use super::{
    BlockWords, books, ends,
    full::{key, places},
};
use crate::{
    kernel::{self, MiniCopy, Timer},
    maps::{self, Burial, MINIS, PENDING, StateSince},
};

const BPF_NOEXIST: u64 = 1;
const BPF_EXIST: u64 = 2;

/// The longest time from a cancel to the start that moves the timer: both are made with interrupts
/// off (`__mod_timer`). Later it is another mini-socket at the same address.
const MOVED_WITHIN_NS: u64 = 250_000;
/// The same from the expiry of a half-open connection: its handler sends a SYN+ACK in between.
const SENT_AGAIN_WITHIN_NS: u64 = 5_000_000;

/// An event of a mini-socket's timer. `accepted` says that a half-open connection is no longer needed.
#[inline(always)]
pub(crate) fn event(
    ctx: &BtfTracePointContext,
    (timer, kind, mini): (Timer, MiniKind, MiniCopy<'_>),
    event: TimerEvent,
    accepted: bool,
) {
    if !super::wants_copy(mini.common) {
        return;
    }
    let Some(words) = BlockWords::of(Block::Mini) else { return };
    let Some(pending) = PENDING.get_ptr_mut(0) else { return };
    // SAFETY: the lookup returned a live value of this CPU, and programs on timers never interrupt
    // each other.
    let pending = unsafe { &mut *pending };
    let is_request = kind as u8 == MiniKind::Request as u8;
    let starts = event as u8 == TimerEvent::Start as u8;
    let step = ClockStep::of(kind, event, starts && is_moved(pending, timer, mini));
    match step {
        ClockStep::RunsAnew => {
            let cgroup = MiniMark::from_word(pending.mark).cgroup;
            runs_anew(pending, mini.state(), words);
            if is_request {
                books::request_enters(timer.address(), cgroup);
            } else {
                let state = books::of_timewait(mini.state());
                books::timewait_enters(timer.address(), cgroup, state, Block::Mini);
            }
        }
        ClockStep::Begins => {
            settle(pending, words);
            if is_request {
                words.adder()(transition(LISTEN, SYN_RECV), 1);
                books::request_enters(timer.address(), mini.common.listener().cgroup());
            } else {
                born(timer, mini);
            }
        }
        ClockStep::Waits if event as u8 == TimerEvent::Cancel as u8 => {
            settle(pending, words);
            *pending = seen(timer, is_request, mini);
            leaves(pending, timer, is_request, mini);
            if accepted {
                stay(SYN_RECV, between(pending.since_ns, pending.at_ns), &mut words.adder());
                pending.timer = 0;
            } else {
                pending.end = canceled(ctx, timer, kind, mini, pending.at_ns) as u32;
            }
        }
        ClockStep::Waits | ClockStep::Ends => {
            if pending.timer != timer.address() {
                settle(pending, words);
                *pending = seen(timer, is_request, mini);
                leaves(pending, timer, is_request, mini);
            }
            pending.expired = 1;
            pending.end = expired(kind, mini) as u32;
            if step as u8 == ClockStep::Ends as u8 {
                settle(pending, words);
            }
        }
    }
}

/// It leaves its state, until its timer runs anew.
#[inline(always)]
fn leaves(pending: &mut Pending, timer: Timer, is_request: bool, mini: MiniCopy<'_>) {
    if is_request {
        pending.mark = books::request_leaves(timer.address(), Block::Mini);
        return;
    }
    pending.mark = books::timewait_leaves(timer.address(), Block::Mini);
    if pending.mark == 0 {
        ends_before_note_is_taken(timer, mini);
    }
}

/// It may end before the last change of its full socket, which is not to count it any more.
#[inline(always)]
fn ends_before_note_is_taken(timer: Timer, mini: MiniCopy<'_>) {
    for place in places(key(mini.common.hash(), mini.common.ports().1)) {
        if let Some(burial) = maps::BURIALS.get_ptr_mut(place)
            // SAFETY: the lookup returned a live value.
            && unsafe { (*burial).timer } == timer.address()
        {
            // SAFETY: as above.
            unsafe { (*burial).state |= maps::OVER };
        }
    }
}

/// Why it ends, if its timer is disarmed for good.
#[inline(always)]
fn canceled(
    ctx: &BtfTracePointContext,
    timer: Timer,
    kind: MiniKind,
    mini: MiniCopy<'_>,
    now: u64,
) -> Reason {
    // SAFETY: the helper takes nothing and always succeeds (since 5.5).
    let jiffies = unsafe { bpf_jiffies64() };
    let ended_by = if mini.common.netns_is_gone() {
        Some(EarlyEnd::NetnsGone)
    } else if jiffies < timer.expires() {
        EarlyEnd::from_number(kernel::early_end(ctx))
    } else {
        None
    };
    let reset_sent = ends::has_reset(mini.common.ports(), now);
    let state = mini.state();
    MiniClosing { kind, state, expired: false, ended_by, reset_sent, listens: false }.reason()
}

/// Why it ends, if its timer does not start anew.
#[inline(always)]
fn expired(kind: MiniKind, mini: MiniCopy<'_>) -> Reason {
    let listens = kind as u8 == MiniKind::Request as u8 && mini.listens();
    let state = mini.state();
    MiniClosing { kind, state, expired: true, ended_by: None, reset_sent: false, listens }.reason()
}

/// Nothing explains the last event any more: the mini-socket has ended.
#[inline(always)]
fn settle(pending: &mut Pending, mut words: BlockWords) {
    if pending.timer == 0 {
        return;
    }
    let reason = pending.settle(&mut words.adder());
    books::count(MiniMark::from_word(pending.mark).cgroup, Block::Mini, reason);
    if pending.kept != 0 {
        take_out(pending.timer, &mut words);
    }
    pending.timer = 0;
}

#[inline(always)]
fn ports(mini: MiniCopy<'_>) -> u32 {
    let (local, remote) = mini.common.ports();
    u32::from(local) << 16 | u32::from(remote)
}

/// Does the timer that was seen last run anew? When a half-open connection is handed to another listener of its port
/// (`tcp_migrate_req`, since 5.14), its handler makes a copy of it, with another timer (`reqsk_timer_handler` in
/// `net/ipv4/inet_connection_sock.c`).
#[inline(always)]
fn is_moved(pending: &Pending, timer: Timer, mini: MiniCopy<'_>) -> bool {
    let state = u32::from(mini.state());
    let is_copy =
        pending.expired != 0 && pending.state == SYN_RECV.into() && state == pending.state;
    let is_it = pending.timer == timer.address() || pending.timer != 0 && is_copy;
    if !is_it || pending.ports != ports(mini) {
        return false;
    }
    // SAFETY: the helper takes nothing and always succeeds.
    let passed = unsafe { bpf_ktime_get_ns() }.saturating_sub(pending.at_ns);
    if pending.expired != 0 {
        return goes_on(true, timer.request().has_not_fired()) && passed < SENT_AGAIN_WITHIN_NS;
    }
    passed < MOVED_WITHIN_NS && pending.overtaken == 0
}

/// A full socket comes to where a mini-socket takes over. The timer that starts next on this CPU is not
/// moved, though it may have the address of the last that was canceled here: what was freed last is handed
/// out first, also when the task was on another CPU in between, whose events explained nothing here.
#[inline(always)]
pub(super) fn overtake() {
    if let Some(pending) = PENDING.get_ptr_mut(0) {
        // SAFETY: the lookup returned a live value of this CPU; a program on a timer that interrupts this
        // one sees all of a move, which is made with interrupts off.
        unsafe { (*pending).overtaken = 1 };
    }
}

/// The timer runs anew.
#[inline(always)]
fn runs_anew(pending: &mut Pending, state: u8, mut words: BlockWords) {
    let timer = pending.timer;
    pending.timer = 0;
    match Anew::of(pending.kept as u8, state) {
        Anew::TimeWait => {
            words.add(transition(FIN_WAIT_2, TIME_WAIT), 1);
            stay(FIN_WAIT_2, between(pending.earlier_ns, pending.at_ns), &mut words.adder());
            take_out(timer, &mut words);
        }
        // The timer no longer shows when TIME_WAIT was entered.
        Anew::Restarts if state == TIME_WAIT && pending.kept == 0 => {
            let clock = StateSince { since_ns: pending.since_ns, state: TIME_WAIT.into() };
            keep(timer, clock, &mut words);
        }
        Anew::Restarts | Anew::SentAgain => {}
    }
}

/// Puts a mini-socket into the table, over what a missed end has left there.
#[inline(always)]
pub(super) fn keep(timer: u64, clock: StateSince, words: &mut BlockWords) {
    if MINIS.insert(timer, clock, BPF_NOEXIST).is_ok() {
        words.add(counts::MINIS_KEPT, 1);
    } else if MINIS.insert(timer, clock, BPF_EXIST).is_err() {
        words.add(counts::UNKEPT, 1);
    }
}

#[inline(always)]
fn take_out(timer: u64, words: &mut BlockWords) {
    if MINIS.remove(timer).is_ok() {
        words.add(counts::MINIS_TAKEN, 1);
    }
}

/// A timewait socket takes over from a full socket, whose last change follows.
#[inline(always)]
fn born(timer: Timer, mini: MiniCopy<'_>) {
    let key = key(mini.common.hash(), mini.common.ports().1);
    let [first, second] = places(key);
    let Some(mut burial) = maps::BURIALS.get_ptr_mut(first) else { return };
    // SAFETY: the lookup returned a live value.
    if unsafe { (*burial).key } != 0 {
        // Another socket at this moment, or a note that was not taken.
        let Some(other) = maps::BURIALS.get_ptr_mut(second) else { return };
        burial = other;
    }
    let note = Burial { key, timer: timer.address(), state: mini.state().into() };
    // SAFETY: as above; another CPU that uses the same place at the same moment is recognized by its key.
    unsafe { *burial = note };
}

/// What is known of the mini-socket at this event.
#[inline(always)]
fn seen(timer: Timer, is_request: bool, mini: MiniCopy<'_>) -> Pending {
    // SAFETY: the helper takes nothing and always succeeds.
    let now = unsafe { bpf_ktime_get_ns() };
    let mut pending = Pending {
        timer: timer.address(),
        at_ns: now,
        since_ns: 0,
        earlier_ns: 0,
        state: mini.state().into(),
        end: Reason::Unknown as u32,
        kept: 0,
        overtaken: 0,
        expired: 0,
        ports: ports(mini),
        mark: 0,
    };
    if is_request {
        pending.since_ns = timer.request_sent_ns();
        return pending;
    }
    let (mut kept, mut since) = (0, 0);
    if let Some(clock) = MINIS.get_ptr(timer.address()) {
        // SAFETY: the lookup returned a live entry, and only this timer's events remove it.
        let clock = unsafe { *clock };
        (kept, since) = (clock.state as u32, clock.since_ns);
    }
    pending.kept = kept;
    if pending.state != u32::from(TIME_WAIT) || kept == u32::from(TIME_WAIT) {
        pending.since_ns = since;
        return pending;
    }
    pending.earlier_ns = since;
    // SAFETY: the helper takes nothing and always succeeds (since 5.5).
    let jiffies = unsafe { bpf_jiffies64() };
    let tick = maps::TICK_NS.load();
    let passed = jiffies.saturating_sub(time_wait_began(timer.expires(), tick)) * tick;
    pending.since_ns = now.saturating_sub(passed);
    if pending.since_ns < since {
        pending.since_ns = since;
    }
    pending
}
