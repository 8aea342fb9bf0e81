//! Events become changes: durations, owners, directions, reasons, and whatever the kernel did not
//! report. Pure: no clock, no lock, no I/O; time comes from the events.

mod listeners;
mod reason;

use std::{collections::HashMap, time::Duration};

use rustc_hash::FxBuildHasher;

use crate::{
    event::{
        Cookie, Direction, Endpoints, Event, KernelTime, Netns, Process, StateEvent, TcpState, Via,
    },
    source::snapshot::{KnownKind, KnownSocket},
};
use listeners::Listeners;
pub use reason::Reason;

/// Sockets tracked at most. One takes about 120 bytes, so the table stays below 64 MiB.
pub const MAX_SOCKETS: usize = 1 << 18;
/// Sockets that wait at most for a port to become known.
pub const MAX_UNDECIDED: usize = 4096;

/// A change of a socket's state, with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, by the kernel's clock.
    pub at: KernelTime,
    /// Which socket.
    pub socket: Cookie,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// Who connected to whom; `None` for listeners and when nothing tells.
    pub direction: Option<Direction>,
    /// State that was left.
    pub from: TcpState,
    /// State that was entered.
    pub to: TcpState,
    /// How long the left state lasted; `None` if its beginning was not seen.
    pub in_state: Option<Duration>,
    /// Why, on the way to CLOSED.
    pub reason: Option<Reason>,
    /// The owner.
    pub process: Option<Process>,
    /// The owner is that of the listener that accepted the connection.
    pub inherited: bool,
    /// The kernel did not report this change; it follows from the next one.
    pub inferred: bool,
}

#[derive(Clone, Debug)]
struct Connection {
    netns: Netns,
    ends: Endpoints,
    state: TcpState,
    /// When `state` was entered, if that was seen.
    since: Option<KernelTime>,
    direction: Option<Direction>,
    process: Option<Process>,
    inherited: bool,
    /// Last event or the end of the snapshot.
    seen: KernelTime,
    /// Known only from the snapshot: events older than `seen` are no contradiction.
    from_snapshot: bool,
}

/// Totals the tracker keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections seen to open, or open when tcpwatch started.
    pub connections: u64,
    /// Changes the kernel did not report and that were inferred.
    pub inferred: u64,
    /// Sockets not tracked because the table was full.
    pub table_full: u64,
    /// Sockets forgotten while they waited for a port to become known.
    pub undecided: u64,
}

/// Everything known about the sockets that are alive.
#[derive(Debug)]
pub struct Tracker {
    sockets: HashMap<Cookie, Connection, FxBuildHasher>,
    listeners: Listeners,
    /// Events that wait for a port to become known.
    undecided: HashMap<Cookie, StateEvent, FxBuildHasher>,
    /// Every change of a socket arrives here, so that a gap means a loss.
    gapless: bool,
    tally: Tally,
}

impl Tracker {
    /// An empty tracker. `gapless` says that the filters let every change of a wanted socket pass.
    #[must_use]
    pub fn new(gapless: bool) -> Self {
        Self {
            sockets: HashMap::default(),
            listeners: Listeners::default(),
            undecided: HashMap::default(),
            gapless,
            tally: Tally::default(),
        }
    }

    /// Learns of a socket that existed when a snapshot was taken, before any of its events is
    /// applied.
    pub fn learn(&mut self, known: &KnownSocket) {
        if known.kind != KnownKind::Full {
            return;
        }
        if known.state == TcpState::Listen {
            self.listeners.add(known.netns, &known.ends.local, known.socket, known.owner);
        } else {
            self.tally.connections += 1;
        }
        self.insert(
            known.socket,
            Connection {
                netns: known.netns,
                ends: known.ends,
                state: known.state,
                since: None,
                direction: None,
                process: known.owner,
                inherited: false,
                seen: known.seen,
                from_snapshot: true,
            },
        );
    }

    /// Once all listeners of the snapshot are known: a connection to one of their ports came in.
    pub fn infer_directions(&mut self) {
        for connection in self.sockets.values_mut() {
            if connection.state != TcpState::Listen {
                let accepted =
                    self.listeners.find(connection.netns, &connection.ends.local).is_some();
                connection.direction =
                    Some(if accepted { Direction::Incoming } else { Direction::Outgoing });
            }
        }
    }

    /// Applies an event; hands out the changes it makes known, in the order in which they happened.
    pub fn apply(&mut self, event: Event, mut out: impl FnMut(Change)) {
        let Event::State(event) = event;
        if event.undecided {
            self.hold(event);
            return;
        }
        if let Some(held) = self.undecided.remove(&event.socket) {
            let completed = StateEvent { ends: event.ends, undecided: false, ..held };
            self.transition(&completed, &mut out);
        }
        self.transition(&event, &mut out);
    }

    /// Sockets that are alive, by what was seen of them.
    #[must_use]
    pub fn open(&self) -> usize {
        self.sockets.values().filter(|socket| socket.state != TcpState::Listen).count()
    }

