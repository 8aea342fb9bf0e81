//! Makes runs by hand, with the times that the kernel would take.

use std::{sync::Arc, time::Duration};

use tcpwatch_core::{
    event::{
        About, Cookie, Direction, Endpoint, Endpoints, ErrorEvent, KernelTime, Netns,
        ResetDirection, SegmentEvent, SegmentKind, TcpFlags, TcpOptions, TcpState, Way,
    },
    timing::{Sysctls, Window, wheel::TickRate},
    track::{Change, Reason, Subject, TrackedEvent, TrackedReset, TrackedRetransmit},
};
use tcpwatch_kernel::probe::{DroppedSegments, filters::FamilyFilter};

use crate::{
    host::Host,
    scenario::{Action, Call, CallKind, DropRule, Scenario, ScenarioStep, Signal},
    story::{MomentKind, Profile, Run, StoryEvent, SystemCall},
    verdict::{Times, Verdict},
};

pub(super) const SYN: TcpFlags = TcpFlags::SYN;
pub(super) const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
pub(super) const ACK: TcpFlags = TcpFlags::ACK;
pub(super) const FIN: TcpFlags = TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0);
pub(super) const DATA: TcpFlags = TcpFlags(TcpFlags::PSH.0 | TcpFlags::ACK.0);
pub(super) const RST: TcpFlags = TcpFlags(TcpFlags::RST.0 | TcpFlags::ACK.0);

const STARTED: KernelTime = KernelTime(7_000_000_000);
const CLIENT_PORT: u16 = 40_000;
const SERVER_PORT: u16 = 11_111;

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// The initial sequence number of each side.
fn first(host: Host) -> u32 {
    if host == Host::Client { 1_000_000 } else { 5_000_000 }
}

/// Sequence numbers that a segment occupies.
fn takes(flags: TcpFlags, len: u32) -> u32 {
    len + u32::from(flags.has(SYN)) + u32::from(flags.has(TcpFlags::FIN))
}

/// A run under construction.
pub(super) struct MadeUpRun {
    pub(super) run: Run,
    scenario: Scenario,
    now: KernelTime,
    /// The next sequence number of each side, relative to its SYN.
    next: [u32; 2],
    /// What each side has received, relative likewise.
    received: [u32; 2],
    port: u16,
    /// When each side entered its state.
    since: [KernelTime; 2],
}

fn side(host: Host) -> usize {
    usize::from(host == Host::Server)
}

impl MadeUpRun {
    pub(super) fn new(name: &str, title: &str, claim: &str) -> Self {
        let listen = CallKind::Listen { port: SERVER_PORT, backlog: 16 };
        let call = Call { socket: "listener".to_owned(), kind: listen };
        let scenario = Scenario {
            name: name.to_owned(),
            title: title.to_owned(),
            claim: claim.to_owned(),
            teaches: String::new(),
            word: name.to_owned(),
            by_hand: vec!["nc -kl 11111".to_owned()],
            sysctls: [(Host::Client, [("tcp_fin_timeout".to_owned(), "60".to_owned())].into())]
                .into(),
            expect: Vec::new(),
            takes: Duration::ZERO,
            rules: Vec::new(),
            steps: vec![ScenarioStep { line: 1, action: Action::Call(Host::Server, call) }],
        };
        let run = Run {
            scenario: Arc::new(scenario.clone()),
            profile: Profile::Full,
            family: FamilyFilter::V4,
            sysctls: [Sysctls::default(); 2],
            rate: TickRate(250),
            started: STARTED,
            ended: STARTED,
            story: Vec::new(),
            dropped: Vec::new(),
            netns: [Netns(1), Netns(2)],
            lost: 0,
            counted: 0,
            discarded: Vec::new(),
            failure: None,
            verdicts: Vec::new(),
            warnings: Vec::new(),
        };
        Self {
            run,
            scenario,
            now: STARTED,
            next: [0; 2],
            received: [0; 2],
            port: CLIENT_PORT,
            since: [STARTED; 2],
        }
    }

