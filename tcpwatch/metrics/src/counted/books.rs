//! The number of sockets in each state, and its comparison with lists of sockets.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use tcpwatch_core::event::TcpState;
use tcpwatch_kernel::{
    probe::Counts,
    source::snapshot::{Scope, survey_everywhere},
};

use super::{
    base::Base,
    flows::{Flow, GROUPS},
};

/// By when an event has been counted that waits for the next one on its CPU
/// (`tcpwatch_common::mini_clock::DECIDED_WITHIN_NS`).
const COUNTED_WITHIN: Duration = Duration::from_millis(25);

/// Sockets in each group of [`GROUPS`].
#[derive(Debug, Default)]
struct Listed([i64; GROUPS.len()]);

impl Listed {
    fn add(&mut self, state: TcpState) {
        let counts = GROUPS.iter().zip(&mut self.0);
        let counts = counts.filter(|((_, states), _)| states.contains(&state));
        counts.for_each(|(_, count)| *count += 1);
    }
}

/// The cost and the reach of the last comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    pub(super) at: SystemTime,
    pub(super) took: Duration,
    pub(super) listed: usize,
    pub(super) skipped: usize,
}

/// What is believed, and by how much it was wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Books {
    pub(super) bases: [Base; GROUPS.len()],
    pub(super) drifts: [u64; GROUPS.len()],
    pub(super) last: Option<Comparison>,
}

impl Books {
    pub(super) const EMPTY: Self =
        Self { bases: [Base::UNKNOWN; GROUPS.len()], drifts: [0; GROUPS.len()], last: None };

    /// Takes in a list of all sockets in `scope`. Returns whether it agrees with what was believed.
    fn take_in(&mut self, scope: Scope, counts: &Mutex<Counts>) -> Result<bool> {
        let (at, began) = (SystemTime::now(), Instant::now());
        let states: Vec<_> = GROUPS.iter().flat_map(|(_, states)| *states).copied().collect();
        let before = flows(counts)?;
        let found = survey_everywhere(scope, &states, |tally: &mut Listed, socket| {
            tally.add(socket.state);
        })
        .context("cannot list the sockets to compare the counts with")?;
        let took = began.elapsed();
        thread::sleep(COUNTED_WITHIN);
        let after = flows(counts)?;

        let is_partial = found.skipped + found.hidden_processes > 0;
        let mut agrees = true;
        for (column, base) in self.bases.iter_mut().enumerate() {
            let listed = found.tallies.iter().filter_map(|(_, tally)| tally.0.get(column)).sum();
            let (Some(before), Some(after)) = (before.get(column), after.get(column)) else {
                continue;
            };
            let apart = base.narrow(listed, (*before, *after), is_partial);
            agrees &= apart == 0;
            if let Some(drift) = self.drifts.get_mut(column) {
                *drift += apart;
            }
        }
        let (listed, skipped) = (found.tallies.len(), found.skipped);
        self.last = Some(Comparison { at, took, listed, skipped });
        Ok(agrees)
    }
}

/// A difference that one list shows may be a namespace on its way out, which no list has although its sockets still
/// exist (`cleanup_net` in `net/core/net_namespace.c`). It is believed if another list has it this much later.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Compares what `books` believe with a list of the sockets in `scope`, and corrects it. Takes as long as two lists and
/// [`AGAIN_AFTER`] if they differ; readers of `books` do not wait.
pub(super) fn compare(books: &Mutex<Books>, scope: Scope, counts: &Mutex<Counts>) -> Result<()> {
    let believed = *books.lock().unwrap_or_else(PoisonError::into_inner);
    let mut now = believed;
    if !now.take_in(scope, counts)? {
        thread::sleep(AGAIN_AFTER);
        now = believed;
        now.take_in(scope, counts)?;
    }
    *books.lock().unwrap_or_else(PoisonError::into_inner) = now;
    Ok(())
}

pub(super) fn flows(counts: &Mutex<Counts>) -> Result<[Flow; GROUPS.len()]> {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let words = counts.read().context("cannot read the kernel side's counts")?;
    Ok(Flow::all(words))
}

/// The books and the counts that they are made of, which a thread beside the scrapes shares.
pub(super) type Shared = (Arc<Mutex<Books>>, Arc<Mutex<Counts>>);
