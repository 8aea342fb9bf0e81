//! Which side a connection waits for, and which peer has kept the server waiting for longest.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The server makes a response.
const OURS: u64 = u64::MAX;
/// Set while the peer takes a response; orders it after all that have sent no request.
const TAKES: u64 = 1 << 63;

/// Numbers the waits of all connections in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: AtomicU64,
    /// Notified when a connection begins to wait for its peer again.
    pub(super) theirs: Notify,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Turn(AtomicU64);

impl Turn {
    /// A new connection, which waits for a request.
    pub(super) fn new(turns: &Turns) -> Self {
        Self(AtomicU64::new(turns.next()))
    }

    /// The request has arrived.
    pub(super) fn begin_answer(&self) {
        self.0.store(OURS, Ordering::Relaxed);
    }

    /// The response is made, or the peer took some more of it.
    pub(super) fn hand_over(&self, turns: &Turns) {
        self.0.store(TAKES | turns.next(), Ordering::Relaxed);
        turns.theirs.notify_one();
    }

    /// The response is written, if there was one.
    pub(super) fn written(&self) {
        let taken = self.0.load(Ordering::Relaxed);
        if taken != OURS {
            self.0.store(taken & !TAKES, Ordering::Relaxed);
        }
    }

    /// Whether it waits for a request.
    pub(super) fn asks(&self) -> bool {
        self.0.load(Ordering::Relaxed) & TAKES == 0
    }

    /// The connection with the lowest rank is closed first; `None` while the server makes a response.
    pub(super) fn rank(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|rank| *rank != OURS)
    }
}

impl Turns {
    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_asked_makes_room_before_who_takes_an_answer_and_the_oldest_first() {
        let turns = Turns::default();
        let [taking, asked, old, new] = [(); 4].map(|()| Turn::new(&turns));
        taking.begin_answer();
        taking.hand_over(&turns);
        asked.begin_answer();
        assert_eq!(asked.rank(), None);
        assert!(old.rank() < new.rank());
        assert!(new.rank() < taking.rank());
    }

    #[test]
    fn who_took_an_answer_is_the_youngest_of_those_that_may_ask() {
        let turns = Turns::default();
        let [first, second] = [(); 2].map(|()| Turn::new(&turns));
        first.begin_answer();
        // hyper flushes while the response is being made, too.
        first.written();
        assert_eq!(first.rank(), None);
        first.hand_over(&turns);
        assert!(!first.asks());
        first.written();
        assert!(first.asks());
        assert!(second.rank() < first.rank());
    }
}
