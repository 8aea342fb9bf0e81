//! The form of what happened: calls, rules and signals of the laboratory, and lines of the live log.

use std::net::IpAddr;

use serde::Deserialize;
use tcpwatch_core::{
    event::{
        About, Cookie, Direction, Endpoint, Endpoints, ErrorEvent, KernelTime, Netns,
        ResetDirection, SegmentEvent, SegmentKind, Subject, TcpFlags, TcpOptions, TcpState, Way,
    },
    timing::{Next, Then, Window},
    track::{Change, Handshake, Reason, Restart, TrackedEvent, TrackedReset, TrackedRetransmit},
};

use super::document::duration;
use crate::{
    host::Host,
    scenario::Signal,
    story::{MomentKind, StoryEvent, SystemCall},
};

/// A moment. Which fields there are depends on `event`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of all kinds of events")]
pub(super) struct MomentForm {
    event: String,
    mono_ns: u64,
    host: Option<Host>,
    socket: Option<u64>,
    netns: u32,
    local: Option<EndForm>,
    remote: Option<EndForm>,
    direction: Option<String>,
    from: String,
    to: String,
    state: Option<String>,
    states: Vec<String>,
    in_state_s: Option<f64>,
    reason: Option<String>,
    late_data: bool,
    asked: bool,
    handshake: Option<String>,
    ends_in_s: Option<f64>,
    inferred: bool,
    gap: bool,
    starts: bool,
    kind: String,
    attempt: u32,
    since_last_s: Option<f64>,
    expected_s: Option<f64>,
    early: bool,
    not_sent: bool,
    next_in_s: Option<f64>,
    next_in_at_most_s: Option<f64>,
    gives_up_in_s: Option<f64>,
    gives_up_in_at_most_s: Option<f64>,
    attempts_at_most: Option<u32>,
    why: Option<String>,
    errno: u16,
    flags: String,
    seq: u32,
    ack: u32,
    len: u32,
    window: u16,
    options: OptionsForm,
    dropped_by: Option<u8>,
    socket_name: String,
    name: String,
    call: String,
    result: Option<i64>,
    errno_name: Option<String>,
    signal: String,
    rule: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct EndForm {
    addr: IpAddr,
    port: u16,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct OptionsForm {
    mss: Option<u16>,
    window_scale: Option<u8>,
    sack_permitted: bool,
    timestamp: Option<u32>,
    timestamp_echo: Option<u32>,
    sack_blocks: u8,
    fast_open: bool,
}

impl MomentForm {
    /// The moment; `None` for a kind of event that is not known or not drawn. `rules` are the names of the rules.
    pub(super) fn moment(self, rules: &[&str]) -> Result<Option<StoryEvent>, String> {
        let host = self.host.ok_or("it names no host")?;
        let at = KernelTime(self.mono_ns);
        let slot = |name: &str| {
            let slot = rules.iter().position(|rule| *rule == name);
            slot.ok_or_else(|| format!("there is no rule \"{name}\""))
        };
        let what = match self.event.as_str() {
            "call" => MomentKind::Called(SystemCall { result: None, ..self.call() }),
            "return" => MomentKind::Returned(self.call()),
            "signal" => MomentKind::Signal(match self.signal.as_str() {
                "SIGSTOP" => Signal::Stop,
                "SIGCONT" => Signal::Continue,
                "SIGKILL" => Signal::Kill,
                other => return Err(format!("the signal \"{other}\" is not known")),
            }),
            "rule_set" => MomentKind::RuleSet(slot(&self.rule)?),
            "rule_released" => MomentKind::RuleReleased(slot(&self.rule)?),
            "witness" => {
                let states = self.states.iter().map(|word| state(word));
                MomentKind::Witness(states.collect::<Result<_, _>>()?)
            }
            "segment" => MomentKind::Segment(Box::new(self.segment(at)?)),
            "state" => tracked(TrackedEvent::Change(self.change(at)?)),
            "restart" => tracked(TrackedEvent::Restart(self.restart(at)?)),
            "retransmit" => tracked(TrackedEvent::Retransmit(self.retransmit(at)?)),
            "reset" => tracked(TrackedEvent::Reset(self.reset(at)?)),
            "error" => tracked(TrackedEvent::Error(self.error(at)?)),
            _ => return Ok(None),
        };
        Ok(Some(StoryEvent { at, host, what }))
    }

    fn call(self) -> SystemCall {
        let result = match (self.errno_name, self.result) {
            (Some(error), _) => Some(Err(error)),
            (None, result) => result.map(Ok),
        };
        SystemCall { socket: self.socket_name, name: self.name, call: self.call, result }
    }

    fn ends(&self) -> Result<Endpoints, String> {
        let end = |end: Option<EndForm>, name: &str| {
            let EndForm { addr, port } = end.ok_or_else(|| format!("{name} is missing"))?;
            Ok::<_, String>(Endpoint { address: addr, port })
        };
        Ok(Endpoints { local: end(self.local, "local")?, remote: end(self.remote, "remote")? })
    }

    fn subject(&self) -> Result<Subject, String> {
        let socket = self.socket.map(Cookie);
        let mut subject = Subject::unknown(socket, Netns(self.netns), self.ends()?);
        subject.direction = match self.direction.as_deref() {
            Some("outgoing") => Some(Direction::Outgoing),
            Some("incoming") => Some(Direction::Incoming),
            Some("both") => Some(Direction::Both),
            // Of a reset it is the way that it went.
            _ => None,
        };
        Ok(subject)
    }

    fn ends_at(&self, at: KernelTime) -> Result<Option<KernelTime>, String> {
        Ok(self.ends_in_s.map(duration).transpose()?.map(|time| at.after(time)))
    }

    fn change(&self, at: KernelTime) -> Result<Change, String> {
        let plain =
            Change::plain(at, self.subject()?, (state(&self.from)?, None), state(&self.to)?);
        let reason = |word: &str| {
            let known = Reason::ALL.into_iter().find(|reason| reason.word() == word);
            known.ok_or_else(|| format!("the reason \"{word}\" is not known"))
        };
        let handshake = |word: &str| {
            let known = [Handshake::FastOpen, Handshake::SynCookie];
            let known = known.into_iter().find(|handshake| handshake.word() == word);
            known.ok_or_else(|| format!("the handshake \"{word}\" is not known"))
        };
        Ok(Change {
            in_state: self.in_state_s.map(duration).transpose()?,
            reason: self.reason.as_deref().map(reason).transpose()?,
            late_data: self.late_data,
            ends_at: self.ends_at(at)?,
            asked: self.asked,
            handshake: self.handshake.as_deref().map(handshake).transpose()?,
            inferred: self.inferred,
            gap: self.gap,
            ..plain
        })
    }

    fn restart(&self, at: KernelTime) -> Result<Restart, String> {
        Ok(Restart {
            at,
            subject: self.subject()?,
            state: self.own_state()?,
            in_state: self.in_state_s.map(duration).transpose()?,
            ends_at: self.ends_at(at)?,
            starts: self.starts,
            inferred: self.inferred,
        })
    }

    fn retransmit(&self, at: KernelTime) -> Result<TrackedRetransmit, String> {
        let segment = SegmentKind::ALL.into_iter().find(|segment| segment.word() == self.kind);
        let next = wait(self.next_in_s, self.next_in_at_most_s, Then::Attempt)?;
        let gives_up = wait(self.gives_up_in_s, self.gives_up_in_at_most_s, Then::GivesUp)?;
        Ok(TrackedRetransmit {
            at,
            subject: self.subject()?,
            state: self.own_state()?,
            segment: segment.ok_or_else(|| format!("the kind \"{}\" is not known", self.kind))?,
            attempt: self.attempt,
            early: self.early,
            since_last: self.since_last_s.map(duration).transpose()?,
            expected: self.expected_s.map(duration).transpose()?,
            next: next.or(gives_up),
            most: self.attempts_at_most,
            sent: !self.not_sent,
            queue: None,
        })
    }

    fn reset(self, at: KernelTime) -> Result<TrackedReset, String> {
        let direction = match self.direction.as_deref() {
            Some("sent") => ResetDirection::Sent,
            Some("received") => ResetDirection::Received,
            other => return Err(format!("the direction {other:?} is not known")),
        };
        let subject = self.subject()?;
        let state = self.state.as_deref().map(state).transpose()?;
        Ok(TrackedReset { at, subject, state, direction, why: self.why.map(Into::into) })
    }

    fn error(&self, at: KernelTime) -> Result<About<ErrorEvent>, String> {
        let subject = self.subject()?;
        let Subject { netns, ends, .. } = subject;
        let socket = Cookie(self.socket.ok_or("socket is missing")?);
        let (state, error) = (self.own_state()?, self.errno);
        let event = ErrorEvent { at, socket, netns, ends, cgroup: None, state, error };
        Ok(About { subject, event })
    }

    fn segment(&self, at: KernelTime) -> Result<SegmentEvent, String> {
        let options = self.options;
        Ok(SegmentEvent {
            at,
            netns: Netns(self.netns),
            ends: self.ends()?,
            way: match self.direction.as_deref() {
                Some("in") => Way::In,
                Some("out") => Way::Out,
                other => return Err(format!("the direction {other:?} is not known")),
            },
            flags: flags(&self.flags)?,
            seq: self.seq,
            ack: self.ack,
            len: self.len,
            window: self.window,
            options: TcpOptions {
                mss: options.mss,
                window_scale: options.window_scale,
                sack_permitted: options.sack_permitted,
                timestamps: options.timestamp.zip(options.timestamp_echo),
                sack_blocks: options.sack_blocks,
                fast_open: options.fast_open,
            },
            dropped_by: self.dropped_by,
        })
    }

    fn own_state(&self) -> Result<TcpState, String> {
        state(self.state.as_deref().ok_or("state is missing")?)
    }
}

fn tracked(tracked: TrackedEvent) -> MomentKind {
    MomentKind::TrackedEvent(Box::new(tracked))
}

fn wait(promise: Option<f64>, latest: Option<f64>, then: Then) -> Result<Option<Next>, String> {
    let (Some(promise), Some(latest)) = (promise, latest) else { return Ok(None) };
    let wait = Window { promise: duration(promise)?, latest: duration(latest)? };
    Ok(Some(Next { wait, then }))
}

/// `state#13` is a number of the kernel's that has no name.
fn state(word: &str) -> Result<TcpState, String> {
    let number = word.strip_prefix("state#").and_then(|number| number.parse().ok());
    let known = number.map(TcpState::from_kernel).or_else(|| word.parse().ok());
    known.ok_or_else(|| format!("the state \"{word}\" is not known"))
}

/// `SYN+ACK`; `none` without any.
fn flags(words: &str) -> Result<TcpFlags, String> {
    let mut flags = TcpFlags::default();
    for word in words.split('+').filter(|word| *word != "none") {
        let known = TcpFlags::NAMES.iter().find(|(_, name)| *name == word);
        let (flag, _) = known.ok_or_else(|| format!("the flag \"{word}\" is not known"))?;
        flags.0 |= flag.0;
    }
    Ok(flags)
}
