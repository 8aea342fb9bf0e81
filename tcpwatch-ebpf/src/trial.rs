//! The trial that tcpwatch makes at its start, see [`tcpwatch_common::trial`]: a hook that meets a socket
//! of the trial leaves a mark and does nothing else with it.

use tcpwatch_common::{counter::Hook, trial};

use crate::{kernel::Sock, maps::TRIAL};

/// Is this a full socket of the trial? Then `hook` is marked.
#[inline(always)]
pub(crate) fn has(sock: Sock, hook: Hook) -> bool {
    let netns = netns();
    netns != 0 && sock.as_tcp().is_some_and(|tcp| tcp.netns() == netns) && mark(trial::hook(hook))
}

/// Is this the trial's network namespace? Then `hook` is marked.
#[inline(always)]
pub(crate) fn is_in(inode: Option<u32>, hook: Hook) -> bool {
    let netns = netns();
    netns != 0 && inode == Some(netns) && mark(trial::hook(hook))
}

/// Marks the state in which a mini-socket of the trial begins.
#[inline(always)]
pub(crate) fn begins(state: u8) {
    mark(trial::state(state));
}

/// Inode of the trial's network namespace; 0 while there is none.
#[inline(always)]
fn netns() -> u32 {
    let Some(word) = TRIAL.get_ptr(trial::NETNS) else { return 0 };
    // SAFETY: the lookup returned a live word, which user space writes.
    unsafe { word.read_volatile() }
}

#[inline(always)]
fn mark(word: u32) -> bool {
    if let Some(word) = TRIAL.get_ptr_mut(word) {
        // SAFETY: the lookup returned a live word, to which nothing but 1 is written here.
        unsafe { word.write_volatile(1) };
    }
    true
}
