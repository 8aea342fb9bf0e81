//! Mini-sockets: from what happens to their timers to tracked events. What an event means is decided in
//! [`tcpwatch_common::mini_clock`].

mod begin;
mod end;
mod settle;
mod takeover;

use std::time::Duration;

use tcpwatch_common::mini_clock::{ClockStep, TIME_WAIT_SECONDS, goes_on};

use self::settle::OpenEvent;
pub(super) use self::settle::{SETTLE, Settling};
use super::{Change, Life, Subject, TrackedEvent, Tracker, key, stays::Look};
use crate::event::{
    CgroupId, Cookie, Direction, Endpoints, Jiffies, KernelTime, KnownKind, KnownSocket, MiniEvent,
    MiniKind, Netns, Process, TcpState, TimerEvent,
};

/// What identifies a mini-socket; it need not have a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct MiniKey {
    pub(super) netns: Netns,
    pub(super) ends: Endpoints,
}

/// What is known about a mini-socket.
#[derive(Clone, Debug)]
pub(super) struct KnownMini {
    pub(super) kind: MiniKind,
    pub(super) state: TcpState,
    /// When `state` was entered, if that was seen.
    pub(super) since: Option<KernelTime>,
    /// When the timer is due; `None` if its start was not seen.
    due: Option<Jiffies>,
    /// When it will fire.
    pub(super) ends_at: Option<KernelTime>,
    /// Until then the kernel may move FIN_WAIT_2 to TIME_WAIT without a word.
    silent_until: Option<KernelTime>,
    socket: Option<Cookie>,
    pub(super) cgroup: Option<CgroupId>,
    pub(super) direction: Option<Direction>,
    pub(super) process: Option<Process>,
    pub(super) inherited: bool,
    pub(super) seen: KernelTime,
    /// The event that waits for its explanation.
    pub(super) open: Option<OpenEvent>,
    /// A half-open connection was accepted, and nothing was reported of the socket yet.
    pub(super) accepted: bool,
    /// When it is looked at again, if it stays.
    pub(super) look_at: Look,
    pub(super) life: Box<Life>,
}

impl KnownMini {
    /// One of which nothing else is known.
    pub(super) fn unknown(
        kind: MiniKind,
        state: TcpState,
        seen: KernelTime,
        socket: Option<Cookie>,
    ) -> Self {
        Self {
            kind,
            state,
            since: None,
            due: None,
            ends_at: None,
            silent_until: None,
            socket,
            cgroup: None,
            direction: None,
            process: None,
            inherited: false,
            seen,
            open: None,
            accepted: false,
            look_at: Look::default(),
            life: Box::default(),
        }
    }

    pub(super) const fn subject(&self, key: &MiniKey) -> Subject {
        Subject {
            socket: self.socket,
            netns: key.netns,
            ends: key.ends,
            cgroup: self.cgroup,
            direction: self.direction,
            process: self.process,
            inherited: self.inherited,
        }
    }

    pub(super) fn change(&self, key: &MiniKey, at: KernelTime, to: TcpState) -> Change {
        Change::plain(at, self.subject(key), (self.state, self.since), to)
    }

    /// May it have this cookie?
    pub(super) fn is_known_as(&self, socket: Cookie) -> bool {
        self.socket.is_none_or(|mine| mine == socket)
    }

    /// It has this cookie from now on, if it had none.
    pub(super) const fn learn_cookie(&mut self, socket: Cookie) {
        if self.socket.is_none() {
            self.socket = Some(socket);
        }
    }

    /// Does the event belong to another mini-socket with the same four-tuple?
    fn is_another(&self, event: &MiniEvent) -> bool {
        let cookies = self.socket.zip(event.socket);
        let after_accept = self.accepted && event.timer == TimerEvent::Start;
        let expired = self.open.is_some_and(|open| open.timer == TimerEvent::Expire);
        let is_new = event.timer == TimerEvent::Start && !goes_on(expired, event.not_fired);
        // No event leads back from TIME_WAIT.
        let after_end = self.state == TcpState::TimeWait && event.state == TcpState::FinWait2;
        self.kind != event.kind
            || after_accept
            || after_end
            || is_new
            || cookies.is_some_and(|(mine, other)| mine != other)
    }

