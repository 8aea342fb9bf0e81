//! Full sockets: from the kernel's report of a state change to tracked events.

use super::{
    Change, Handshake, Life, Reason, Subject, TrackedEvent, Tracker, key, missed::may_go_on,
    reason, stays::Look,
};
use crate::event::{
    CgroupId, Cookie, Direction, Endpoints, KernelTime, KnownSocket, Netns, Process, StateEvent,
    TcpState, Via,
};

/// What is known about a full socket.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none excludes another")]
pub(super) struct FullSocket {
    pub(super) netns: Netns,
    pub(super) ends: Endpoints,
    pub(super) cgroup: Option<CgroupId>,
    pub(super) state: TcpState,
    /// When `state` was entered, if that was seen.
    pub(super) since: Option<KernelTime>,
    pub(super) direction: Option<Direction>,
    pub(super) process: Option<Process>,
    pub(super) inherited: bool,
    /// Last event or snapshot.
    pub(super) seen: KernelTime,
    /// Known only from the snapshot: events older than `seen` are no contradiction.
    pub(super) from_snapshot: bool,
    /// A mini-socket has taken over; what the kernel still reports of the full socket is its removal.
    pub(super) replaced: bool,
    /// The timer of its state was shown with it.
    pub(super) has_timer: bool,
    /// It was accepted, but no request socket was half-open before it.
    unrequested: bool,
    /// When it is looked at again, if it stays.
    pub(super) look_at: Look,
    pub(super) life: Box<Life>,
}

impl FullSocket {
    /// The part of a line that stays the same.
    pub(super) const fn subject(&self, socket: Cookie) -> Subject {
        Subject {
            socket: Some(socket),
            netns: self.netns,
            ends: self.ends,
            cgroup: self.cgroup,
            direction: self.direction,
            process: self.process,
            inherited: self.inherited,
        }
    }

    /// The change from the present state to `to`.
    pub(super) fn change(&self, socket: Cookie, at: KernelTime, to: TcpState) -> Change {
        Change::plain(at, self.subject(socket), (self.state, self.since), to)
    }
}

impl Tracker {
    pub(super) fn learn_full(&mut self, known: &KnownSocket) {
        let direction = if known.state == TcpState::Listen { None } else { self.accepted(known) };
        let connection = FullSocket {
            netns: known.netns,
            ends: known.ends,
            cgroup: known.cgroup,
            state: known.state,
            since: None,
            direction,
            process: known.owner,
            inherited: false,
            seen: known.seen,
            from_snapshot: true,
            replaced: false,
            has_timer: false,
            unrequested: false,
            look_at: Look::default(),
            life: Box::default(),
        };
        self.keep(known.socket, Box::new(connection));
    }

    /// A connection to a port with a listener came in. Without a listener it is not known:
    /// it may have been closed meanwhile.
    pub(super) fn accepted(&self, known: &KnownSocket) -> Option<Direction> {
        self.listeners.find(known.netns, &known.ends.local).map(|_| Direction::Incoming)
    }

    pub(super) fn apply_state(&mut self, event: &StateEvent, out: &mut impl FnMut(TrackedEvent)) {
        let known = self.sockets.remove(&event.socket);
        let replaced = known.as_ref().is_some_and(|known| known.replaced);
        if self.is_burial(event, replaced) {
            self.bury(event);
            return;
        }
        // Of one that was replaced the last report was missed: this is the socket's next connection.
        let known = known.filter(|known| !known.replaced);
        let met = known.is_none();
        let mut connection = match known {
            Some(mut known) => {
                self.catch_up(&mut known, event, out);
                known
            }
            None => Box::new(self.meet(event, out)),
        };
        connection.ends = event.ends;
        connection.cgroup = event.cgroup.or(connection.cgroup);
        let reset = connection.life.reset_at_end(event.at).map(|reset| reset.direction);
        if may_go_on(event, reset) && self.may_go_on_unseen(event) {
            self.go_on(event, *connection);
            return;
        }
        self.identify(&mut connection, event);
        let handshake = self.take_request(&mut connection, event, met, out);
        let special = special_handshake(&mut connection, event);
        connection.life.note_round_trip(event, connection.since);
        let (to, reason) = reason::of_change(event, reset, self.reliance.minis);

        if to != event.from && !handshake {
            connection.life.moves(event.at, (connection.state, connection.since), to);
            let mut change = connection.change(event.socket, event.at, to);
            change.reason = reason;
            change.late_data = reason::is_by_late_data(event);
            change.ends_at =
                event.timer.map(|(armed, due)| self.reliance.rate.fires_at((armed, event.at), due));
            change.handshake = special;
            change.queue = self.unclaimed.take(event, &mut connection.life);
            out(TrackedEvent::Change(change));
        }
        if event.to == TcpState::Closed {
            self.listeners.remove(event.netns, &event.ends.local, event.socket);
            if connection.state != TcpState::Listen {
                connection.life.totals = event.totals.as_deref().copied();
                let subject = connection.subject(event.socket);
                let reason = reason.unwrap_or(Reason::Normal);
                if event.error != 0 || event.reset_sent {
                    self.remember_closed(subject);
                }
                self.tell_life(event.at, subject, *connection.life, (event.from, reason), out);
            }
            return;
        }
        connection.state = event.to;
        connection.has_timer = event.timer.is_some();
        if !handshake {
            connection.since = Some(event.at);
        }
        connection.seen = event.at;
        connection.from_snapshot = false;
        self.keep(event.socket, connection);
    }

