//! The events of each socket from its opening to its end, and the two ends of each connection put together.

use tcpwatch_core::{
    event::{Cookie, Direction, Endpoints, KernelTime, Netns, TcpState},
    track::{Change, Reason, Restart, TrackedEvent, TrackedRetransmit},
};

use super::ReconstructError;
use crate::host::Host;

/// One end of a connection, or a listener: what the recording has of it.
#[derive(Debug)]
pub(super) struct EndLife<'a> {
    pub(super) netns: Netns,
    pub(super) cookie: Option<Cookie>,
    /// With the port that was chosen, if it was.
    pub(super) ends: Endpoints,
    pub(super) direction: Option<Direction>,
    pub(super) changes: Vec<&'a Change>,
    pub(super) again: Vec<&'a TrackedRetransmit>,
    pub(super) restarts: Vec<&'a Restart>,
    /// The accept queue of its listener was full when it was opened: how many may wait.
    pub(super) full_queue: Option<u32>,
}

impl EndLife<'_> {
    /// When it was first seen.
    pub(super) fn began(&self) -> KernelTime {
        let change = self.changes.first().map(|change| change.at);
        let again = self.again.first().map(|again| again.at);
        change.into_iter().chain(again).min().unwrap_or(KernelTime(0))
    }

    /// When it enters a state first.
    pub(super) fn enters(&self, state: TcpState) -> Option<KernelTime> {
        self.changes.iter().find(|change| change.to == state).map(|change| change.at)
    }

    /// The state before the first change.
    pub(super) fn first(&self) -> Option<TcpState> {
        self.changes.first().map(|change| change.from)
    }

    /// It called `connect()` in the recording.
    pub(super) fn connects(&self) -> bool {
        self.enters(TcpState::SynSent).is_some()
    }

    /// The states, from the first to the last.
    pub(super) fn chain(&self) -> Vec<TcpState> {
        let changes = self.changes.iter().filter(|change| change.from != change.to);
        self.first().into_iter().chain(changes.map(|change| change.to)).collect()
    }
}

/// A connection with what the recording has of its two ends, or a listener alone.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    /// The end that connected, or both did and it was the first.
    pub(super) opener: Option<EndLife<'a>>,
    /// The end that was connected to.
    pub(super) other: Option<EndLife<'a>>,
    /// The listener, if there is no connection.
    pub(super) listener: Option<EndLife<'a>>,
    /// The endpoints as the opener sees them.
    pub(super) tuple: Endpoints,
}

impl<'a> Conversation<'a> {
    /// The ends with the hosts that play them.
    pub(super) fn ends(&self) -> impl Iterator<Item = (Host, &EndLife<'a>)> {
        let server = self.other.as_ref().or(self.listener.as_ref());
        let client = self.opener.as_ref().map(|life| (Host::Client, life));
        client.into_iter().chain(server.map(|life| (Host::Server, life)))
    }

    /// One end.
    pub(super) const fn end(&self, host: Host) -> Option<&EndLife<'a>> {
        match host {
            Host::Client => self.opener.as_ref(),
            Host::Server => self.other.as_ref(),
        }
    }

    pub(super) fn has(&self, socket: Cookie) -> bool {
        self.ends().any(|(_, life)| life.cookie == Some(socket))
    }

    pub(super) fn began(&self) -> KernelTime {
        self.ends().map(|(_, life)| life.began()).min().unwrap_or(KernelTime(0))
    }

    /// When the opener was refused.
    pub(super) fn refused(&self) -> Option<KernelTime> {
        let changes = &self.opener.as_ref()?.changes;
        let refused = changes.iter().find(|change| change.reason == Some(Reason::Refused));
        refused.map(|change| change.at)
    }

    /// Both ends connected.
    pub(super) fn is_simultaneous(&self) -> bool {
        self.other.as_ref().is_some_and(EndLife::connects)
    }

    /// Between the same two addresses, in the same direction.
    pub(super) fn is_between(&self, other: &Self) -> bool {
        let (one, other) = (self.tuple, other.tuple);
        self.listener.is_some()
            || (one.local.address, one.remote.address)
                == (other.local.address, other.remote.address)
    }

    /// Whether changes are missing that cannot be assumed.
    pub(super) fn gap(&self) -> Option<ReconstructError> {
        self.ends().find_map(|(_, life)| {
            let socket = || {
                let port = || format!("on port {}", life.ends.local.port);
                life.cookie.map_or_else(port, |cookie| cookie.0.to_string())
            };
            if let Some(state) = life.first().filter(|state| {
                !matches!(state, TcpState::Closed | TcpState::Listen | TcpState::Established)
            }) {
                let state = state.to_string();
                return Some(ReconstructError::Begun { socket: socket(), state });
            }
            let gap = life.changes.iter().find(|change| change.gap)?;
            let socket = socket();
            let (from, to) = (gap.from.to_string(), gap.to.to_string());
            Some(ReconstructError::Gap { socket, from, to })
        })
    }

    /// In a list to choose from.
    pub(super) fn line(&self) -> String {
        let Endpoints { local, remote } = self.tuple;
        let sockets = self.ends().filter_map(|(_, life)| life.cookie);
        let sockets: Vec<_> = sockets.map(|cookie| format!("--socket {}", cookie.0)).collect();
        let sockets = sockets.first().map_or("", String::as_str);
        let states = self.ends().next().map(|(_, life)| life.chain()).unwrap_or_default();
        let states: Vec<_> = states.iter().map(ToString::to_string).collect();
        format!(
            "  {sockets}  {}:{} to {}:{}  {}",
            local.address,
            local.port,
            remote.address,
            remote.port,
            states.join(" ")
        )
    }
}

