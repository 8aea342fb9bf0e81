//! Which sockets stay in a state, and when the kernel is to be asked about them.
//!
//! A socket in a state that something has to end is looked at [`MOMENTS`] after it has entered it, a listener after
//! its accept queue was filled. Of many of one kind that would be asked about within a second, [`MOST`] are; the others are counted.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Duration,
};

use rustc_hash::FxBuildHasher;

use super::{
    Others, Subject, TrackedEvent, Tracker,
    connection::FullSocket,
    listeners::Listeners,
    mini::{KnownMini, MiniKey},
};
use crate::event::{
    CgroupId, Cookie, Direction, Endpoints, KernelTime, Netns, TcpState, process::Comm,
};

/// How long after a state was entered a socket is asked about.
pub const MOMENTS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
];
/// Sockets of one kind that are asked about within a [`ROUND`].
const MOST: u32 = 20;
/// How long sockets of one kind are counted together.
const ROUND: Duration = Duration::from_secs(1);
/// Looks at sockets that are gone are dropped when there are this many, and more than sockets.
const SLACK: usize = 1024;

/// When a socket is looked at again, if it stays in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look(KernelTime);

impl Default for Look {
    fn default() -> Self {
        Self(NEVER)
    }
}

const NEVER: KernelTime = KernelTime(u64::MAX);

/// The sockets to look at, and what was counted.
#[derive(Debug, Default)]
pub(super) struct Stays {
    /// It is asked for.
    wanted: bool,
    looks: BinaryHeap<Reverse<(KernelTime, Id)>>,
    rounds: HashMap<StayKind, Round, FxBuildHasher>,
    /// The ends of the rounds, in order.
    ends: VecDeque<(KernelTime, StayKind)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Full(Cookie),
    Mini(MiniKey),
}

/// What sockets have in common that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct StayKind {
    after: Duration,
    state: TcpState,
    netns: Netns,
    direction: Option<Direction>,
    cgroup: Option<CgroupId>,
    owner: Option<(Option<u32>, Comm)>,
    inherited: bool,
}

#[derive(Debug)]
struct Round {
    asked: u32,
    others: Others,
}

/// A socket that the kernel is to be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StayQuestion {
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// Its cookie, if it is known: another socket with the same ends is not meant.
    pub socket: Option<Cookie>,
}

/// What came of looking at sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sights {
    /// The sockets to ask about.
    pub questions: Vec<StayQuestion>,
    /// Those that were only counted, of each kind.
    pub others: Vec<Others>,
}

/// What a look at a socket has found.
struct Sighting {
    subject: Subject,
    state: TcpState,
    base: Base,
}

/// Does something have to end this state, the peer, the application or a timer?
const fn is_waiting(state: TcpState) -> bool {
    matches!(
        state,
        TcpState::SynSent
            | TcpState::SynRecv
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::CloseWait
            | TcpState::Closing
            | TcpState::LastAck
    )
}

/// Since when a socket waits for the same: it is in its state, or its accept queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) at: KernelTime,
    /// That was when it was seen first: it may be longer.
    pub(super) seen_only: bool,
}

impl Base {
    /// Since when this full socket waits; `None` if nothing has to end its state.
    fn of_full(full: &FullSocket, socket: Cookie, listeners: &Listeners) -> Option<Self> {
        match full.state {
            TcpState::Listen => listeners.full_since(full.netns, full.ends.local.port, socket),
            state => is_waiting(state).then(|| Self::new(full.since, full.seen)),
        }
    }

    fn of_mini(mini: &KnownMini) -> Option<Self> {
        is_waiting(mini.state).then(|| Self::new(mini.since, mini.seen))
    }

    const fn new(since: Option<KernelTime>, seen: KernelTime) -> Self {
        match since {
            Some(at) => Self { at, seen_only: false },
            None => Self { at: seen, seen_only: true },
        }
    }

    /// The first moment after `now`. A socket that is older than what was seen of it is not new after a second.
    fn next(self, now: KernelTime) -> Option<KernelTime> {
        let moments = MOMENTS.iter().skip(usize::from(self.seen_only));
        moments.map(|moment| self.at.after(*moment)).find(|moment| *moment > now)
    }
}

impl Stays {
    /// Plans the next look, if none comes before it.
    fn plan(&mut self, look: &mut Look, id: Id, next: Option<KernelTime>) {
        let Some(next) = next.filter(|next| *next < look.0) else { return };
        *look = Look(next);
        self.looks.push(Reverse((next, id)));
    }

    /// Counts a socket; is it one that is to be asked about?
    fn count(&mut self, one: Others) -> bool {
        let Others { at, after, state, netns, direction, cgroup, process, inherited, .. } = one;
        let owner = process.map(|process| (process.pid, process.comm));
        let kind = StayKind { after, state, netns, direction, cgroup, owner, inherited };
        let round = self.rounds.entry(kind).or_insert_with(|| {
            self.ends.push_back((at.after(ROUND), kind));
            Round { asked: 0, others: Others { count: 0, doubtful: false, ..one } }
        });
        if round.asked < MOST {
            round.asked += 1;
            return true;
        }
        round.others.count = round.others.count.saturating_add(1);
        round.others.doubtful |= one.doubtful;
        false
    }

    /// Ends the rounds that are over at `now`.
    fn end_rounds(&mut self, now: KernelTime, into: &mut Vec<Others>) {
        while let Some((end, kind)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            let round = self.rounds.remove(&kind).filter(|round| round.others.count > 0);
            into.extend(round.map(|round| Others { at: end, ..round.others }));
        }
    }
}