    /// Is this what the kernel reports of a full socket that a mini-socket has replaced?
    fn is_burial(&self, event: &StateEvent, replaced: bool) -> bool {
        event.to == TcpState::Closed
            && matches!(event.from, TcpState::FinWait2 | TcpState::Closing)
            && (replaced || self.is_timewait(&key(event.netns, event.ends), event.socket))
    }

    /// Is the report of a mini-socket's beginning possibly lost?
    fn may_go_on_unseen(&self, event: &StateEvent) -> bool {
        self.reliance.minis && self.may_lack_a_record(event.at)
    }

    /// A mini-socket has taken over; the full socket's last change says what it has done.
    fn bury(&mut self, event: &StateEvent) {
        if let Some(totals) = &event.totals
            && let Some(mini) = self.minis.get_mut(&key(event.netns, event.ends))
        {
            mini.life.totals = Some(**totals);
        }
    }

    /// The last trace of a connection is gone.
    pub(super) fn tell_life(
        &self,
        at: KernelTime,
        subject: Subject,
        life: Life,
        last: (TcpState, Reason),
        out: &mut impl FnMut(TrackedEvent),
    ) {
        if self.reliance.lives {
            out(TrackedEvent::Connection(Box::new(life.end(at, subject, last))));
        }
    }

    /// A socket that was not known.
    pub(super) fn begin(&mut self, event: &StateEvent) -> FullSocket {
        let is_listener = event.to == TcpState::Listen
            || event.from == TcpState::Listen && event.to == TcpState::Closed;
        if !is_listener {
            self.tally.connections += 1;
        }
        FullSocket {
            netns: event.netns,
            ends: event.ends,
            cgroup: event.cgroup,
            state: event.from,
            since: None,
            direction: None,
            process: None,
            inherited: false,
            seen: event.at,
            from_snapshot: false,
            replaced: false,
            has_timer: false,
            unrequested: false,
            look_at: Look::default(),
            life: Box::new(match event.from {
                TcpState::Closed | TcpState::Listen => Life::begun(event.at),
                _ => Life::default(),
            }),
        }
    }

    /// Who owns the socket, and who connected to whom.
    fn identify(&mut self, connection: &mut FullSocket, event: &StateEvent) {
        let owner = self.take_claim(event.socket).or(event.process);
        match (event.from, event.to) {
            (_, TcpState::Listen) => {
                connection.process = owner;
                self.listeners.add(event.netns, &event.ends.local, event.socket, owner);
                return;
            }
            (_, TcpState::SynSent) => connection.direction = Some(Direction::Outgoing),
            (TcpState::SynSent, TcpState::SynRecv) => connection.direction = Some(Direction::Both),
            _ => {}
        }
        if let Some(owner) = owner {
            connection.owned_by(owner);
        }
        let accepted = event.from == TcpState::Listen && event.to == TcpState::SynRecv;
        let stranger = connection.direction.is_none() && event.from != TcpState::Listen;
        if accepted || stranger {
            let listener = self.listeners.find(event.netns, &event.ends.local);
            if accepted || listener.is_some() {
                connection.direction = Some(Direction::Incoming);
            }
            if connection.process.is_none()
                && let Some(owner) = listener.and_then(|accepting| accepting.owner)
            {
                connection.process = Some(Process { via: Via::Listen, ..owner });
                connection.inherited = true;
            }
        }
    }

    /// An accepted connection was half-open until now: its request socket was shown entering
    /// SYN_RECV when the SYN came, and the clock runs from there. The kernel's own report of
    /// SYN_RECV, microseconds before ESTABLISHED, is not a change then; up to 6.12 it does not come
    /// here at all, and the socket is met on leaving SYN_RECV.
    fn take_request(
        &mut self,
        connection: &mut FullSocket,
        event: &StateEvent,
        met: bool,
        out: &mut impl FnMut(TrackedEvent),
    ) -> bool {
        let enters = event.from == TcpState::Listen && event.to == TcpState::SynRecv;
        if !(enters || met && event.from == TcpState::SynRecv) {
            return false;
        }
        let Some(request) = self.take_half_open(&key(event.netns, event.ends)) else {
            if self.may_lack_a_request(event.at) {
                return enters && self.infer_request(connection, event, out);
            }
            connection.unrequested = self.reliance.minis;
            return false;
        };
        // It was counted when the SYN came.
        self.tally.connections = self.tally.connections.saturating_sub(1);
        connection.since = request.since;
        connection.state = TcpState::SynRecv;
        connection.inherit(&request);
        connection.life = request.life;
        enters
    }

    fn keep(&mut self, socket: Cookie, mut connection: Box<FullSocket>) {
        if self.has_room(self.sockets.len()) {
            self.look_after_full(socket, &mut connection);
            self.sockets.insert(socket, connection);
        }
    }
}

/// The SYN of a connect brought data, and its answer acknowledges them: fast open. An accepted connection
/// without a request socket is done with its handshake: by fast open, by a SYN cookie, or the request socket was
/// not seen. With a cookie, and if it was not seen, the kernel's SYN_RECV lasts microseconds and means nothing.
fn special_handshake(connection: &mut FullSocket, event: &StateEvent) -> Option<Handshake> {
    if event.from == TcpState::SynSent && event.to == TcpState::Established && event.fast_open {
        return Some(Handshake::FastOpen);
    }
    let done = event.from == TcpState::SynRecv && event.to == TcpState::Established;
    if !done || !std::mem::take(&mut connection.unrequested) {
        return None;
    }
    if event.fast_open {
        return Some(Handshake::FastOpen);
    }
    connection.since = None;
    event.syn_cookie.then_some(Handshake::SynCookie)
}
