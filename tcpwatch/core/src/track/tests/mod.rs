//! What the tracker makes of sequences of events, as the kernel was seen to send them.

mod changes;
mod half_open;
mod lives;
mod missed;
mod owners;
mod queues;
mod resets;
mod retries;
mod segment_times;
mod segments;
mod stays;
mod takeover;
mod time_wait;

use std::time::Duration;

use super::*;
use crate::event::{
    Direction, EarlyEnd, Endpoint, Jiffies, MiniEvent, MiniKind, ResetDirection, RetransmitEvent,
    SegmentKind, StateEvent, TimerEvent, Trigger, Via, process::Comm,
};
use TcpState::{
    CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent, TimeWait,
};

const CLIENT: u16 = 40_000;
const SERVER: u16 = 80;
const NETNS: Netns = Netns(7);
const RATE: TickRate = TickRate(250);
/// Tick 1,000,000 is at 0 s of the test's clock.
const TICK_ZERO: u64 = 1_000_000;

fn ms(milliseconds: u64) -> KernelTime {
    KernelTime(1_000_000_000_000 + milliseconds * 1_000_000)
}

fn tick(milliseconds: u64) -> Jiffies {
    Jiffies(TICK_ZERO + milliseconds / 4)
}

fn end(port: u16) -> Endpoint {
    Endpoint { address: [127, 0, 0, 1].into(), port }
}

fn client_ends() -> Endpoints {
    Endpoints { local: end(CLIENT), remote: end(SERVER) }
}

fn server_ends() -> Endpoints {
    Endpoints { local: end(SERVER), remote: end(CLIENT) }
}

#[expect(clippy::unnecessary_wraps, reason = "owners are optional wherever this is compared")]
fn process(pid: u32, via: Via) -> Option<Process> {
    Some(Process::named(pid, Comm::from_text("test"), via))
}

/// A state change of socket `socket`.
fn state(at: u64, socket: u64, from: TcpState, to: TcpState) -> StateEvent {
    StateEvent {
        at: ms(at),
        socket: Cookie(socket),
        netns: NETNS,
        ends: if socket == 1 { client_ends() } else { server_ends() },
        cgroup: None,
        from,
        to,
        error: 0,
        orphaned: false,
        peer_finished: false,
        process: None,
        no_fin_wait: false,
        fast_open: false,
        syn_cookie: false,
        round_trip: None,
        timer: None,
        kept_back: false,
        totals: None,
        reset_sent: false,
        closing: 0,
    }
}

/// A timer event of the client's timewait socket.
fn timewait(at: u64, timer: TimerEvent, state: TcpState, due: Jiffies) -> MiniEvent {
    MiniEvent {
        listener: None,
        listener_dropped: 0,
        at: ms(at),
        socket: Some(Cookie(1)),
        netns: NETNS,
        ends: client_ends(),
        cgroup: None,
        kind: MiniKind::TimeWait,
        state,
        timer,
        due,
        tick: tick(at),
        ended_by: None,
        listens: None,
        not_fired: false,
        replaces: None,
    }
}

/// A timer event of the server's request socket.
fn request(at: u64, timer: TimerEvent) -> MiniEvent {
    MiniEvent {
        socket: None,
        ends: server_ends(),
        kind: MiniKind::Request,
        ..timewait(at, timer, SynRecv, tick(at + 1000))
    }
}

const RELIANCE: Reliance =
    Reliance { gapless: true, minis: true, lives: false, selective: false, rate: RATE };

fn tracker() -> Tracker {
    Tracker::new(RELIANCE)
}

fn listening(tracker: &mut Tracker, pid: u32) {
    let mut event = state(0, 9, Closed, Listen);
    event.ends.remote = Endpoint { address: [0, 0, 0, 0].into(), port: 0 };
    event.process = process(pid, Via::Listen);
    tracker.apply(&Event::State(event), |_| {});
}

/// The kernel lists no socket at all.
fn nothing_left(at: u64) -> Census {
    Census::new((ms(at), ms(at + 1)), [NETNS], [])
}

/// Applies events and settles everything.
fn tell(tracker: &mut Tracker, events: impl IntoIterator<Item = Event>) -> Vec<TrackedEvent> {
    let mut yielded = Vec::new();
    for event in events {
        tracker.apply(&event, |one| yielded.push(one));
    }
    tracker.settle(KernelTime(u64::MAX), &mut |one| yielded.push(one));
    yielded
}

fn changes(yielded: &[TrackedEvent]) -> Vec<&Change> {
    yielded
        .iter()
        .filter_map(|one| match one {
            TrackedEvent::Change(change) => Some(change),
            _ => None,
        })
        .collect()
}

/// Whole milliseconds, `-` for a duration that is not known.
fn whole_ms(duration: Option<Duration>) -> String {
    duration.map_or("-".to_owned(), |duration| duration.as_millis().to_string())
}

/// `FROM TO after-ms reason`; the other kinds of event begin with a word in lower case or with
/// `STATE again`.
fn lines(yielded: &[TrackedEvent]) -> Vec<String> {
    yielded.iter().map(line).collect()
}

fn line(yielded: &TrackedEvent) -> String {
    let inferred = |inferred| if inferred { " inferred" } else { "" };
    match yielded {
        TrackedEvent::Change(change) => {
            let reason =
                change.reason.map_or(String::new(), |reason| format!(" {}", reason.word()));
            let after = whole_ms(change.in_state);
            let inferred = inferred(change.inferred);
            let gap = if change.gap { " gap" } else { "" };
            format!("{} {} {after}{reason}{inferred}{gap}", change.from, change.to)
        }
        TrackedEvent::Restart(restart) => {
            let after = whole_ms(restart.in_state);
            let what = if restart.starts { "timed" } else { "again" };
            format!("{} {what} {after}{}", restart.state, inferred(restart.inferred))
        }
        TrackedEvent::Existing(existing) => {
            format!("{} existing {}", existing.state, whole_ms(existing.in_state))
        }
        TrackedEvent::Still(still) => format!("{} still {}", still.state, whole_ms(still.in_state)),
        TrackedEvent::Others(others) => format!("{} others {}", others.state, others.count),
        TrackedEvent::Retransmit(again) => {
            format!("{} {} {}", again.segment.word(), again.attempt, whole_ms(again.since_last))
        }
        TrackedEvent::Reset(reset) => {
            let state = reset.state.map_or("-".to_owned(), |state| state.to_string());
            let why = reset.why.as_deref().unwrap_or("-");
            format!("{:?} {state} {why}", reset.direction).to_lowercase()
        }
        TrackedEvent::Error(error) => format!("error {} {}", error.event.error, error.event.state),
        TrackedEvent::Connection(connection) => format!("life {}", connection.end.word()),
        TrackedEvent::Segment(segment) => format!("segment {}", segment.flags),
    }
}

/// The client connects at 0 ms, closes at 100 ms; its FIN is acknowledged at 110 ms.
fn client_until_fin_wait_2() -> Vec<Event> {
    let mut connect = state(0, 1, Closed, SynSent);
    connect.process = process(42, Via::Connect);
    vec![
        Event::State(connect),
        Event::State(state(1, 1, SynSent, Established)),
        Event::State(state(100, 1, Established, FinWait1)),
        Event::State(state(110, 1, FinWait1, FinWait2)),
    ]
}

fn burial(at: u64) -> Event {
    Event::State(StateEvent { orphaned: true, ..state(at, 1, FinWait2, Closed) })
}