    /// Totals so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Compares with what is alive now, after losses: a socket that is gone without a word from the
    /// kernel has closed. `alive` tells whether a socket exists, `None` if that is not known.
    pub fn reconcile(
        &mut self,
        taken: KernelTime,
        alive: impl Fn(Cookie, Netns) -> Option<bool>,
        mut out: impl FnMut(Change),
    ) {
        let gone: Vec<Cookie> = self
            .sockets
            .iter()
            .filter(|(socket, known)| {
                known.seen < taken && alive(**socket, known.netns) == Some(false)
            })
            .map(|(socket, _)| *socket)
            .collect();
        for socket in gone {
            if let Some(connection) = self.sockets.remove(&socket) {
                self.listeners.remove(connection.netns, &connection.ends.local, socket);
                self.tally.inferred += 1;
                let mut change = connection.change(socket, taken, TcpState::Closed);
                change.inferred = true;
                change.reason = Some(Reason::Unknown);
                out(change);
            }
        }
    }

    fn hold(&mut self, event: StateEvent) {
        if self.undecided.len() >= MAX_UNDECIDED {
            // The oldest is the least likely to come back; finding it is rare and bounded.
            let oldest =
                self.undecided.iter().min_by_key(|(_, held)| held.at).map(|(socket, _)| *socket);
            if let Some(oldest) = oldest {
                self.undecided.remove(&oldest);
                self.tally.undecided += 1;
            }
        }
        self.undecided.insert(event.socket, event);
    }

    fn transition(&mut self, event: &StateEvent, out: &mut impl FnMut(Change)) {
        let mut connection = match self.sockets.remove(&event.socket) {
            Some(connection) => connection,
            None => self.begin(event),
        };
        connection.ends = event.ends;
        if connection.state != event.from {
            self.bridge(&mut connection, event, out);
        }
        self.identify(&mut connection, event);

        let to = reason::true_target(event);
        if to == event.from {
            // The kernel let go of the full socket, the state goes on in a mini-socket.
            return;
        }
        let mut change = connection.change(event.socket, event.at, to);
        if to == TcpState::Closed {
            change.reason = Some(reason::of_end(event));
        }
        out(change);

        if event.to == TcpState::Closed {
            self.listeners.remove(event.netns, &event.ends.local, event.socket);
        } else {
            connection.state = event.to;
            connection.since = Some(event.at);
            connection.seen = event.at;
            connection.from_snapshot = false;
            self.insert(event.socket, connection);
        }
    }

    /// A socket that was not known.
    fn begin(&mut self, event: &StateEvent) -> Connection {
        let is_listener = event.to == TcpState::Listen
            || event.from == TcpState::Listen && event.to == TcpState::Closed;
        if !is_listener {
            self.tally.connections += 1;
        }
        Connection {
            netns: event.netns,
            ends: event.ends,
            state: event.from,
            since: None,
            direction: None,
            process: None,
            inherited: false,
            seen: event.at,
            from_snapshot: false,
        }
    }

    /// The socket is not in the state the kernel says it leaves: at least one change was missed,
    /// unless the snapshot is to blame or a filter.
    fn bridge(
        &mut self,
        connection: &mut Connection,
        event: &StateEvent,
        out: &mut impl FnMut(Change),
    ) {
        let raced = connection.from_snapshot && event.at <= connection.seen;
        if self.gapless && !raced {
            self.tally.inferred += 1;
            let mut change = connection.change(event.socket, event.at, event.from);
            change.inferred = true;
            change.in_state = None;
            out(change);
        }
        connection.state = event.from;
        connection.since = None;
    }

    /// Who owns the socket, and who connected to whom.
    fn identify(&mut self, connection: &mut Connection, event: &StateEvent) {
        match (event.from, event.to) {
            (_, TcpState::Listen) => {
                connection.process = event.process;
                self.listeners.add(event.netns, &event.ends.local, event.socket, event.process);
                return;
            }
            (_, TcpState::SynSent) => connection.direction = Some(Direction::Outgoing),
            (TcpState::SynSent, TcpState::SynRecv) => connection.direction = Some(Direction::Both),
            _ => {}
        }
        if connection.process.is_none() && event.process.is_some() {
            connection.process = event.process;
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

    fn insert(&mut self, socket: Cookie, connection: Connection) {
        if self.sockets.len() >= MAX_SOCKETS {
            self.tally.table_full += 1;
            return;
        }
        self.sockets.insert(socket, connection);
    }
}

impl Connection {
    /// The change from the present state to `to`.
    fn change(&self, socket: Cookie, at: KernelTime, to: TcpState) -> Change {
        Change {
            at,
            socket,
            netns: self.netns,
            ends: self.ends,
            direction: self.direction,
            from: self.state,
            to,
            in_state: self.since.map(|since| at.since(since)),
            reason: None,
            process: self.process,
            inherited: self.inherited,
            inferred: false,
        }
    }
}
