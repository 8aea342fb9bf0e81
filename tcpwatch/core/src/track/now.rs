//! The sockets that exist, as the kernel shows them when it is asked once: a row for each. Pure.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Existing, Subject, existing,
    listeners::Listeners,
    mini::time_wait_since,
    wait::{Wait, WaitRules},
};
use crate::{
    event::{
        Direction, KernelTime, KnownKind, Netns, SocketTimer, SocketTimerKind, TcpState, Waiter,
    },
    timing::{self, Schedule, SynOptions, Sysctls, wheel::TickRate},
};

/// A socket as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketNow {
    /// When the kernel was asked.
    pub at: KernelTime,
    /// Which one, between whom, and whose.
    pub subject: Subject,
    /// Its state; of a timewait mini-socket the substate.
    pub state: TcpState,
    /// What the kernel keeps for it.
    pub kind: KnownKind,
    /// How long it is in its state.
    pub age: StateAge,
    /// Its timer, if one runs.
    pub timer: Option<SocketTimer>,
    /// Of a SYN or SYN+ACK that is sent again, after how many the kernel gives up by its sysctls.
    pub most_tries: Option<u32>,
    /// The accept queue of a listener.
    pub accept_queue: Option<AcceptQueue>,
    /// For what it waits.
    pub wait: Wait,
}

/// The connections that wait for `accept()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptQueue {
    /// How many there are.
    pub waiting: u32,
    /// The limit: the smaller of the argument of `listen()` and somaxconn. One more is let in.
    pub most: u32,
}

/// How long a socket is in its state, and how that is known. The kernel keeps no such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateAge {
    /// Nothing shows it.
    Unknown,
    /// The timer of the state was started so long ago, exact to one of the kernel's ticks. A segment that comes
    /// late can start the timer of TIME_WAIT anew; this is the time since then.
    Timer(Duration),
    /// Its beginning was seen so long ago.
    Seen(Duration),
    /// So many retransmissions take so long: between these two.
    Schedule(Duration, Duration),
    /// At least so long.
    Bound(Duration),
}

impl StateAge {
    /// The least that it can be.
    #[must_use]
    pub const fn at_least(self) -> Option<Duration> {
        match self {
            Self::Unknown => None,
            Self::Timer(time) | Self::Seen(time) | Self::Schedule(time, _) | Self::Bound(time) => {
                Some(time)
            }
        }
    }

    /// The most that it can be.
    #[must_use]
    pub const fn at_most(self) -> Option<Duration> {
        match self {
            Self::Unknown | Self::Bound(_) => None,
            Self::Timer(time) | Self::Seen(time) | Self::Schedule(_, time) => Some(time),
        }
    }

    /// The word used in JSON.
    #[must_use]
    pub const fn basis(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Timer(_) => Some("timer"),
            Self::Seen(_) => Some("seen"),
            Self::Schedule(..) => Some("schedule"),
            Self::Bound(_) => Some("bound"),
        }
    }
}

impl SocketNow {
    /// The same as what is known of a socket that existed at the start of a run.
    #[must_use]
    pub const fn existing(&self) -> Existing {
        let (in_state, at_least) = match self.age {
            StateAge::Timer(time) | StateAge::Seen(time) => (Some(time), None),
            StateAge::Unknown => (None, None),
            StateAge::Schedule(time, _) | StateAge::Bound(time) => (None, Some(time)),
        };
        let Self { at, subject, state, wait: Wait { ends_at, .. }, .. } = *self;
        Existing { at, subject, state, in_state, at_least, ends_at }
    }

    /// When its timer is due, whatever it does then. The kernel's timers may be late.
    #[must_use]
    pub fn until(&self) -> Option<KernelTime> {
        self.wait.ends_at.or_else(|| Some(self.at.after(self.timer?.left)))
    }
}

