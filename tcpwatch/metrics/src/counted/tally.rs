//! What is counted by cgroup, added up by label. A series never gets smaller: what a cgroup counts from now on belongs to
//! the label that it has now, and what it has counted stays where it was.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result};
use tcpwatch_common::{
    books::{COUNTED, CgroupCell, PLACES},
    counts::{ACCEPTS, BLOCK_WORDS, CONNECTS, WORDS},
};
use tcpwatch_kernel::probe::{
    Counts,
    books::{CgroupCells, sockets},
    counts::Counted,
};

use super::labels::CgroupLabels;

/// Words that are counted by cgroup.
const OWN_WORDS: usize = WORDS - BLOCK_WORDS;

/// One cgroup's, or one label's.
type OwnCounts = [u64; OWN_WORDS];

/// The label that takes the counts of cgroups that had series of their own and exist no longer.
const GONE: &str = "gone";

/// What is counted, by label.
pub(super) struct LabelTally {
    counts: Counts,
    labels: CgroupLabels,
    /// What each cgroup had counted when it was read last.
    seen: HashMap<u32, Box<OwnCounts>>,
    series: BTreeMap<Arc<str>, Box<OwnCounts>>,
}

impl LabelTally {
    pub(super) fn new(counts: Counts, labels: CgroupLabels) -> Self {
        Self { counts, labels, seen: HashMap::new(), series: BTreeMap::new() }
    }

    /// Reads everything that is counted.
    pub(super) fn update(&mut self, now: Instant) -> Result<()> {
        let counted = self.counts.read().context("cannot read what the kernel side has counted")?;
        let mut grown = Vec::with_capacity(counted.cells.len());
        for (cgroup, cell) in &counted.cells {
            let seen = self.seen.entry(*cgroup).or_insert_with(|| Box::new([0; OWN_WORDS]));
            let of_cell = cell.get(COUNTED..).unwrap_or_default();
            let mut more = Box::new([0; OWN_WORDS]);
            for ((more, now), seen) in more.iter_mut().zip(of_cell).zip(seen.iter_mut()) {
                *more = now.saturating_sub(std::mem::replace(seen, *now));
            }
            grown.push((*cgroup, present(cell), more));
        }
        let busy = grown.iter().map(|(cgroup, sockets, more)| (*cgroup, sockets + opened(more)));
        self.labels.settle(&busy.collect(), now);
        for (cgroup, _, more) in grown {
            add(&mut self.series, self.labels.label(cgroup), &more);
        }
        self.retire();
        Ok(())
    }

    /// Series of cgroups that have gone end.
    fn retire(&mut self) {
        let mut gone = Vec::new();
        self.series.retain(|label, counts| {
            let stays = &**label == GONE || self.labels.all().any(|known| known == label);
            if !stays {
                gone.push(std::mem::replace(counts, Box::new([0; OWN_WORDS])));
            }
            stays
        });
        for counts in gone {
            add(&mut self.series, &GONE.into(), &counts);
        }
    }

    /// What was read last.
    pub(super) const fn counted(&self) -> &Counted {
        self.counts.last()
    }

    /// The cells as they are now.
    pub(super) fn cells(&mut self) -> Result<CgroupCells> {
        let counted = self.counts.read().context("cannot read the kernel side's books")?;
        Ok(counted.cells.clone())
    }

    /// Mini-sockets that the kernel side's table of times has room for.
    pub(super) const fn room(&self) -> u32 {
        self.counts.room
    }

    pub(super) const fn labels(&self) -> &CgroupLabels {
        &self.labels
    }

    /// Labels, each with what it has counted: a word of [`tcpwatch_common::counts`].
    pub(super) fn series(&self) -> impl Iterator<Item = (&str, impl Fn(usize) -> u64)> {
        self.series.iter().map(|(label, counts)| {
            let word = |word: usize| {
                let place = word.checked_sub(BLOCK_WORDS);
                place.and_then(|place| counts.get(place)).copied().unwrap_or_default()
            };
            (&**label, word)
        })
    }

    /// Makes room for other cgroups: those that exist no longer and have no sockets, as `is_empty` says, are forgotten.
    pub(super) fn forget_gone(
        &mut self,
        is_empty: impl Fn(u32, &CgroupCell) -> bool,
        now: Instant,
    ) -> Result<Vec<u32>> {
        self.labels.look(now);
        self.update(now)?;
        let cells = self.counts.last().cells.iter();
        let gone = cells.filter(|(id, cell)| self.labels.is_gone(**id) && is_empty(**id, cell));
        let gone: Vec<u32> = gone.map(|(id, _)| *id).collect();
        for id in &gone {
            self.counts.remove(*id).context("cannot make room for further cgroups")?;
            self.seen.remove(id);
        }
        Ok(gone)
    }
}

fn add(series: &mut BTreeMap<Arc<str>, Box<OwnCounts>>, label: &Arc<str>, more: &OwnCounts) {
    let sums = series.entry(Arc::clone(label)).or_insert_with(|| Box::new([0; OWN_WORDS]));
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// All sockets of a cell.
fn present(cell: &CgroupCell) -> i64 {
    (1..PLACES).map(|place| sockets(cell, place)).sum()
}

/// Connections that were made and that came in.
fn opened(counts: &OwnCounts) -> i64 {
    let word = |word: usize| counts.get(word - BLOCK_WORDS).copied().unwrap_or_default();
    i64::try_from(word(CONNECTS) + word(ACCEPTS)).unwrap_or(i64::MAX)
}
