//! What was missed: changes that follow from later ones, and ends that a comparison with the kernel's
//! own list shows.

use std::time::Duration;

use super::{
    Census, Change, FullSocket, Life, MissedChange, Reason, TrackedEvent, Tracker, key,
    mini::KnownMini, reason, way::way,
};
use crate::event::{
    Cookie, Direction, Endpoints, Event, KernelTime, ResetDirection, StateEvent, TcpState,
};

/// A socket enters SYN_SENT, LISTEN or SYN_RECV before the kernel puts it into the table that it lists
/// (`tcp_v4_connect`, `inet_csk_listen_start`, `inet_csk_clone_lock`): usually some microseconds, longer if
/// the task has to wait for a processor, or for a port.
const LISTED_WITHIN: Duration = Duration::from_secs(1);
/// How far from each other records of one moment are.
const NEIGHBOURS: Duration = Duration::from_millis(1);

/// The longest time that a connection is taken to be half-open: some more than `tcp_synack_retries` of 6
/// give it.
const HALF_OPEN: Duration = Duration::from_mins(5);

/// Are these the ends of another connection? Ports that are both known and differ, or another peer.
fn contradict(known: &Endpoints, now: &Endpoints) -> bool {
    let (mine, its) = (known.local.port, now.local.port);
    known.remote != now.remote || mine != 0 && its != 0 && mine != its
}

impl Tracker {
    /// Records up to this moment were lost. What is reported only because no record contradicts it is not
    /// reported any more, until a [`Census`] decides.
    pub fn lost(&mut self, until: KernelTime) {
        self.lost_until = Some(until).max(self.lost_until);
    }

    /// Could a record be missing that came about when this did, or later?
    pub(super) fn may_lack_a_record(&self, at: KernelTime) -> bool {
        self.lost_until.is_some_and(|lost| lost.after(NEIGHBOURS) >= at)
    }

    /// Could the SYN of a connection that is accepted now have been missed?
    pub(super) fn may_lack_a_request(&self, at: KernelTime) -> bool {
        let lost = self.lost_until.filter(|_| self.reliance.minis && self.reliance.gapless);
        lost.is_some_and(|lost| lost.after(HALF_OPEN) >= at)
    }

    /// An accepted socket was half-open, since when is not known; or, with a SYN cookie, for no time at all.
    pub(super) fn infer_request(
        &mut self,
        connection: &mut FullSocket,
        event: &StateEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) -> bool {
        *connection.life = Life::default();
        let link = MissedChange { from: event.from, to: event.to, gap: false };
        self.infer(connection, event, link, out);
        true
    }

    /// Brings a socket that is known to the state that the kernel says it leaves. If it is not there, at
    /// least one change was missed, unless the snapshot is to blame or a filter.
    pub(super) fn catch_up(
        &mut self,
        connection: &mut FullSocket,
        event: &StateEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let raced = connection.from_snapshot && event.at <= connection.seen;
        let of_another = !raced
            && connection.state != TcpState::Listen
            && event.from != TcpState::Closed
            && contradict(&connection.ends, &event.ends);
        if connection.state == event.from && !of_another {
            return;
        }
        let links = if of_another {
            let mut links = way(connection.state, TcpState::Closed);
            links.extend(way(TcpState::Closed, event.from));
            links
        } else {
            way(connection.state, event.from)
        };
        let ended = links.iter().any(|link| link.to == TcpState::Closed);
        if raced || !self.reliance.gapless {
            if ended && !raced {
                *connection = self.begin(event);
            }
            connection.state = event.from;
            connection.since = None;
            return;
        }
        if !ended {
            connection.ends = event.ends;
        }
        for link in links {
            self.infer(connection, event, link, out);
        }
    }

    /// Tells a change that was missed.
    fn infer(
        &mut self,
        connection: &mut FullSocket,
        event: &StateEvent,
        link: MissedChange,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        if link.to == TcpState::Closed {
            self.infer_end(event.socket, connection, event.at, link, out);
            *connection = self.begin(event);
        } else {
            if link.to == TcpState::SynSent {
                connection.direction = Some(Direction::Outgoing);
            }
            connection.life.infers(event.at, link);
            let change = connection.change(event.socket, event.at, link.to);
            self.tell_inferred(change, link, out);
        }
        connection.state = link.to;
        connection.since = None;
    }

