//! The sockets there are, from what a run yields. Pure: its time is that of what it takes in.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use rustc_hash::{FxBuildHasher, FxHashSet};
use tcpwatch_core::{
    event::{Cookie, Endpoints, KernelTime, Netns, SegmentKind, TcpState},
    loss::Cause,
    place::{CgroupPlace, Places},
    sink::Loss,
    track::{Change, Existing, Restart, Still, Subject, TrackedEvent, TrackedRetransmit},
};
use tcpwatch_stream::batch::Item;

use crate::{
    counts::StateCounts,
    life::{Happening, LifeEvent},
    row::{Age, Deadline, RowEnd, RowId, SocketRow},
};

mod facts;
#[cfg(test)]
mod tests;

/// How long a socket that ended stays in the table.
pub const ENDED_STAYS: Duration = Duration::from_secs(5);
/// And how many of them at most.
pub const MOST_ENDED: usize = 1000;

/// All sockets that are known.
#[derive(Clone)]
pub struct Sockets {
    rows: HashMap<RowId, SocketRow, FxBuildHasher>,
    by_cookie: HashMap<Cookie, RowId, FxBuildHasher>,
    /// Without listeners: of others a four-tuple is unique.
    by_ends: HashMap<(Netns, Endpoints), RowId, FxBuildHasher>,
    next: u64,
    /// In the order in which they ended.
    ended: VecDeque<RowId>,
    places: Places,
    /// Rows of which the last look at the kernel showed what they wait for, and that no event will end.
    waiting: FxHashSet<RowId>,
    /// The rows of the listeners of the last look, by port.
    listeners: HashMap<(Netns, u16), RowId, FxBuildHasher>,
    /// Of all of them.
    pub counts: StateCounts,
    /// The latest moment that is known of.
    pub now: KernelTime,
    /// Records that were lost.
    pub lost: u64,
    /// Runs of a program that the kernel skipped.
    pub missed: u64,
    /// Changes so far.
    pub changes: u64,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            rows: HashMap::default(),
            by_cookie: HashMap::default(),
            by_ends: HashMap::default(),
            next: 0,
            ended: VecDeque::new(),
            places: Places::default(),
            waiting: FxHashSet::default(),
            listeners: HashMap::default(),
            counts: StateCounts::default(),
            now: KernelTime(0),
            lost: 0,
            missed: 0,
            changes: 0,
        }
    }
}

impl Sockets {
    /// Takes in what a run yields. The rows that it touches are added to `touched`: those that are not there any
    /// more are gone.
    pub fn apply(&mut self, item: &Item, touched: &mut Vec<RowId>) {
        match item {
            Item::TrackedEvent(tracked) => self.tracked(tracked, touched),
            Item::Place(id, place) => self.places.learn(*id, Some(Arc::clone(place))),
            Item::Loss(loss) => self.loss(*loss),
            Item::Summary(_) => {}
        }
    }

    /// Time has passed: sockets that ended a while ago go. `kept` stays in any case.
    pub fn pass(&mut self, now: KernelTime, kept: Option<RowId>, touched: &mut Vec<RowId>) {
        self.now = self.now.max(now);
        self.counts.tick(self.now);
        let mut again = None;
        while let Some(id) = self.ended.front().copied() {
            let at = self.rows.get(&id).and_then(|row| row.ended).map_or(KernelTime(0), |it| it.at);
            if self.ended.len() <= MOST_ENDED && self.now.since(at) < ENDED_STAYS {
                break;
            }
            self.ended.pop_front();
            if kept == Some(id) {
                again = Some(id);
            } else {
                self.forget(id);
                touched.push(id);
            }
        }
        self.ended.extend(again);
    }

    /// How many there are, those that ended a moment ago not counted.
    #[must_use]
    pub fn open(&self) -> usize {
        self.rows.len() - self.ended.len()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: RowId) -> Option<&SocketRow> {
        self.rows.get(&id)
    }

    /// The row of a cookie.
    #[must_use]
    pub fn of_cookie(&self, socket: Cookie) -> Option<RowId> {
        self.by_cookie.get(&socket).copied()
    }

    /// The names of all rows, in no order.
    #[must_use]
    pub fn ids(&self) -> Vec<RowId> {
        self.rows.keys().copied().collect()
    }

    /// Where the owner of a socket runs.
    pub fn place(&mut self, subject: &Subject) -> Option<Arc<CgroupPlace>> {
        self.places.get(subject.cgroup?).map(Arc::clone)
    }

