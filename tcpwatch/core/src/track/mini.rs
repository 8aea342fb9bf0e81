//! Mini-sockets: from what happens to their timers to news.
//!
//! What a timer event means shows only with the next one (`kernel/time/timer.c`): a cancel is
//! followed at once by an expiry (the timer fired), by a start (it was moved), or by nothing (the
//! mini-socket ended early); the expiry of a request socket by a start (the SYN+ACK was sent
//! again) or by nothing (the handshake was given up). So such an event settles [`SETTLE`] later.

use std::{collections::VecDeque, time::Duration};

use tcpwatch_common::MiniClosing;

use super::{
    Change, Life, MissedChange, News, Reason, Restart, Subject, Tracker, key, past::Past, way::way,
};
use crate::{
    event::{
        CgroupId, Cookie, Direction, EarlyEnd, Endpoints, Jiffies, KernelTime, KnownKind,
        KnownSocket, MiniEvent, MiniKind, Netns, Process, ResetDirection, TcpState, TimerEvent,
    },
    timing::wheel::TickRate,
};

/// How long a cancel or an expiry waits for what explains it. Both happen in one go in the kernel,
/// within microseconds; an emulated machine was seen to take milliseconds.
pub const SETTLE: Duration = Duration::from_millis(20);
/// A timewait socket that takes over at once does so within this time of FIN_WAIT_2.
const AT_ONCE: Duration = Duration::from_millis(1);
/// `TCP_TIMEWAIT_LEN` in `include/net/tcp.h`: compiled in.
pub(super) const TIME_WAIT_SECONDS: u64 = 60;

/// What identifies a mini-socket; it need not have a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) netns: Netns,
    pub(super) ends: Endpoints,
}

/// What is known about a mini-socket.
#[derive(Clone, Debug)]
pub(super) struct Mini {
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
    pub(super) open: Option<Open>,
    /// A half-open connection was accepted, and nothing was reported of the socket yet.
    pub(super) accepted: bool,
    pub(super) life: Box<Life>,
}

/// An event that waits for its explanation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) sight: Sight,
    pub(super) timer: TimerEvent,
    pub(super) ended_by: Option<EarlyEnd>,
    /// A half-open connection had a listener when its timer fired.
    listens: bool,
}

/// What an event showed of a mini-socket besides what happened to its timer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) at: KernelTime,
    tick: Jiffies,
    state: TcpState,
    due: Jiffies,
}

impl From<&MiniEvent> for Sight {
    fn from(event: &MiniEvent) -> Self {
        Self { at: event.at, tick: event.tick, state: event.state, due: event.due }
    }
}

/// Mini-sockets with an open event, oldest first.
#[derive(Debug, Default)]
pub(super) struct Settling(VecDeque<(KernelTime, Key)>);

impl Settling {
    /// What has waited long enough at `now`.
    pub(super) fn due(&self, now: KernelTime) -> impl Iterator<Item = &(KernelTime, Key)> {
        self.0.iter().take_while(move |(opened, _)| now.since(*opened) >= SETTLE)
    }
}

impl Mini {
    /// A timewait socket of which nothing else is known.
    pub(super) fn timewait(state: TcpState, seen: KernelTime, socket: Option<Cookie>) -> Self {
        Self {
            kind: MiniKind::TimeWait,
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
            life: Box::default(),
        }
    }

