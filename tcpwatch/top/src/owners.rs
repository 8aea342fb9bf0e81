//! The rows of the view by owner: how many of them, in which states.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{event::TcpState, place::CgroupPlace};

use crate::row::{RowId, SocketRow};

/// An owner: where it runs if that is known, else its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerName {
    /// The filter that asks for it: `unit`, `container`, `comm`; empty if the owner is not known.
    pub filter: &'static str,
    /// What it is called.
    pub name: Arc<str>,
}

/// The sockets of one owner.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    /// All of them.
    pub sockets: u64,
    /// By state, in the order of a connection's life.
    pub states: BTreeMap<u8, (TcpState, u64)>,
}

/// Rows by owner.
#[derive(Clone, Default)]
pub struct RowsByOwner {
    of_row: HashMap<RowId, (OwnerName, TcpState), FxBuildHasher>,
    holdings: HashMap<OwnerName, Holding, FxBuildHasher>,
    ranks: BTreeSet<(Reverse<u64>, OwnerName)>,
}

impl RowsByOwner {
    /// A row is in the view as it is given, or is not.
    pub fn put(&mut self, id: RowId, row: Option<&SocketRow>, place: Option<&CgroupPlace>) {
        let row = row.filter(|row| row.ended.is_none());
        let after = row.map(|row| (name(row, place), row.state));
        let before = self.of_row.get(&id);
        if before == after.as_ref() {
            return;
        }
        if let Some((owner, state)) = self.of_row.remove(&id) {
            self.count(&owner, state, |count| count.saturating_sub(1));
        }
        if let Some((owner, state)) = after {
            self.count(&owner, state, |count| count + 1);
            self.of_row.insert(id, (owner, state));
        }
    }

    fn count(&mut self, owner: &OwnerName, state: TcpState, change: impl Fn(u64) -> u64) {
        let holding = self.holdings.entry(owner.clone()).or_default();
        self.ranks.remove(&(Reverse(holding.sockets), owner.clone()));
        holding.sockets = change(holding.sockets);
        let position = TcpState::ALL.iter().position(|known| *known == state);
        let position = position.and_then(|it| u8::try_from(it).ok()).unwrap_or(u8::MAX);
        let (_, of_state) = holding.states.entry(position).or_insert((state, 0));
        *of_state = change(*of_state);
        if *of_state == 0 {
            holding.states.remove(&position);
        }
        if holding.sockets == 0 {
            self.holdings.remove(owner);
        } else {
            self.ranks.insert((Reverse(holding.sockets), owner.clone()));
        }
    }

    /// Up to `most` owners after the first `skipped`, those with the most sockets first.
    #[must_use]
    pub fn page(&self, skipped: usize, most: usize) -> Vec<(OwnerName, Holding)> {
        let ranks = self.ranks.iter().skip(skipped).take(most);
        ranks
            .filter_map(|(_, owner)| Some((owner.clone(), self.holdings.get(owner)?.clone())))
            .collect()
    }

    /// How many owners there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }
}

/// Where it runs, if that says more than the process; else the process; else that it is not known.
fn name(row: &SocketRow, place: Option<&CgroupPlace>) -> OwnerName {
    let named = |filter, name: &str| OwnerName { filter, name: name.into() };
    if let Some(container) = place.and_then(|place| place.container.as_ref()) {
        return named("container", container.short());
    }
    match (place.and_then(|place| place.unit.as_ref()), row.owner()) {
        (Some(unit), _) if unit.ends_with(".service") => named("unit", unit),
        (_, Some(process)) => named("comm", &process.comm.to_string()),
        (Some(unit), None) => named("unit", unit),
        (None, None) => named("", "-"),
    }
}