    /// A copy of these rows alone, with the counts of all.
    #[must_use]
    pub fn excerpt(&mut self, ids: &[RowId]) -> Self {
        let mut excerpt = Self {
            counts: self.counts.clone(),
            now: self.now,
            lost: self.lost,
            missed: self.missed,
            changes: self.changes,
            ..Self::default()
        };
        for id in ids {
            let Some(row) = self.rows.get(id).cloned() else { continue };
            if let Some((cgroup, place)) = row.subject.cgroup.zip(self.place(&row.subject)) {
                excerpt.places.learn(cgroup, Some(place));
            }
            excerpt.ended.extend(row.ended.is_some().then_some(*id));
            excerpt.rows.insert(*id, row);
        }
        excerpt
    }

    fn loss(&mut self, loss: Loss) {
        self.now = self.now.max(loss.at);
        match loss.cause {
            Cause::Recursion => self.missed += loss.count,
            _ => self.lost += loss.count,
        }
    }

    fn tracked(&mut self, tracked: &TrackedEvent, touched: &mut Vec<RowId>) {
        self.now = self.now.max(tracked.at());
        self.counts.tick(self.now);
        self.changes += 1;
        let id = match tracked {
            TrackedEvent::Change(change) => self.change(change),
            TrackedEvent::Existing(existing) => Some(self.existing(existing)),
            TrackedEvent::Still(still) => self.still(still),
            TrackedEvent::Restart(restart) => self.restart(restart),
            TrackedEvent::Retransmit(again) => self.retransmit(again),
            TrackedEvent::Reset(reset) => {
                self.note(&reset.subject, reset.at, Happening::Reset(reset.direction))
            }
            TrackedEvent::Error(error) => {
                let happening = Happening::Error(error.event.error);
                self.note(&error.subject, error.event.at, happening)
            }
            // What they are about is in the table, or no socket.
            TrackedEvent::Others(_) | TrackedEvent::Connection(_) | TrackedEvent::Segment(_) => {
                None
            }
        };
        touched.extend(id);
    }

    /// The row of a socket.
    fn find(&self, subject: &Subject) -> Option<RowId> {
        if let Some(cookie) = subject.socket
            && let Some(id) = self.by_cookie.get(&cookie)
        {
            return Some(*id);
        }
        let id = *self.by_ends.get(&(subject.netns, subject.ends))?;
        let known = self.rows.get(&id)?.subject.socket;
        // Another socket with the same ends is another socket.
        (known.is_none() || subject.socket.is_none()).then_some(id)
    }

