//! Which sockets are in the view, and in which order. A page is read from the place where it begins; what a
//! frame costs does not depend on how many sockets there are.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::event::{KernelTime, TcpState};

use crate::{
    filter::Filter,
    findings::FindingSockets,
    owners::RowsByOwner,
    row::{RowId, SocketRow},
    sockets::Sockets,
};

/// By what the table is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// By the time in the state, the longest first.
    #[default]
    Age,
    /// By the next deadline.
    Until,
    /// By retransmissions in a row, the most first.
    Tries,
    /// By state, in the order of a connection's life.
    State,
    /// By the local port.
    Port,
    /// By the peer's address.
    Peer,
    /// By the owner's name.
    Owner,
}

impl SortBy {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Age => Self::Until,
            Self::Until => Self::Tries,
            Self::Tries => Self::State,
            Self::State => Self::Port,
            Self::Port => Self::Peer,
            Self::Peer => Self::Owner,
            Self::Owner => Self::Age,
        }
    }

    /// The title of its column.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Age => "AGE",
            Self::Until => "UNTIL",
            Self::Tries => "TRY",
            Self::State => "STATE",
            Self::Port => "LOCAL",
            Self::Peer => "REMOTE",
            Self::Owner => "OWNER",
        }
    }

    fn key(self, row: &SocketRow) -> (u128, u32) {
        let ends = row.subject.ends;
        match self {
            Self::Age => (row.age.since.0.into(), 0),
            Self::Until => (row.until.map_or(u128::MAX, |until| until.at.0.into()), 0),
            Self::Tries => (u128::from(u32::MAX - row.tries), 0),
            Self::State => {
                let place = TcpState::ALL.iter().position(|state| *state == row.state);
                let since = u128::from(row.age.since.0);
                (since, place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX))
            }
            Self::Port => (ends.local.port.into(), ends.remote.port.into()),
            Self::Peer => {
                let bits = match ends.remote.address {
                    std::net::IpAddr::V4(address) => address.to_bits().into(),
                    std::net::IpAddr::V6(address) => address.to_bits(),
                };
                (bits, ends.remote.port.into())
            }
            Self::Owner => row.owner().map_or((u128::MAX, 0), |owner| {
                let mut name = [0; 16];
                for (to, from) in name.iter_mut().zip(owner.comm.as_bytes()) {
                    *to = *from;
                }
                (u128::from_be_bytes(name), owner.pid.unwrap_or(u32::MAX))
            }),
        }
    }
}

/// The place of a row in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// What is gone stands last.
    ended: bool,
    key: (u128, u128),
    /// The row.
    pub id: RowId,
}

impl Rank {
    fn of(by: SortBy, row: &SocketRow, id: RowId) -> Self {
        let (key, more) = by.key(row);
        // The state decides before the age in it.
        let key = if by == SortBy::State { (more.into(), key) } else { (key, more.into()) };
        Self { ended: row.ended.is_some(), key, id }
    }
}

/// The rows of the view in their order.
#[derive(Default)]
pub struct RowOrder {
    by: SortBy,
    /// The last first.
    pub reversed: bool,
    filter: Filter,
    /// Only sockets that one of these is about.
    only: Option<Vec<FindingSockets>>,
    ranks: BTreeSet<Rank>,
    known: HashMap<RowId, IndexedRow, FxBuildHasher>,
    /// When to judge rows again.
    again: BTreeSet<(KernelTime, RowId)>,
    /// Rows that are still to be judged by a new filter, or to be put into a new order.
    pending: Vec<RowId>,
    /// The same rows by owner.
    pub owners: RowsByOwner,
    /// Of the rows, those that are gone.
    ended: usize,
    /// Steps from one row to the next that were made to read pages: what a frame costs.
    steps: u64,
}

/// What is in the indexes about a row.
#[derive(Clone, Copy, Default)]
struct IndexedRow {
    rank: Option<Rank>,
    again_at: Option<KernelTime>,
}

impl RowOrder {
    /// By what it is sorted.
    #[must_use]
    pub const fn by(&self) -> SortBy {
        self.by
    }

    /// Sorts by something else.
    pub fn sort(&mut self, by: SortBy, sockets: &Sockets) {
        self.by = by;
        self.begin(sockets);
    }

    /// Takes another filter.
    pub fn filter(&mut self, filter: Filter, sockets: &Sockets) {
        self.filter = filter;
        self.begin(sockets);
    }

    /// Only sockets that one of these is about are in the view; with `None` all.
    pub fn only(&mut self, about: Option<Vec<FindingSockets>>, sockets: &Sockets) {
        if self.only != about {
            self.only = about;
            self.begin(sockets);
        }
    }