/// A row for each of these sockets, which are all of some network namespaces, the oldest first; then those whose age is
/// not known. Sockets of one age are in the order of their cookies, which is that in which the kernel was first asked
/// for them.
///
/// Without the `sysctls` of a namespace nothing is said that follows from them.
#[must_use]
pub fn sockets_now(
    waiters: &[Waiter],
    sysctls: &BTreeMap<Netns, Sysctls>,
    rate: TickRate,
) -> Vec<SocketNow> {
    let mut listeners = Listeners::default();
    for known in waiters.iter().map(|waiter| &waiter.known) {
        if known.state == TcpState::Listen {
            listeners.add(known.netns, &known.ends.local, known.socket, known.owner);
        }
    }
    let row = |waiter: &Waiter| {
        let sysctls = sysctls.get(&waiter.known.netns);
        row(waiter, &listeners, WaitRules { sysctls, rate, ends_at: None })
    };
    let mut rows: Vec<SocketNow> = waiters.iter().map(row).collect();
    rows.sort_by_key(|row| {
        let age = row.age.at_least();
        (std::cmp::Reverse(age), row.subject.netns, row.subject.socket)
    });
    rows
}

fn row(waiter: &Waiter, listeners: &Listeners, rules: WaitRules<'_>) -> SocketNow {
    let Waiter { known, timer, .. } = *waiter;
    let schedule = schedule(waiter, rules);
    let listens = known.state == TcpState::Listen;
    SocketNow {
        at: known.seen,
        subject: subject(waiter, listeners),
        state: known.state,
        kind: known.kind,
        age: age(waiter, schedule.as_ref(), rules.rate),
        timer,
        most_tries: schedule.and_then(|schedule| u32::try_from(schedule.attempts.len()).ok()),
        accept_queue: listens
            .then_some(AcceptQueue { waiting: waiter.receive_queue, most: waiter.send_queue }),
        wait: Wait::of(waiter, rules),
    }
}

/// A connection that was not accepted yet has no file, and so no owner but that of its listener.
fn subject(waiter: &Waiter, listeners: &Listeners) -> Subject {
    let known = &waiter.known;
    let listener = match known.state {
        TcpState::Listen => None,
        _ => listeners.find(known.netns, &known.ends.local),
    };
    let direction = match (known.state, known.kind) {
        (TcpState::Listen, _) => None,
        (TcpState::SynSent, _) => Some(Direction::Outgoing),
        (_, KnownKind::Request) => Some(Direction::Incoming),
        _ => listener.map(|_| Direction::Incoming),
    };
    let may_wait =
        matches!(known.state, TcpState::SynRecv | TcpState::Established | TcpState::CloseWait);
    let waits = may_wait && known.inode == 0 && known.owner.is_none();
    let inherited = listener.filter(|_| waits).and_then(|listener| listener.owner);
    Subject {
        cgroup: known.cgroup,
        direction,
        process: known.owner.or(inherited),
        inherited: inherited.is_some(),
        ..Subject::unknown(Some(known.socket), known.netns, known.ends)
    }
}

/// When a SYN or a SYN+ACK is sent again.
fn schedule(waiter: &Waiter, rules: WaitRules<'_>) -> Option<Schedule> {
    let sysctls = rules.sysctls?;
    let known = &waiter.known;
    waiter.timer.filter(|timer| timer.kind == SocketTimerKind::Retransmit)?;
    match (known.state, known.kind) {
        (TcpState::SynSent, _) => Some(timing::syn(sysctls, SynOptions::default(), rules.rate)),
        (TcpState::SynRecv, KnownKind::Request) => Some(timing::syn_ack(sysctls, None, rules.rate)),
        _ => None,
    }
}

fn age(waiter: &Waiter, schedule: Option<&Schedule>, rate: TickRate) -> StateAge {
    let Waiter { known, timer, .. } = waiter;
    if let Some(since) = time_wait_since(known) {
        let passed = known.seen.since(since);
        // It is late, and nothing shows for how long.
        let is_overdue = known.timer_left == Some(Duration::ZERO);
        return if is_overdue { StateAge::Bound(passed) } else { StateAge::Timer(passed) };
    }
    if let Some(quiet) = existing::at_least(known) {
        return StateAge::Bound(quiet);
    }
    match (known.state, known.kind, timer, schedule) {
        (TcpState::SynSent, _, Some(timer), Some(schedule)) => {
            by_schedule(schedule, *timer, rate).unwrap_or(StateAge::Unknown)
        }
        (TcpState::SynRecv, KnownKind::Request, Some(timer), _) => {
            StateAge::Bound(timing::half_open_at_least(timer.left))
        }
        _ => StateAge::Unknown,
    }
}