    /// Takes over what is known of a socket now: its port, its cookie and its owner may have become known.
    fn identify(&mut self, id: RowId, subject: &Subject) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        let before = row.subject;
        let process = subject.process.or(before.process);
        row.subject = Subject {
            socket: subject.socket.or(before.socket),
            cgroup: subject.cgroup.or(before.cgroup),
            direction: subject.direction.or(before.direction),
            inherited: if subject.process.is_some() { subject.inherited } else { before.inherited },
            process,
            ..*subject
        };
        let (subject, listens) = (row.subject, row.state == TcpState::Listen);
        if let Some(cookie) = subject.socket {
            self.by_cookie.insert(cookie, id);
        }
        if before.ends != subject.ends {
            self.unlink_ends(id, &before);
        }
        if !listens {
            self.by_ends.insert((subject.netns, subject.ends), id);
        }
    }

    fn unlink_ends(&mut self, id: RowId, subject: &Subject) {
        let key = (subject.netns, subject.ends);
        if self.by_ends.get(&key) == Some(&id) {
            self.by_ends.remove(&key);
        }
    }

    fn forget(&mut self, id: RowId) {
        let Some(row) = self.rows.remove(&id) else { return };
        self.unlink_ends(id, &row.subject);
        if let Some(cookie) = row.subject.socket
            && self.by_cookie.get(&cookie) == Some(&id)
        {
            self.by_cookie.remove(&cookie);
        }
    }

    fn add(&mut self, row: SocketRow) -> RowId {
        let id = RowId(self.next);
        self.next += 1;
        let subject = row.subject;
        self.counts.add(row.state);
        self.rows.insert(id, row);
        self.identify(id, &subject);
        id
    }

    /// The row of a socket that exists, made if it is not known.
    fn found_or_new(&mut self, subject: &Subject, state: TcpState, age: Age) -> RowId {
        let found = self.find(subject);
        let lives = |id: &RowId| self.rows.get(id).is_some_and(|row| row.ended.is_none());
        match found.filter(lives) {
            Some(id) => {
                self.identify(id, subject);
                id
            }
            None => self.add(SocketRow::new(*subject, state, age)),
        }
    }

    fn change(&mut self, change: &Change) -> Option<RowId> {
        let Change { at, ref subject, from, to, in_state, inferred, .. } = *change;
        if from == TcpState::Closed
            && let Some(id) = self.find(subject)
            && self.rows.get(&id).is_some_and(|row| row.ended.is_none())
        {
            // Its end was missed.
            self.end(id, RowEnd { at, reason: None });
        }
        let since = in_state.map(|time| at.before(time));
        let age = Age { since: since.unwrap_or(at), seen: since.is_some() };
        // A socket that comes out of a listener is no listener.
        let known = if to == TcpState::Closed { from } else { to };
        let id = self.found_or_new(subject, known, age);
        if to == TcpState::Closed {
            self.end(id, RowEnd { at, reason: change.reason });
            return Some(id);
        }
        let row = self.rows.get_mut(&id)?;
        let before = row.state;
        row.enter(to, Age { since: at, seen: true }, change.ends_at);
        row.note(LifeEvent { at, what: Happening::Entered { state: to, inferred } });
        self.counts.remove(before);
        self.counts.add(to);
        self.counts.enter(to);
        if to == TcpState::Listen {
            self.unlink_ends(id, subject);
        }
        Some(id)
    }

    fn end(&mut self, id: RowId, ended: RowEnd) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        row.ended = Some(ended);
        row.until = None;
        row.note(LifeEvent { at: ended.at, what: Happening::Closed(ended.reason) });
        self.counts.remove(row.state);
        self.counts.enter(TcpState::Closed);
        self.ended.push_back(id);
    }

    fn existing(&mut self, existing: &Existing) -> RowId {
        let Existing { at, ref subject, state, in_state, at_least, ends_at } = *existing;
        let since = at.before(in_state.or(at_least).unwrap_or_default());
        let age = Age { since, seen: in_state.is_some() };
        let id = self.found_or_new(subject, state, age);
        if let Some(row) = self.rows.get_mut(&id) {
            row.until = ends_at.map(|at| Deadline { at, estimated: false });
            row.note(LifeEvent { at, what: Happening::Existed(state) });
        }
        id
    }

    fn still(&mut self, still: &Still) -> Option<RowId> {
        let Still { at, ref subject, state, in_state, at_least, wait, queue: _ } = *still;
        let since = at.before(in_state.or(at_least).unwrap_or_default());
        let age = Age { since, seen: in_state.is_some() };
        let id = self.found_or_new(subject, state, age);
        let row = self.rows.get_mut(&id)?;
        row.wait = Some((at, wait));
        row.tries = wait.retransmits.or(wait.probes.map(|probes| probes.sent)).unwrap_or(0).into();
        row.until = match (wait.ends_at, wait.next_in) {
            (Some(at), _) => Some(Deadline { at, estimated: wait.end_estimated }),
            (None, Some(next)) => Some(Deadline { at: at.after(next), estimated: false }),
            (None, None) => row.until.filter(|_| row.state == state),
        };
        row.note(LifeEvent { at, what: Happening::Stayed(wait.waits_for) });
        Some(id)
    }

    fn restart(&mut self, restart: &Restart) -> Option<RowId> {
        let id = self.note(&restart.subject, restart.at, Happening::TimerStarted)?;
        let row = self.rows.get_mut(&id)?;
        row.until = restart.ends_at.map(|at| Deadline { at, estimated: false });
        Some(id)
    }

    fn retransmit(&mut self, again: &TrackedRetransmit) -> Option<RowId> {
        let TrackedRetransmit { at, ref subject, state, segment, attempt, .. } = *again;
        let id = self.found_or_new(subject, state, Age { since: at, seen: false });
        let row = self.rows.get_mut(&id)?;
        row.tries = attempt;
        row.most = again.most.or(row.most);
        row.until = again.next.map(|next| Deadline {
            at: at.after(next.wait.promise),
            estimated: segment == SegmentKind::Data,
        });
        let gap_us = again.since_last.map(|gap| u64::try_from(gap.as_micros()).unwrap_or(u64::MAX));
        row.note(LifeEvent { at, what: Happening::SentAgain { segment, attempt, gap_us } });
        Some(id)
    }

    /// Adds what has happened to a socket that is known.
    fn note(&mut self, subject: &Subject, at: KernelTime, what: Happening) -> Option<RowId> {
        let id = self.find(subject)?;
        self.rows.get_mut(&id)?.note(LifeEvent { at, what });
        Some(id)
    }
}