    fn enter(&mut self, state: TcpState, at: KernelTime) {
        self.life.moves(at, (self.state, self.since), state);
        self.state = state;
        self.since = Some(at);
    }

    /// The same, for a change that no timer event reported.
    pub(super) fn enter_unreported(&mut self, state: TcpState, at: KernelTime) {
        self.enter(state, at);
        self.due = None;
        self.silent_until = None;
    }

    /// Until when the kernel may have moved it to TIME_WAIT without a word, if that is still open.
    pub(super) fn silent_until(&self) -> Option<KernelTime> {
        self.silent_until.filter(|_| self.state == TcpState::FinWait2)
    }
}

impl Tracker {
    pub(super) fn learn_mini(&mut self, known: &KnownSocket) {
        let (kind, direction) = match known.kind {
            KnownKind::Request => (MiniKind::Request, Some(Direction::Incoming)),
            KnownKind::Full | KnownKind::TimeWait => (MiniKind::TimeWait, self.accepted(known)),
        };
        let mini = KnownMini {
            since: time_wait_since(known),
            ends_at: known.timer_left.map(|left| known.seen.after(left)),
            cgroup: known.cgroup,
            direction,
            process: known.owner,
            ..KnownMini::unknown(kind, known.state, known.seen, Some(known.socket))
        };
        self.keep_mini(key(known.netns, known.ends), mini);
    }

    pub(super) fn apply_mini(&mut self, event: &MiniEvent, out: &mut impl FnMut(TrackedEvent)) {
        let key = key(event.netns, event.ends);
        if self.is_left_out(&key, event) {
            return;
        }
        if self.minis.get(&key).is_some_and(|mini| mini.is_another(event)) {
            self.replaced_by_another(&key, event, out);
        }
        if event.timer != TimerEvent::Start {
            self.infer_takeover(&key, event, out);
        }
        let is_known = self.minis.get(&key).is_some_and(|mini| mini.kind == event.kind);
        match ClockStep::of(event.kind, event.timer, is_known) {
            ClockStep::Begins => match event.kind {
                MiniKind::Request => self.syn_arrived(&key, event, out),
                MiniKind::TimeWait => self.took_over(&key, event, true, out),
            },
            ClockStep::RunsAnew => self.runs_anew(&key, event, out),
            ClockStep::Waits => self.await_explanation(&key, event, out),
            ClockStep::Ends => self.expired(&key, event, out),
        }
    }

    /// Is it a timewait socket of a full socket that was left out?
    fn is_left_out(&self, key: &MiniKey, event: &MiniEvent) -> bool {
        let is_known = || {
            let full = event.socket.is_some_and(|socket| self.sockets.contains_key(&socket));
            full || self.minis.contains_key(key)
        };
        self.reliance.selective && event.kind == MiniKind::TimeWait && !is_known()
    }

    /// The half-open connection at this four-tuple, which an accepted socket replaces.
    pub(super) fn take_half_open(&mut self, key: &MiniKey) -> Option<Box<KnownMini>> {
        if self.minis.get(key)?.kind != MiniKind::Request {
            return None;
        }
        self.minis.remove(key)
    }

    pub(super) fn keep_mini(&mut self, key: MiniKey, mut mini: KnownMini) {
        if self.has_room(self.minis.len()) {
            self.look_after_mini(&key, &mut mini);
            self.minis.insert(key, Box::new(mini));
        }
    }
}

/// When a socket that is in TIME_WAIT entered it, or was last started anew: its 60 s less what is
/// left of them.
pub(super) fn time_wait_since(known: &KnownSocket) -> Option<KernelTime> {
    if (known.kind, known.state) != (KnownKind::TimeWait, TcpState::TimeWait) {
        return None;
    }
    let passed = Duration::from_secs(TIME_WAIT_SECONDS).saturating_sub(known.timer_left?);
    Some(known.seen.before(passed))
}
