//! How many sockets are in each state, and how many enter it in a second.

use tcpwatch_core::event::{KernelTime, TcpState};

const SECOND_NS: u64 = 1_000_000_000;

/// Counts of sockets by state.
#[derive(Clone, Debug, Default)]
pub struct StateCounts {
    now: [u64; 11],
    /// Entries in the second that has not passed yet, and in the one before.
    entering: [u64; 11],
    entered: [u64; 11],
    /// The second that has not passed yet.
    second: u64,
}

fn place(state: TcpState) -> Option<usize> {
    TcpState::ALL.iter().position(|known| *known == state)
}

fn of(counts: &[u64; 11], state: TcpState) -> u64 {
    place(state).and_then(|place| counts.get(place)).copied().unwrap_or(0)
}

fn slot(counts: &mut [u64; 11], state: TcpState) -> Option<&mut u64> {
    place(state).and_then(|place| counts.get_mut(place))
}

impl StateCounts {
    /// A socket is in a state.
    pub fn add(&mut self, state: TcpState) {
        if let Some(count) = slot(&mut self.now, state) {
            *count += 1;
        }
    }

    /// A socket is in a state no more.
    pub fn remove(&mut self, state: TcpState) {
        if let Some(count) = slot(&mut self.now, state) {
            *count = count.saturating_sub(1);
        }
    }

    /// A socket has entered a state.
    pub fn enter(&mut self, state: TcpState) {
        if let Some(count) = slot(&mut self.entering, state) {
            *count += 1;
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: KernelTime) {
        let second = now.0 / SECOND_NS;
        if second > self.second {
            let before = std::mem::take(&mut self.entering);
            self.entered = if second == self.second + 1 { before } else { [0; 11] };
            self.second = second;
        }
    }

    /// Sockets in a state.
    #[must_use]
    pub fn of(&self, state: TcpState) -> u64 {
        of(&self.now, state)
    }

    /// Sockets that entered a state in the last whole second.
    #[must_use]
    pub fn rate(&self, state: TcpState) -> u64 {
        of(&self.entered, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_whole_second_and_a_second_without_entries_ends_it() {
        let mut counts = StateCounts::default();
        counts.tick(KernelTime(5 * SECOND_NS));
        counts.enter(TcpState::Closed);
        counts.enter(TcpState::Closed);
        assert_eq!(counts.rate(TcpState::Closed), 0, "it is not over");
        counts.tick(KernelTime(6 * SECOND_NS));
        assert_eq!(counts.rate(TcpState::Closed), 2);
        counts.tick(KernelTime(8 * SECOND_NS));
        assert_eq!(counts.rate(TcpState::Closed), 0);
    }
}
