//! Accounts for every record: what the kernel side attempted is what arrived and what was lost.

use std::time::Duration;

use crate::{
    event::KernelTime,
    loss::{Cause, LossTotals},
    sink::{Loss, Summary},
    track::Tally,
};

/// Shortest time between two looks at the counters while records keep coming.
const PERIOD: Duration = Duration::from_millis(250);

/// The account of a run.
#[derive(Debug)]
pub struct Account {
    started: KernelTime,
    /// Records that arrived and were understood.
    pub received: u64,
    /// Records that arrived and could not be decoded.
    pub undecodable: u64,
    /// Records that arrived and were passed over, because there were more than the output could take.
    pub unseen: u64,
    totals: LossTotals,
    looked: KernelTime,
    looked_at: u64,
    suspicion: bool,
    /// Changes inferred and ends doubted so far.
    suspects: u64,
}

impl Account {
    /// The account of a run that begins now, with nothing on it.
    #[must_use]
    pub fn new(started: KernelTime) -> Self {
        Self {
            started,
            received: 0,
            undecodable: 0,
            unseen: 0,
            totals: LossTotals::default(),
            looked: started,
            looked_at: 0,
            suspicion: false,
            suspects: 0,
        }
    }

    /// Is it worth looking at the counters? `quiet` says that no records are on their way.
    #[must_use]
    pub fn is_due(&self, now: KernelTime, quiet: bool) -> bool {
        let arrived = self.arrived();
        let tracked = arrived != self.looked_at || self.suspicion;
        tracked && (quiet || now.since(self.looked) >= PERIOD)
    }

    const fn arrived(&self) -> u64 {
        self.received + self.undecodable + self.unseen
    }

    /// Takes in the counters; returns what was lost since the last time.
    pub fn settle(&mut self, kernel: LossTotals, tally: Tally, now: KernelTime) -> Vec<Loss> {
        self.looked = now;
        self.looked_at = self.arrived();
        let mut totals = kernel;
        for (cause, count) in [
            (Cause::OutputSlow, self.unseen),
            (Cause::Undecodable, self.undecodable),
            (Cause::TableFull, tally.table_full),
        ] {
            if count > 0 {
                totals.lost.insert(cause, count);
            }
        }
        let losses: Vec<Loss> = totals
            .lost
            .iter()
            .filter_map(|(cause, total)| {
                let count = total - self.totals.lost.get(cause).copied().unwrap_or(0).min(*total);
                (count > 0).then_some(Loss { at: now, cause: *cause, count })
            })
            .collect();
        // Where one change was missed, others may have been, and no later one shows a missed end.
        let suspects = tally.inferred + tally.doubtful;
        self.suspicion |= !losses.is_empty() || suspects > self.suspects;
        self.suspects = suspects;
        self.totals = totals;
        losses
    }

    /// Something was lost since this was last asked: sockets may have ended without a word.
    pub fn take_suspicion(&mut self) -> bool {
        std::mem::take(&mut self.suspicion)
    }

    /// The account at the end, as far as it is kept here.
    #[must_use]
    pub fn summary(&self, now: KernelTime, tally: Tally) -> Summary {
        Summary {
            at: now,
            ran: now.since(self.started),
            changes: 0,
            inferred: 0,
            attempted: self.totals.attempted,
            received: self.received,
            lost: self.totals.lost.clone(),
            connections: tally.connections,
            out_of_order: 0,
            open: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(ring_full: u64) -> LossTotals {
        LossTotals { attempted: 100, lost: [(Cause::RingFull, ring_full)].into() }
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut account = Account::new(KernelTime(0));
        let counts = |losses: Vec<Loss>| losses.iter().map(|loss| loss.count).collect::<Vec<_>>();
        assert_eq!(counts(account.settle(totals(3), Tally::default(), KernelTime(1))), [3]);
        assert!(counts(account.settle(totals(3), Tally::default(), KernelTime(2))).is_empty());
        assert_eq!(counts(account.settle(totals(5), Tally::default(), KernelTime(3))), [2]);
    }

    #[test]
    fn counters_are_looked_at_when_records_pause_and_not_while_nothing_happens() {
        let mut account = Account::new(KernelTime(0));
        assert!(!account.is_due(KernelTime(1), true), "nothing happened");
        account.received = 1;
        assert!(account.is_due(KernelTime(1), true), "records have paused");
        assert!(!account.is_due(KernelTime(1), false), "records keep coming");
        assert!(account.is_due(KernelTime(250_000_000), false), "for a quarter of a second");
    }
}