    /// There is a filter.
    #[must_use]
    pub const fn is_filtered(&self) -> bool {
        !self.filter.is_empty() || self.only.is_some()
    }

    /// Begins anew with all rows there are.
    pub fn begin(&mut self, sockets: &Sockets) {
        self.ranks.clear();
        self.known.clear();
        self.again.clear();
        self.ended = 0;
        self.owners = RowsByOwner::default();
        self.pending = sockets.ids();
    }

    /// Judges up to `most` of the rows that are to be judged; returns whether that is done.
    pub fn go_on(&mut self, sockets: &mut Sockets, most: usize) -> bool {
        for _ in 0..most {
            let Some(id) = self.pending.pop() else { return true };
            self.update(sockets, id);
        }
        self.pending.is_empty()
    }

    /// All rows are judged.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }

    /// Something happened to a row, or it is gone.
    pub fn update(&mut self, sockets: &mut Sockets, id: RowId) {
        let place = sockets.get(id).map(|row| row.subject).and_then(|it| sockets.place(&it));
        let now = sockets.now;
        let row = sockets.get(id);
        let before = self.known.remove(&id).unwrap_or_default();
        let after = row.map_or(IndexedRow::default(), |row| {
            let verdict = self.filter.judge(row, place.as_deref(), now);
            let is_meant = |only: &Vec<FindingSockets>| {
                only.iter().any(|about| about.holds(row, place.as_deref()))
            };
            let wanted = verdict.wanted && self.only.as_ref().is_none_or(is_meant);
            let rank = wanted.then(|| Rank::of(self.by, row, id));
            IndexedRow { rank, again_at: verdict.again_at }
        });
        if before.rank != after.rank {
            let ended = |rank: Option<Rank>| usize::from(rank.is_some_and(|rank| rank.ended));
            self.ended = self.ended + ended(after.rank) - ended(before.rank);
            before.rank.map(|rank| self.ranks.remove(&rank));
            self.ranks.extend(after.rank);
        }
        if before.again_at != after.again_at {
            before.again_at.map(|at| self.again.remove(&(at, id)));
            self.again.extend(after.again_at.map(|at| (at, id)));
        }
        self.owners.put(id, row.filter(|_| after.rank.is_some()), place.as_deref());
        if row.is_some() {
            self.known.insert(id, after);
        }
    }

    /// Time has passed: judges the rows again for which that may matter.
    pub fn pass(&mut self, sockets: &mut Sockets) {
        while let Some((at, id)) = self.again.first().copied()
            && at <= sockets.now
        {
            self.again.pop_first();
            if let Some(known) = self.known.get_mut(&id) {
                known.again_at = None;
            }
            self.update(sockets, id);
        }
    }

    /// Rows in the view.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    /// Of these, sockets that exist.
    #[must_use]
    pub fn open(&self) -> usize {
        self.ranks.len() - self.ended
    }

    /// There is no row in the view.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    /// The place of a row, if it is in the view.
    #[must_use]
    pub fn rank(&self, id: RowId) -> Option<Rank> {
        self.known.get(&id)?.rank
    }

    /// Steps that were made so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Up to `most` rows from a place on, that place included if a row is there; from the top without one.
    pub fn page(&mut self, from: Option<Rank>, most: usize) -> Vec<Rank> {
        let page = self.walk(from.map_or(Bound::Unbounded, Bound::Included), true, most);
        self.steps += u64::try_from(page.len()).unwrap_or(u64::MAX);
        page
    }

    /// Up to `most` rows after a place, the nearest first.
    pub fn after(&mut self, place: Rank, most: usize) -> Vec<Rank> {
        let rows = self.walk(Bound::Excluded(place), true, most);
        self.steps += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        rows
    }

    /// Up to `most` rows before a place, the nearest first; from the bottom without one.
    pub fn before(&mut self, place: Option<Rank>, most: usize) -> Vec<Rank> {
        let rows = self.walk(place.map_or(Bound::Unbounded, Bound::Excluded), false, most);
        self.steps += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        rows
    }

    fn walk(&self, from: Bound<Rank>, down: bool, most: usize) -> Vec<Rank> {
        let take = |range: &mut dyn Iterator<Item = &Rank>| range.take(most).copied().collect();
        if down == self.reversed {
            take(&mut self.ranks.range((Bound::Unbounded, from)).rev())
        } else {
            take(&mut self.ranks.range((from, Bound::Unbounded)))
        }
    }
}