    /// The finished run.
    pub(super) fn end(mut self) -> Run {
        self.run.scenario = Arc::new(self.scenario);
        self.run.ended = self.now;
        self.run
    }

    pub(super) fn rule(&mut self, name: &str, host: Host, way: Way, value: TcpFlags) {
        self.scenario.rules.push(DropRule {
            name: name.to_owned(),
            host,
            drops: DroppedSegments {
                way,
                local_port: None,
                remote_port: None,
                mask: TcpFlags(0x3f),
                value,
                count: None,
                for_ns: None,
            },
            from_start: false,
        });
        self.run.dropped.push(0);
    }

    /// Sets the time to this many seconds since the start.
    pub(super) fn at(&mut self, since_start: f64) -> &mut Self {
        self.now = STARTED.after(seconds(since_start));
        self
    }

    /// Advances the time.
    fn later(&mut self, microseconds: u64) {
        self.now = self.now.after(Duration::from_micros(microseconds));
    }

    pub(super) fn add(&mut self, host: Host, what: MomentKind) -> &mut Self {
        self.run.story.push(StoryEvent { at: self.now, host, what });
        self
    }

    /// The following events are of another connection.
    pub(super) fn next_connection(&mut self) -> &mut Self {
        self.port += 1;
        self.next = [0; 2];
        self.received = [0; 2];
        self
    }

    fn ends(&self, host: Host) -> Endpoints {
        let end = |of: Host| Endpoint {
            address: of.address(self.run.family),
            port: if of == Host::Client { self.port } else { SERVER_PORT },
        };
        Endpoints { local: end(host), remote: end(host.peer()) }
    }

    fn subject(&self, host: Host) -> Subject {
        Subject {
            socket: Some(Cookie(1 + u64::from(self.port) + u64::from(host == Host::Server))),
            netns: Netns(if host == Host::Client { 11 } else { 22 }),
            ends: self.ends(host),
            cgroup: None,
            direction: Some(match host {
                Host::Client => Direction::Outgoing,
                Host::Server => Direction::Incoming,
            }),
            process: None,
            inherited: false,
        }
    }

    pub(super) fn called(&mut self, host: Host, call: &str) -> &mut Self {
        self.add(host, MomentKind::Called(system_call(call, None)))
    }

    pub(super) fn returned(&mut self, host: Host, call: &str, result: i64) -> &mut Self {
        self.later(20);
        self.add(host, MomentKind::Returned(system_call(call, Some(Ok(result)))))
    }

    pub(super) fn failed(&mut self, host: Host, call: &str, error: &str) -> &mut Self {
        self.later(20);
        self.add(host, MomentKind::Returned(system_call(call, Some(Err(error.to_owned())))))
    }

    pub(super) fn signal(&mut self, host: Host, signal: Signal) -> &mut Self {
        self.add(host, MomentKind::Signal(signal))
    }

    pub(super) fn listens(&mut self) -> &mut Self {
        let host = Host::Server;
        self.returned(host, "socket()", 3).returned(host, "bind(3)", 0);
        let mut subject = self.subject(host);
        let unspecified = Endpoint { address: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0 };
        subject.ends.remote = unspecified;
        self.later(5);
        let change = self.change(subject, TcpState::Closed, TcpState::Listen);
        self.add(host, MomentKind::TrackedEvent(Box::new(TrackedEvent::Change(change))));
        self.returned(host, "listen(3, 16)", 0)
    }

    fn change(&mut self, subject: Subject, from: TcpState, to: TcpState) -> Change {
        Change {
            at: self.now,
            subject,
            from,
            to,
            in_state: None,
            reason: (to == TcpState::Closed).then_some(Reason::Normal),
            ends_at: None,
            asked: false,
            handshake: None,
            queue: None,
            dropped: None,
            late_data: false,
            inferred: false,
            gap: false,
        }
    }