    pub(super) const fn subject(&self, key: &Key) -> Subject {
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

    pub(super) fn change(&self, key: &Key, at: KernelTime, to: TcpState) -> Change {
        Change::plain(at, self.subject(key), (self.state, self.since), to)
    }

    /// May it have this cookie?
    pub(super) fn is_known_as(&self, socket: Cookie) -> bool {
        self.socket.is_none_or(|mine| mine == socket)
    }

    /// Does the event belong to another mini-socket with the same four-tuple?
    fn is_another(&self, event: &MiniEvent) -> bool {
        let cookies = self.socket.zip(event.socket);
        let after_accept = self.accepted && event.timer == TimerEvent::Start;
        self.kind != event.kind
            || after_accept
            || cookies.is_some_and(|(mine, other)| mine != other)
    }

    fn enter(&mut self, state: TcpState, at: KernelTime) {
        self.life.moves(at, (self.state, self.since), state);
        self.state = state;
        self.since = Some(at);
    }

    /// The same, for a change that no timer event told.
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

impl Mini {
    /// The last chance to tell what was not reported because the timer stayed in its bucket: the end
    /// shows the state, and `due` tells when its 60 s were started last.
    fn put_right(&mut self, key: &Key, end: Sight, rate: TickRate, out: &mut impl FnMut(News)) {
        if end.state != TcpState::TimeWait {
            return;
        }
        let started = Jiffies(end.due.0.saturating_sub(TIME_WAIT_SECONDS * rate.0));
        let started_at = rate.moment(started, (end.tick, end.at));
        if self.state != TcpState::TimeWait {
            let started_at = started_at.max(self.since.unwrap_or(started_at));
            let change = self.change(key, started_at, TcpState::TimeWait);
            out(News::Change(Change { inferred: true, ..change }));
            let link = MissedChange { from: self.state, to: TcpState::TimeWait, gap: false };
            self.life.inferred.push(link);
            self.enter(TcpState::TimeWait, started_at);
        } else if self.due.is_some_and(|due| end.due > due) {
            out(News::Restart(Restart {
                at: started_at,
                subject: self.subject(key),
                state: self.state,
                in_state: self.since.map(|since| started_at.since(since)),
                ends_at: None,
                starts: false,
                inferred: true,
            }));
        }
    }
}

impl Tracker {
    pub(super) fn learn_mini(&mut self, known: &KnownSocket) {
        let (kind, direction) = match known.kind {
            KnownKind::Request => (MiniKind::Request, Some(Direction::Incoming)),
            KnownKind::Full | KnownKind::TimeWait => (MiniKind::TimeWait, self.accepted(known)),
        };
        let mini = Mini {
            kind,
            state: known.state,
            since: time_wait_since(known),
            due: None,
            ends_at: known.timer_left.map(|left| known.seen.after(left)),
            silent_until: None,
            socket: Some(known.socket),
            cgroup: known.cgroup,
            direction,
            process: known.owner,
            inherited: false,
            seen: known.seen,
            open: None,
            accepted: false,
            life: Box::default(),
        };
        self.keep_mini(key(known.netns, known.ends), mini);
    }

    pub(super) fn apply_mini(&mut self, event: &MiniEvent, out: &mut impl FnMut(News)) {
        let key = key(event.netns, event.ends);
        if self.minis.get(&key).is_some_and(|mini| mini.is_another(event)) {
            self.replaced_by_another(&key, event, out);
        }
        if event.timer != TimerEvent::Start {
            self.infer_takeover(&key, event, out);
        }
        match event.timer {
            TimerEvent::Start => self.started(&key, event, out),
            TimerEvent::Cancel => self.await_explanation(&key, event, out),
            TimerEvent::Expire => match event.kind {
                MiniKind::TimeWait => self.expired(&key, event, out),
                MiniKind::Request => self.await_explanation(&key, event, out),
            },
        }
    }

    /// Ends what has waited long enough at `now` without an explanation.
    pub fn settle(&mut self, now: KernelTime, out: &mut impl FnMut(News)) {
        while let Some((opened, key)) = self.settling.0.front().copied() {
            if now.since(opened) < SETTLE {
                return;
            }
            self.settling.0.pop_front();
            let still_open = self
                .minis
                .get(&key)
                .and_then(|mini| mini.open)
                .is_some_and(|open| open.sight.at == opened);
            if still_open {
                self.settle_alone(&key, opened, out);
            }
        }
    }

    /// Something waits for an explanation until this moment.
    #[must_use]
    pub fn settles_at(&self) -> Option<KernelTime> {
        self.settling.0.front().map(|(opened, _)| opened.after(SETTLE))
    }

    /// The half-open connection at this four-tuple, which an accepted socket replaces.
    pub(super) fn take_half_open(&mut self, key: &Key) -> Option<Box<Mini>> {
        if self.minis.get(key)?.kind != MiniKind::Request {
            return None;
        }
        self.minis.remove(key)
    }

    fn started(&mut self, key: &Key, event: &MiniEvent, out: &mut impl FnMut(News)) {
        let same = |mini: &&mut Box<Mini>| mini.kind == event.kind;
        if let Some(mini) = self.minis.get_mut(key).filter(same) {
            let was = mini.open.take();
            mini.due = Some(event.due);
            mini.ends_at = Some(ends_at(event, self.reliance.rate));
            mini.silent_until = None;
            mini.seen = event.at;
            mini.cgroup = mini.cgroup.or(event.cgroup);
            // Born before the snapshot looked and told after it: nothing new.
            let known_already = was.is_none() && mini.since.is_none();
            if mini.kind == MiniKind::Request && was.is_none() {
                // What stopped the timer was missed, or a whole connection: nobody knows since when.
                mini.since = None;
                *mini.life = Life::default();
            }
            if mini.kind == MiniKind::Request || known_already {
                return;
            }
            let ends_at = mini.ends_at;
            if mini.state == event.state {
                out(News::Restart(Restart {
                    at: event.at,
                    subject: mini.subject(key),
                    state: mini.state,
                    in_state: mini.since.map(|since| event.at.since(since)),
                    ends_at,
                    starts: false,
                    inferred: false,
                }));
            } else {
                let change = mini.change(key, event.at, event.state);
                mini.enter(event.state, event.at);
                out(News::Change(Change { ends_at, ..change }));
            }
            return;
        }
        match event.kind {
            MiniKind::Request => self.syn_arrived(key, event, out),
            MiniKind::TimeWait => self.took_over(key, event, true, out),
        }
    }

    /// A SYN has come for a listener.
    fn syn_arrived(&mut self, key: &Key, event: &MiniEvent, out: &mut impl FnMut(News)) {
        self.tally.connections += 1;
        let owner = self.owner_of_listener(event);
        let dropped = self.dropped_before(event);
        let mut mini = Mini {
            kind: MiniKind::Request,
            state: TcpState::Listen,
            since: None,
            due: Some(event.due),
            ends_at: Some(ends_at(event, self.reliance.rate)),
            silent_until: None,
            socket: event.socket,
            cgroup: event.cgroup,
            direction: Some(Direction::Incoming),
            process: owner,
            inherited: owner.is_some(),
            seen: event.at,
            open: None,
            accepted: false,
            life: Box::new(Life::begun(event.at)),
        };
        let change = mini.change(key, event.at, TcpState::SynRecv);
        if self.is_old_request(key, event.at) {
            let link = MissedChange { from: TcpState::Listen, to: TcpState::SynRecv, gap: false };
            *mini.life = Life::default();
            mini.life.infers(event.at, link);
            mini.state = TcpState::SynRecv;
            self.tell_inferred(change, link, out);
        } else {
            out(News::Change(Change { dropped, ..change }));
            mini.enter(TcpState::SynRecv, event.at);
        }
        self.keep_mini(*key, mini);
    }

    /// A timewait socket has taken over from a full socket, which keeps its identity: the process
    /// that owned the one owns the other. What the full socket did unseen before is inferred; so is this
    /// itself, unless it is `reported`.
    fn took_over(
        &mut self,
        key: &Key,
        event: &MiniEvent,
        reported: bool,
        out: &mut impl FnMut(News),
    ) {
        let past = self.past_of(key, event);
        let left = left_state(event, past.as_ref());
        // After shutdown() it was in FIN_WAIT_2 without a timer, until close(); otherwise both are one.
        let waited = past.as_ref().is_some_and(|past| {
            let here = event.state == TcpState::FinWait2 && past.state == event.state;
            let at_once = past.since.is_some_and(|since| event.at.since(since) < AT_ONCE);
            here && !past.has_timer && !at_once
        });
        let mut mini = Mini::timewait(left.unwrap_or(event.state), event.at, event.socket);
        mini.due = Some(event.due);
        mini.ends_at = Some(ends_at(event, self.reliance.rate));
        match past {
            Some(mut past) => {
                // A filter on states may have hidden how it came here.
                if !self.reliance.gapless && Some(past.state) != left {
                    (past.state, past.since) = (mini.state, None);
                }
                mini.goes_on(past);
            }
            None => self.tally.connections += 1,
        }
        let stop = left.unwrap_or(event.state);
        let mut links = way(mini.state, stop);
        if links.iter().any(|link| link.to == TcpState::Closed) {
            // A socket that ended in between is another one's past.
            links.clear();
            (mini.state, mini.since) = (stop, None);
        }
        for link in links {
            let change = mini.change(key, event.at, link.to);
            let ends_at = mini.ends_at.filter(|_| link.to == event.state);
            mini.life.infers(event.at, link);
            self.tell_inferred(Change { ends_at, ..change }, link, out);
            (mini.state, mini.since) = (link.to, None);
        }
        if mini.state != event.state {
            let change = mini.change(key, event.at, event.state);
            if !reported {
                self.tally.inferred += 1;
                let link = MissedChange { from: mini.state, to: event.state, gap: false };
                mini.life.inferred.push(link);
            }
            let inferred = !reported;
            out(News::Change(Change { ends_at: mini.ends_at, inferred, ..change }));
            mini.enter(event.state, event.at);
        } else if event.state == TcpState::TimeWait {
            mini.since = Some(event.at);
        }
        if mini.state == TcpState::FinWait2 {
            mini.silent_until = self.doubt(key, event);
            if reported && waited {
                out(News::Restart(Restart {
                    at: event.at,
                    subject: mini.subject(key),
                    state: mini.state,
                    in_state: mini.since.map(|since| event.at.since(since)),
                    ends_at: mini.ends_at,
                    starts: true,
                    inferred: false,
                }));
            }
        }
        self.keep_mini(*key, mini);
    }

    /// What is known of the connection before its timewait socket. A full socket stays in its table if
    /// there is no room for its heir, so that its last report is known for what it is.
    fn past_of(&mut self, key: &Key, event: &MiniEvent) -> Option<Past> {
        let socket = event.socket?;
        if let Some(mut full) = self.sockets.remove(&socket).filter(|full| !full.replaced) {
            let past = full.past();
            if self.minis.len() >= super::MAX_SOCKETS {
                full.replaced = true;
                self.sockets.insert(socket, full);
            }
            return Some(past);
        }
        Some(self.take_half_open(key)?.past())
    }

    /// A full socket that is known has become a timewait socket, but that was missed: its timer was
    /// started when it had its whole time before it.
    fn infer_takeover(&mut self, key: &Key, event: &MiniEvent, out: &mut impl FnMut(News)) {
        let here = self.minis.get(key).map(|mini| mini.kind);
        let known = event.socket.is_some_and(|socket| self.sockets.contains_key(&socket));
        let missed = event.kind == MiniKind::TimeWait
            && self.reliance.gapless
            && here != Some(MiniKind::TimeWait)
            && (known || here == Some(MiniKind::Request));
        if !missed {
            return;
        }
        let rate = self.reliance.rate;
        let whole = TIME_WAIT_SECONDS * rate.0;
        let started = match event.state {
            TcpState::TimeWait => Jiffies(event.due.0.saturating_sub(whole)),
            _ => event.tick,
        };
        let at = rate.moment(started, (event.tick, event.at)).min(event.at);
        let start = MiniEvent {
            at,
            tick: started,
            timer: TimerEvent::Start,
            ended_by: None,
            ..event.clone()
        };
        self.took_over(key, &start, false, out);
    }

    /// The timer of a timewait socket fired.
    fn expired(&mut self, key: &Key, event: &MiniEvent, out: &mut impl FnMut(News)) {
        let Some(mut mini) = self.minis.remove(key) else { return };
        mini.put_right(key, event.into(), self.reliance.rate, out);
        self.close(*mini, key, event.at, Reason::Timer, out);
    }

    /// Remembers an event that the next one explains.
    fn await_explanation(&mut self, key: &Key, event: &MiniEvent, out: &mut impl FnMut(News)) {
        let Some(mini) = self.minis.get_mut(key) else {
            self.met_stopped(key, event);
            return;
        };
        let MiniEvent { timer, ended_by, .. } = *event;
        // Asked now: the listener may close before the end is settled.
        let listens = event.listens.unwrap_or_else(|| {
            (mini.kind, timer) == (MiniKind::Request, TimerEvent::Expire)
                && self.listeners.find(key.netns, &key.ends.local).is_some()
        });
        mini.open = Some(Open { sight: event.into(), timer, ended_by, listens });
        mini.seen = event.at;
        match event.ended_by {
            // tcp_timewait_state_process() and tcp_check_req() also move a timer, for which a start
            // follows; an accepted socket follows its request.
            None | Some(EarlyEnd::ResetReceived | EarlyEnd::Accepted) => {
                self.settling.0.push_back((event.at, *key));
            }
            Some(_) => self.end(key, event.at, out),
        }
    }

    /// The end of a mini-socket whose last event stayed alone.
    pub(super) fn end(&mut self, key: &Key, at: KernelTime, out: &mut impl FnMut(News)) {
        let Some(mut mini) = self.minis.remove(key) else { return };
        let at = mini.open.map_or(at, |open| open.sight.at);
        if let Some(open) = mini.open.filter(|_| mini.kind == MiniKind::TimeWait) {
            mini.put_right(key, open.sight, self.reliance.rate, out);
        }
        let reason = Self::reason_of_end(&mini);
        self.close(*mini, key, at, reason, out);
    }

    /// Tells the last change of a mini-socket, and the life that ends with it.
    fn close(
        &self,
        mut mini: Mini,
        key: &Key,
        at: KernelTime,
        reason: Reason,
        out: &mut impl FnMut(News),
    ) {
        let change = mini.change(key, at, TcpState::Closed);
        let queue = mini.life.met.take_latest(at);
        out(News::Change(Change { reason: Some(reason), queue, ..change }));
        let left = mini.state;
        mini.life.moves(at, (left, mini.since), TcpState::Closed);
        self.tell_life(at, mini.subject(key), *mini.life, (left, reason), out);
    }

    fn reason_of_end(mini: &Mini) -> Reason {
        let Some(open) = mini.open else { return Reason::Unknown };
        let reset = mini.life.reset_at_end(open.sight.at);
        let closing = MiniClosing {
            kind: match mini.kind {
                MiniKind::TimeWait => tcpwatch_common::MiniKind::TimeWait,
                MiniKind::Request => tcpwatch_common::MiniKind::Request,
            },
            state: mini.state.to_kernel(),
            expired: open.timer == TimerEvent::Expire,
            ended_by: open.ended_by,
            reset_sent: reset == Some(ResetDirection::Sent),
            listens: open.listens,
        };
        closing.reason()
    }

    pub(super) fn keep_mini(&mut self, key: Key, mini: Mini) {
        if self.has_room(self.minis.len()) {
            self.minis.insert(key, Box::new(mini));
        }
    }
}

/// The state of the full socket when the timewait socket took over: one of the two in which the kernel
/// calls `tcp_time_wait` (`net/ipv4/tcp_input.c`, `tcp.c`, `tcp_timer.c`).
fn left_state(start: &MiniEvent, past: Option<&Past>) -> Option<TcpState> {
    let may_be = |state: &TcpState| matches!(state, TcpState::FinWait2 | TcpState::Closing);
    let waits = (start.state == TcpState::FinWait2).then_some(TcpState::FinWait2);
    let known = || past.map(|past| past.state).filter(may_be);
    start.replaces.filter(may_be).or(waits).or_else(known)
}

/// When the timer armed by this event will fire.
fn ends_at(event: &MiniEvent, rate: TickRate) -> KernelTime {
    rate.fires_at((event.tick, event.at), event.due)
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