/// The age of a SYN that was sent again so often, with so much of the wait left. A SYN that the network below refuses
/// is tried again without being counted: then it is older.
fn by_schedule(schedule: &Schedule, timer: SocketTimer, rate: TickRate) -> Option<StateAge> {
    let tries = usize::from(timer.tries);
    let begun = match tries.checked_sub(1) {
        None => timing::Window::default(),
        Some(last) => schedule.attempts.get(last)?.window,
    };
    let due = begun.then(schedule.after(tries)?.wait);
    let least = due.promise.saturating_sub(timer.left).saturating_sub(rate.duration(1));
    Some(StateAge::Schedule(least, due.latest.saturating_sub(timer.left)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Cookie, Endpoint, Endpoints, KnownSocket, Process, TcpInfo, Via, process::Comm},
        track::WaitsFor,
    };

    const RATE: TickRate = TickRate(250);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn waiter(cookie: u64, state: TcpState) -> Waiter {
        let end = |port| Endpoint { address: [10, 0, 0, 1].into(), port };
        Waiter {
            known: KnownSocket {
                socket: Cookie(cookie),
                netns: Netns(1),
                ends: Endpoints { local: end(80), remote: end(40_000) },
                state,
                kind: KnownKind::Full,
                timer_left: None,
                seen: KernelTime(1_000_000_000_000),
                quiet: None,
                queue_full: false,
                inode: 7,
                cgroup: None,
                owner: None,
            },
            timer: None,
            receive_queue: 0,
            send_queue: 0,
            tcp: Some(TcpInfo {
                rto: ms(204),
                backoff: 0,
                in_flight: 0,
                unsent: Some(0),
                window: Some(65_536),
                bytes_received: None,
                bytes_sent: None,
                rtt: None,
            }),
        }
    }

    fn timed(mut waiter: Waiter, kind: SocketTimerKind, left: u64, tries: u8) -> Waiter {
        waiter.timer = Some(SocketTimer { kind, left: ms(left), tries });
        waiter
    }

    fn time_wait(cookie: u64, left: u64) -> Waiter {
        let mut waiter =
            timed(waiter(cookie, TcpState::TimeWait), SocketTimerKind::TimeWait, left, 0);
        (waiter.known.kind, waiter.known.timer_left) = (KnownKind::TimeWait, Some(ms(left)));
        (waiter.known.inode, waiter.tcp) = (0, None);
        waiter
    }

    fn request(cookie: u64, left: u64, tries: u8) -> Waiter {
        let mut waiter =
            timed(waiter(cookie, TcpState::SynRecv), SocketTimerKind::Retransmit, left, tries);
        (waiter.known.kind, waiter.known.inode, waiter.tcp) = (KnownKind::Request, 0, None);
        waiter
    }

    fn listener() -> Waiter {
        let mut waiter = waiter(1, TcpState::Listen);
        waiter.known.owner = Some(Process::named(12, Comm::from_text("shop"), Via::Fd));
        (waiter.known.ends.remote.port, waiter.receive_queue, waiter.send_queue) = (0, 5, 4);
        waiter
    }

    fn rows(waiters: &[Waiter]) -> Vec<SocketNow> {
        let sysctls = BTreeMap::from([(Netns(1), Sysctls::default())]);
        sockets_now(waiters, &sysctls, RATE)
    }

    #[test]
    fn the_age_of_time_wait_is_what_its_timer_has_run() {
        let rows = rows(&[time_wait(5, 59_000), time_wait(6, 0)]);
        assert_eq!(rows[0].age, StateAge::Bound(ms(60_000)), "overdue");
        assert_eq!(rows[1].age, StateAge::Timer(ms(1000)));
        assert_eq!(rows[1].until(), Some(rows[1].at.after(ms(59_000))));
        assert_eq!(rows[1].wait.waits_for, Some(WaitsFor::Timer));
    }

    #[test]
    fn a_syn_that_was_sent_again_has_the_age_of_its_schedule() {
        let syn = waiter(5, TcpState::SynSent);
        for (tries, left, least, most) in
            [(0, 400, 596, 680), (2, 1000, 1996, 2120), (5, 500, 6496, 7000)]
        {
            let row = &rows(&[timed(syn, SocketTimerKind::Retransmit, left, tries)])[0];
            let StateAge::Schedule(from, to) = row.age else { panic!("{row:?}") };
            assert_eq!(from, ms(least), "{tries}");
            assert!(to >= from && to <= ms(most), "{tries}: {to:?}");
            assert_eq!(row.most_tries, Some(10));
        }
        let strange = timed(syn, SocketTimerKind::Retransmit, 100, 200);
        assert_eq!(rows(&[strange])[0].age, StateAge::Unknown, "TCP_SYNCNT");
        let unknown = timed(syn, SocketTimerKind::Retransmit, 100, 1);
        let rows = sockets_now(&[unknown], &BTreeMap::new(), RATE);
        assert_eq!((rows[0].age, rows[0].most_tries), (StateAge::Unknown, None));
    }

    #[test]
    fn a_half_open_connection_is_as_old_as_the_waits_that_its_timer_must_have_had() {
        for (left, least) in [(1000, 0), (400, 600), (1500, 1500), (3200, 3800)] {
            // Its SYN+ACK was also sent again for SYNs that came again, which moves the timer.
            let row = &rows(&[request(5, left, 9)])[0];
            assert_eq!(row.age, StateAge::Bound(ms(least)), "{left}");
        }
    }

    #[test]
    fn a_connection_that_waits_to_be_accepted_is_its_listeners_as_a_guess() {
        let mut unaccepted = waiter(5, TcpState::Established);
        unaccepted.known.inode = 0;
        let rows = rows(&[listener(), unaccepted, request(6, 1000, 0), time_wait(7, 1000)]);
        let row = |cookie| rows.iter().find(|row| row.subject.socket == Some(Cookie(cookie)));
        for cookie in [5, 6] {
            let row = row(cookie).unwrap();
            assert_eq!(row.subject.process.map(|process| process.pid), Some(Some(12)));
            assert!(row.subject.inherited);
            assert_eq!(row.subject.direction, Some(Direction::Incoming));
        }
        assert_eq!(row(5).unwrap().wait.waits_for, Some(WaitsFor::Accept));
        let gone = row(7).unwrap();
        assert_eq!((gone.subject.process, gone.subject.inherited), (None, false));
    }

    #[test]
    fn a_listener_has_queues_and_no_bytes() {
        let rows = rows(&[listener()]);
        let row = &rows[0];
        assert_eq!(row.accept_queue, Some(AcceptQueue { waiting: 5, most: 4 }));
        assert_eq!((row.wait.unread, row.wait.unsent, row.wait.window), (None, None, None));
        assert_eq!(row.wait.waits_for, Some(WaitsFor::Accept));
        assert_eq!((row.subject.direction, row.age), (None, StateAge::Unknown));
        let idle = Waiter { receive_queue: 0, ..listener() };
        let waits_for = sockets_now(&[idle], &BTreeMap::new(), RATE)[0].wait.waits_for;
        assert_eq!(waits_for, Some(WaitsFor::Connection));
    }

    #[test]
    fn the_oldest_come_first_and_those_of_unknown_age_last() {
        let mut quiet = waiter(9, TcpState::CloseWait);
        quiet.known.quiet = Some(ms(3_600_000));
        let fin = waiter(2, TcpState::FinWait1);
        let rows = rows(&[fin, time_wait(5, 59_000), listener(), quiet, time_wait(4, 59_000)]);
        let order: Vec<_> = rows.iter().map(|row| row.subject.socket.map(|it| it.0)).collect();
        assert_eq!(order, [9, 4, 5, 1, 2].map(Some));
    }

    #[test]
    fn what_no_kernel_says_makes_no_panic() {
        for state in TcpState::ALL.into_iter().chain([TcpState::Unknown(200)]) {
            for kind in [KnownKind::Full, KnownKind::TimeWait, KnownKind::Request] {
                let mut odd =
                    timed(waiter(u64::MAX, state), SocketTimerKind::Retransmit, u64::MAX, u8::MAX);
                (odd.known.kind, odd.known.timer_left) = (kind, Some(Duration::MAX));
                (odd.receive_queue, odd.send_queue) = (u32::MAX, u32::MAX);
                assert_eq!(rows(&[odd]).len(), 1);
            }
        }
    }
}