    pub(super) fn state(&mut self, host: Host, from: TcpState, to: TcpState) -> &mut Self {
        self.ends_by(host, from, to, Reason::Normal)
    }

    pub(super) fn ends_by(
        &mut self,
        host: Host,
        from: TcpState,
        to: TcpState,
        reason: Reason,
    ) -> &mut Self {
        self.later(5);
        let subject = self.subject(host);
        let mut change = self.change(subject, from, to);
        change.reason = (to == TcpState::Closed).then_some(reason);
        change.in_state = Some(self.now.since(self.since[side(host)]));
        self.since[side(host)] = self.now;
        self.add(host, MomentKind::TrackedEvent(Box::new(TrackedEvent::Change(change))))
    }

    /// A segment as the link of `host` sees it.
    fn sight(
        &self,
        host: Host,
        way: Way,
        (flags, seq, ack, len): (TcpFlags, u32, u32, u32),
        dropped_by: Option<u8>,
    ) -> MomentKind {
        MomentKind::Segment(Box::new(SegmentEvent {
            at: self.now,
            netns: Netns(if host == Host::Client { 11 } else { 22 }),
            ends: self.ends(host),
            way,
            flags,
            seq,
            ack,
            len,
            window: 64_240,
            options: TcpOptions {
                mss: flags.has(SYN).then_some(1460),
                timestamps: Some((1, 0)),
                ..TcpOptions::default()
            },
            dropped_by,
        }))
    }

    /// A segment leaves; `again` repeats the last one.
    pub(super) fn leaves(
        &mut self,
        from: Host,
        flags: TcpFlags,
        len: u32,
        again: bool,
        dropped_by: Option<u8>,
    ) -> (TcpFlags, u32, u32, u32) {
        let takes = takes(flags, len);
        if again {
            self.next[side(from)] -= takes;
        }
        let seq = first(from) + self.next[side(from)];
        let ack = first(from.peer()) + self.received[side(from)];
        let ack = if flags.has(ACK) { ack } else { 0 };
        self.next[side(from)] += takes;
        self.later(10);
        let segment = (flags, seq, ack, len);
        let sight = self.sight(from, Way::Out, segment, dropped_by);
        self.add(from, sight);
        segment
    }

    /// The segment reaches the other side.
    pub(super) fn arrives(
        &mut self,
        from: Host,
        segment: (TcpFlags, u32, u32, u32),
        dropped_by: Option<u8>,
    ) -> &mut Self {
        self.later(8);
        if let Some(dropped) = dropped_by {
            self.run.dropped[usize::from(dropped)] += 1;
        } else {
            let (flags, seq, _, len) = segment;
            self.received[side(from.peer())] = seq + takes(flags, len) - first(from);
        }
        let sight = self.sight(from.peer(), Way::In, segment, dropped_by);
        self.add(from.peer(), sight)
    }

    pub(super) fn sends(&mut self, from: Host, flags: TcpFlags, len: u32) -> &mut Self {
        let segment = self.leaves(from, flags, len, false, None);
        self.arrives(from, segment, None)
    }

    pub(super) fn loses(&mut self, from: Host, flags: TcpFlags, rule: u8) -> &mut Self {
        let segment = self.leaves(from, flags, 0, false, None);
        self.arrives(from, segment, Some(rule))
    }