impl Sighting {
    /// A kind of one socket.
    const fn alone(&self, at: KernelTime, after: Duration) -> Others {
        let Subject { netns, direction, cgroup, process, inherited, .. } = self.subject;
        Others {
            at,
            count: 1,
            state: self.state,
            after,
            netns,
            direction,
            cgroup,
            process,
            inherited,
            doubtful: false,
        }
    }
}

impl Tracker {
    /// From now on it is wanted for what sockets wait.
    pub const fn look_after_sockets(&mut self) {
        self.stays.wanted = true;
    }

    pub(super) fn look_after_full(&mut self, socket: Cookie, full: &mut FullSocket) {
        if self.stays.wanted
            && let Some(base) = Base::of_full(full, socket, &self.listeners)
        {
            self.stays.plan(&mut full.look_at, Id::Full(socket), base.next(full.seen));
        }
    }

    /// Since when a listener's accept queue is full was read at `now`: it is looked at if it stays so.
    pub(super) fn look_after_listener(&mut self, socket: Cookie, now: KernelTime) {
        let Self { sockets, stays, listeners, .. } = self;
        if stays.wanted
            && let Some(full) = sockets.get_mut(&socket)
            && full.state == TcpState::Listen
            && let Some(base) = Base::of_full(full, socket, listeners)
        {
            stays.plan(&mut full.look_at, Id::Full(socket), base.next(now));
        }
    }

    pub(super) fn look_after_mini(&mut self, key: &MiniKey, mini: &mut KnownMini) {
        if self.stays.wanted
            && let Some(base) = Base::of_mini(mini)
        {
            self.stays.plan(&mut mini.look_at, Id::Mini(*key), base.next(mini.seen));
        }
    }

    /// When [`look_at_sockets`](Self::look_at_sockets) has something to do next.
    #[must_use]
    pub fn looks_at(&self) -> Option<KernelTime> {
        let look = self.stays.looks.peek().map(|Reverse((at, _))| *at);
        let end = self.stays.ends.front().map(|(at, _)| *at);
        look.into_iter().chain(end).min()
    }

    /// Looks at the sockets that are due at `now`, until `most` are to be asked about. `wanted` says whether a
    /// line about sockets of this kind would be shown.
    pub fn look_at_sockets(
        &mut self,
        now: KernelTime,
        most: usize,
        mut wanted: impl FnMut(&TrackedEvent) -> bool,
    ) -> Sights {
        let mut sights = Sights::default();
        while sights.questions.len() < most {
            let next = self.stays.looks.peek().copied();
            let due = next.map_or(NEVER, |Reverse((due, _))| due);
            self.stays.end_rounds(now.min(due), &mut sights.others);
            let Some(Reverse((_, id))) = next.filter(|_| due <= now) else { break };
            self.stays.looks.pop();
            let Some((found, moment)) = self.look(id, due, now) else { continue };
            let doubtful = self.may_lack_a_record(found.base.at);
            let kind = Others { doubtful, ..found.alone(due, moment) };
            if wanted(&TrackedEvent::Others(kind)) && self.stays.count(kind) {
                let Subject { netns, ends, socket, .. } = found.subject;
                sights.questions.push(StayQuestion { netns, ends, socket });
            }
        }
        self.drop_old_looks();
        sights
    }

    /// What was counted so far in rounds that are not over: the run ends at `now`.
    pub fn counted_at_end(&mut self, now: KernelTime) -> Vec<Others> {
        let mut others = Vec::new();
        self.stays.end_rounds(NEVER, &mut others);
        for kind in &mut others {
            kind.at = kind.at.min(now);
        }
        others
    }

    /// A look that was due: what the socket is, if it has stayed, and how long. The next look is planned; moments
    /// that have passed by `now` are not made up for.
    fn look(&mut self, id: Id, due: KernelTime, now: KernelTime) -> Option<(Sighting, Duration)> {
        let Self { sockets, minis, stays, listeners, .. } = self;
        let (look, subject, state, base) = match id {
            Id::Full(socket) => {
                let full = sockets.get_mut(&socket).filter(|full| !full.replaced)?;
                let base = Base::of_full(full, socket, listeners);
                let (subject, state) = (full.subject(socket), full.state);
                (&mut full.look_at, subject, state, base)
            }
            Id::Mini(key) => {
                let mini = minis.get_mut(&key)?;
                let (base, subject, state) = (Base::of_mini(mini), mini.subject(&key), mini.state);
                (&mut mini.look_at, subject, state, base)
            }
        };
        if *look != Look(due) {
            return None;
        }
        *look = Look::default();
        let base = base?;
        let passed = due.since(base.at);
        let moment = MOMENTS.into_iter().find(|moment| *moment == passed);
        // A look that another state has left behind says nothing of this one's moments.
        let seen_until = if moment.is_some() { now } else { due };
        stays.plan(look, id, base.next(seen_until));
        Some((Sighting { subject, state, base }, moment?))
    }

    /// A socket that is gone leaves its look behind.
    fn drop_old_looks(&mut self) {
        let Self { sockets, minis, stays, .. } = self;
        if stays.looks.len() < 2 * (sockets.len() + minis.len()) + SLACK {
            return;
        }
        stays.looks.retain(|Reverse((due, id))| match id {
            Id::Full(socket) => sockets.get(socket).is_some_and(|full| full.look_at == Look(*due)),
            Id::Mini(key) => minis.get(key).is_some_and(|mini| mini.look_at == Look(*due)),
        });
    }
}
