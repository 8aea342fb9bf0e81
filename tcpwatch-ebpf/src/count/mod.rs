//! Counts what happens, per CPU, for Prometheus: exact at any rate, and nothing leaves the kernel
//! until the maps are read. The words of a block are in [`tcpwatch_common::counts`].
//!
//! A hook that counts does so before the filters of the log. Without `COUNT` the verifier removes
//! all of it.

pub(crate) mod books;
pub(crate) mod ends;
pub(crate) mod full;
pub(crate) mod mini;

use tcpwatch_common::counts::{self, Block, RetransmitKind};

use crate::{
    kernel::{Common, Sock},
    maps,
};

/// Is anything counted?
#[inline(always)]
pub(crate) fn is_on() -> bool {
    maps::COUNT.load() != 0
}

/// Is this socket's network namespace counted?
#[inline(always)]
pub(crate) fn wants(sock: Sock) -> bool {
    let wanted = maps::COUNT_NETNS.load();
    wanted == 0 || sock.as_tcp().is_some_and(|tcp| tcp.netns() == wanted)
}

/// Is this network namespace counted?
#[inline(always)]
pub(crate) fn wants_netns(inode: u32) -> bool {
    let wanted = maps::COUNT_NETNS.load();
    wanted == 0 || inode == wanted
}

/// The same for a copy.
#[inline(always)]
pub(crate) fn wants_copy(common: Common<'_>) -> bool {
    let wanted = maps::COUNT_NETNS.load();
    wanted == 0 || common.netns() == Some(wanted)
}

/// A segment was sent again by a socket, or for a listener.
#[inline(always)]
pub(crate) fn again(sock: Sock, what: RetransmitKind) {
    books::count(books::cgroup_of(sock), Block::Walk, counts::AGAIN + (what as usize & 3));
}

/// This CPU's words of a block.
#[derive(Clone, Copy)]
struct BlockWords(*mut u64);

impl BlockWords {
    #[inline(always)]
    fn of(block: Block) -> Option<Self> {
        maps::COUNTS.get_ptr_mut(block as u32).map(|words| Self(words.cast()))
    }

    #[inline(always)]
    fn add(&mut self, word: usize, number: u64) {
        // SAFETY: words are made from constants and masked numbers and lie inside the block, which
        // the verifier checks.
        let word = unsafe { self.0.add(word) };
        // SAFETY: a live word of this CPU, which only programs of one kind write; they never
        // interrupt each other.
        unsafe { *word += number };
    }

    #[inline(always)]
    fn adder(mut self) -> impl FnMut(usize, u64) {
        move |word, number| self.add(word, number)
    }
}