    /// A segment is retransmitted, and dropped if there is a rule.
    pub(super) fn again(
        &mut self,
        from: Host,
        segment: SegmentKind,
        (attempt, gap): (u32, f64),
        dropped_by: Option<u8>,
    ) -> &mut Self {
        let (flags, state, len) = match segment {
            SegmentKind::Syn => (SYN, TcpState::SynSent, 0),
            SegmentKind::SynAck => (SYN_ACK, TcpState::SynRecv, 0),
            SegmentKind::Fin => (FIN, TcpState::FinWait1, 0),
            SegmentKind::Data => (DATA, TcpState::Established, 5),
        };
        let sent = self.leaves(from, flags, len, true, None);
        let subject = self.subject(from);
        let at = self.now;
        self.add(
            from,
            MomentKind::TrackedEvent(Box::new(TrackedEvent::Retransmit(TrackedRetransmit {
                at,
                subject,
                state,
                segment,
                attempt,
                early: false,
                since_last: Some(seconds(gap)),
                expected: Some(seconds(gap.floor())),
                next: None,
                most: (segment == SegmentKind::Syn).then_some(6),
                sent: true,
                queue: None,
            }))),
        );
        self.arrives(from, sent, dropped_by)
    }

    pub(super) fn resets(&mut self, from: Host, why: &str) -> &mut Self {
        let segment = self.leaves(from, RST, 0, false, None);
        let reset = |at, subject, direction, why| {
            let state = Some(TcpState::Closed);
            MomentKind::TrackedEvent(Box::new(TrackedEvent::Reset(TrackedReset {
                at,
                subject,
                state,
                direction,
                why,
            })))
        };
        let subject = self.subject(from);
        let sent = reset(self.now, subject, ResetDirection::Sent, Some(why.into()));
        self.add(from, sent);
        self.arrives(from, segment, None);
        self.later(4);
        let subject = self.subject(from.peer());
        let received = reset(self.now, subject, ResetDirection::Received, None);
        self.add(from.peer(), received)
    }

    pub(super) fn error(&mut self, host: Host, state: TcpState, error: u16) -> &mut Self {
        let (at, subject) = (self.now, self.subject(host));
        let Subject { socket, netns, ends, cgroup, .. } = subject;
        let socket = socket.expect("a full socket");
        let event = ErrorEvent { at, socket, netns, ends, cgroup, state, error };
        self.add(
            host,
            MomentKind::TrackedEvent(Box::new(TrackedEvent::Error(About { subject, event }))),
        )
    }

    /// Listen, connect, accept: both sides are ESTABLISHED.
    pub(super) fn handshake(&mut self) -> &mut Self {
        let (client, server) = (Host::Client, Host::Server);
        self.listens();
        self.at(0.0101).returned(client, "socket()", 3);
        self.at(0.0102).called(client, "connect(3)");
        self.state(client, TcpState::Closed, TcpState::SynSent).sends(client, SYN, 0);
        self.state(server, TcpState::Closed, TcpState::SynRecv).sends(server, SYN_ACK, 0);
        self.state(client, TcpState::SynSent, TcpState::Established).sends(client, ACK, 0);
        self.state(server, TcpState::SynRecv, TcpState::Established);
        self.returned(client, "connect(3)", 0).returned(server, "accept(3)", 4)
    }

    pub(super) fn judged(&mut self, what: &str, expected: &str, measured: &str) -> &mut Self {
        self.run.verdicts.push(Verdict {
            what: what.to_owned(),
            expected: expected.to_owned(),
            measured: measured.to_owned(),
            times: None,
            because: None,
            holds: true,
        });
        self
    }

    /// A verdict on a time; it holds if the time is within what is allowed.
    pub(super) fn timed(
        &mut self,
        what: &str,
        (promise, latest): (f64, f64),
        measured: f64,
        because: &str,
    ) -> &mut Self {
        let allowed = Window { promise: seconds(promise), latest: seconds(latest) };
        self.run.verdicts.push(Verdict {
            what: what.to_owned(),
            expected: String::new(),
            measured: String::new(),
            times: Some(Times { allowed, measured: seconds(measured) }),
            because: Some(because.to_owned()),
            holds: (promise..=latest).contains(&measured),
        });
        self
    }
}

fn system_call(call: &str, result: Option<Result<i64, String>>) -> SystemCall {
    let (name, _) = call.split_once('(').expect("a call");
    SystemCall { socket: "main".to_owned(), name: name.to_owned(), call: call.to_owned(), result }
}