const fn mirrored(ends: Endpoints) -> Endpoints {
    Endpoints { local: ends.remote, remote: ends.local }
}

/// All connections, and all listeners by themselves, in the order in which they began.
pub(super) fn conversations(events: &[TrackedEvent]) -> Vec<Conversation<'_>> {
    let (listeners, lives): (Vec<_>, Vec<_>) =
        lives(events).into_iter().partition(|life| life.ends.remote.port == 0);
    let (opening, opened): (Vec<_>, Vec<_>) = lives.into_iter().partition(is_opener);
    let mut opened: Vec<Option<EndLife<'_>>> = opened.into_iter().map(Some).collect();
    let mut all: Vec<Conversation<'_>> = Vec::new();
    for life in opening {
        // Both connected: the later of the two is the other end.
        let met = all.iter_mut().find(|known| {
            known.other.is_none()
                && known.opener.as_ref().is_some_and(|opener| {
                    mirrored(opener.ends) == life.ends && !has_ended(opener, life.began())
                })
        });
        if let Some(met) = met {
            met.other = Some(life);
            continue;
        }
        let is_other = |other: &EndLife<'_>| {
            mirrored(other.ends) == life.ends && !has_ended(&life, other.began())
        };
        let place = opened.iter_mut().find(|other| other.as_ref().is_some_and(is_other));
        let other = place.and_then(Option::take);
        all.push(Conversation { tuple: life.ends, opener: Some(life), other, listener: None });
    }
    let alone = opened.into_iter().flatten();
    all.extend(alone.map(|life| Conversation {
        tuple: mirrored(life.ends),
        opener: None,
        other: Some(life),
        listener: None,
    }));
    all.extend(listeners.into_iter().map(|life| Conversation {
        tuple: mirrored(life.ends),
        opener: None,
        other: None,
        listener: Some(life),
    }));
    all.sort_by_key(Conversation::began);
    all
}

/// Whether the life was over, its port free again, before this moment.
fn has_ended(life: &EndLife<'_>, at: KernelTime) -> bool {
    life.enters(TcpState::Closed).is_some_and(|closed| closed < at)
}

fn is_opener(life: &EndLife<'_>) -> bool {
    match life.first() {
        Some(TcpState::Closed) => true,
        Some(TcpState::Listen) => false,
        // It was there before the recording began: who connected is known, or the higher port is taken for the client's.
        _ => match life.direction {
            Some(Direction::Incoming) => false,
            Some(_) => true,
            None => life.ends.local.port >= life.ends.remote.port,
        },
    }
}

/// The events of each socket, by its cookie where it has one.
fn lives(events: &[TrackedEvent]) -> Vec<EndLife<'_>> {
    let mut lives: Vec<EndLife<'_>> = Vec::new();
    for event in events {
        let begins = match event {
            TrackedEvent::Change(change) => {
                matches!(change.from, TcpState::Closed | TcpState::Listen)
                    && change.to != TcpState::Closed
            }
            TrackedEvent::Retransmit(_) | TrackedEvent::Restart(_) => false,
            _ => continue,
        };
        let subject = event.subject();
        let known = lives.iter().rposition(|life| match (subject.socket, life.cookie) {
            (Some(cookie), Some(known)) => cookie == known,
            _ => life.netns == subject.netns && life.ends == subject.ends,
        });
        let place = known.filter(|_| !begins).unwrap_or_else(|| {
            lives.push(EndLife {
                netns: subject.netns,
                cookie: subject.socket,
                ends: subject.ends,
                direction: subject.direction,
                changes: Vec::new(),
                again: Vec::new(),
                restarts: Vec::new(),
                full_queue: None,
            });
            lives.len() - 1
        });
        let Some(life) = lives.get_mut(place) else { continue };
        life.cookie = life.cookie.or(subject.socket);
        life.direction = life.direction.or(subject.direction);
        if subject.ends.local.port != 0 {
            life.ends = subject.ends;
        }
        match event {
            TrackedEvent::Change(change) => {
                let full = change.queue.as_ref().filter(|queue| queue.waiting >= queue.most);
                life.full_queue = life.full_queue.or(full.map(|queue| queue.most));
                life.changes.push(change);
            }
            TrackedEvent::Retransmit(again) => life.again.push(again),
            TrackedEvent::Restart(restart) => life.restarts.push(restart),
            _ => {}
        }
    }
    lives
}