    /// Tells the end of a socket, that was missed.
    fn infer_end(
        &mut self,
        socket: Cookie,
        connection: &mut FullSocket,
        at: KernelTime,
        link: MissedChange,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        let (subject, left) = (connection.subject(socket), connection.state);
        self.listeners.remove(subject.netns, &subject.ends.local, socket);
        let mut life = std::mem::take(&mut *connection.life);
        life.infers(at, link);
        let change = connection.change(socket, at, TcpState::Closed);
        self.tell_inferred(Change { reason: Some(Reason::Unknown), ..change }, link, out);
        if left != TcpState::Listen {
            self.tell_life(at, subject, life, (left, Reason::Unknown), out);
        }
    }

    /// How long the left state lasted is not known, because it is not known when it was left.
    pub(super) fn tell_inferred(
        &mut self,
        mut change: Change,
        link: MissedChange,
        out: &mut impl FnMut(TrackedEvent),
    ) {
        self.tally.inferred += 1;
        (change.inferred, change.gap, change.in_state) = (true, link.gap, None);
        out(TrackedEvent::Change(change));
    }

    /// A half-open connection that is met as a socket past its handshake: what lies between was missed.
    pub(super) fn meet(
        &mut self,
        event: &StateEvent,
        out: &mut impl FnMut(TrackedEvent),
    ) -> FullSocket {
        let mut connection = self.begin(event);
        let key = key(event.netns, event.ends);
        let may_be = !matches!(
            event.from,
            TcpState::Closed | TcpState::Listen | TcpState::SynSent | TcpState::SynRecv
        );
        let is_known = |mini: &KnownMini| mini.is_known_as(event.socket);
        if may_be
            && self.reliance.gapless
            && self.minis.get(&key).is_some_and(|mini| is_known(mini))
            && let Some(mut request) = self.take_half_open(&key)
        {
            self.tally.connections = self.tally.connections.saturating_sub(1);
            connection.goes_on(request.past());
            self.catch_up(&mut connection, event, out);
        }
        connection
    }

    /// Compares with what exists, after losses: a socket that is gone without a report has closed. All
    /// records up to [`Census::ended`] have to be applied before.
    ///
    /// Returns when to compare again, if some sockets are too young to be looked for.
    pub fn reconcile(
        &mut self,
        census: &Census,
        mut out: impl FnMut(TrackedEvent),
    ) -> Option<KernelTime> {
        let taken = census.started;
        let mut again = None;
        let mut gone = Vec::new();
        // Of a socket that a mini-socket has replaced, only the report of its end was missed.
        self.sockets.retain(|_, known| !known.replaced || known.seen >= taken);
        for (socket, known) in self.sockets.iter_mut().filter(|(_, known)| known.seen < taken) {
            if let Some(ends) = census.ends_of(*socket) {
                known.ends = ends;
            } else if census.lacks(&known.subject(*socket)) {
                let listed = known.listed_by();
                if listed < taken {
                    gone.push(*socket);
                } else {
                    again = again.max(Some(listed));
                }
            }
        }
        for socket in gone {
            let Some(mut known) = self.sockets.remove(&socket) else { continue };
            for link in way(known.state, TcpState::Closed) {
                self.infer_end(socket, &mut known, taken, link, &mut out);
            }
        }
        let gone = |key: &_, mini: &KnownMini| {
            mini.seen < taken && !mini.waits() && census.lacks(&mini.subject(key))
        };
        let minis = self.minis.iter().filter(|(key, mini)| gone(key, mini));
        for key in minis.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.infer_end_of_mini(&key, taken, &mut out);
        }
        again
    }
}

/// May a timewait socket have taken over, whose beginning was missed? A full socket that it replaces is
/// reported to be closed (`tcp_time_wait` in `net/ipv4/tcp_minisocks.c`).
pub(super) fn may_go_on(event: &StateEvent, reset: Option<ResetDirection>) -> bool {
    event.to == TcpState::Closed && reason::closing(event, reset).guessed_successor().is_some()
}

impl Tracker {
    /// Would an end be reported with this event only because another record has not come? Then it has to be
    /// known whether one was lost.
    #[must_use]
    pub fn relies_on_silence(&self, event: &Event) -> bool {
        let ends = match event {
            Event::State(event) => {
                may_go_on(event, None) && !self.minis.contains_key(&key(event.netns, event.ends))
            }
            _ => false,
        };
        ends || self.settles_alone(event.at())
    }
}

impl FullSocket {
    /// The kernel lists it from then on at the latest.
    fn listed_by(&self) -> KernelTime {
        match self.state {
            TcpState::SynSent | TcpState::Listen | TcpState::SynRecv => {
                self.seen.after(LISTED_WITHIN)
            }
            _ => self.seen,
        }
    }
}

impl Life {
    /// A change that was missed is part of it.
    pub(super) fn infers(&mut self, at: KernelTime, link: MissedChange) {
        self.moves(at, (link.from, None), link.to);
        self.inferred.push(link);
    }
}
