//! The state changes of a host by socket: which socket was in which state, from when to when.

use tcpwatch_core::{
    event::{Cookie, Endpoints, KernelTime, TcpState},
    track::{Change, Subject, TrackedEvent},
};

use crate::{
    host::Host,
    story::{MomentKind, Run},
};

/// A connection, or a listening socket.
#[derive(Debug)]
pub(super) struct SocketHistory<'r> {
    pub(super) listener: bool,
    socket: Option<Cookie>,
    ends: Endpoints,
    /// Its stays in states, in order.
    pub(super) stays: Vec<Spell<'r>>,
    /// All other events of this connection.
    pub(super) events: Vec<(KernelTime, &'r TrackedEvent)>,
}

/// One stay in one state.
#[derive(Clone, Debug)]
pub(super) struct Spell<'r> {
    pub(super) state: TcpState,
    /// When it began; `None` if its beginning was not observed.
    pub(super) from: Option<KernelTime>,
    pub(super) entered_by: Option<&'r Change>,
    pub(super) left_by: Option<&'r Change>,
    /// When the clock of the state was last restarted.
    pub(super) restarted: Option<KernelTime>,
}

impl Spell<'_> {
    /// When it ended; `None` if it had not ended when the run ended.
    pub(super) fn until(&self) -> Option<KernelTime> {
        self.left_by.map(|change| change.at)
    }
}

impl<'r> SocketHistory<'r> {
    fn new(subject: &Subject) -> Self {
        Self {
            listener: subject.ends.remote.port == 0,
            socket: subject.socket,
            ends: subject.ends,
            stays: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Whether an event with this subject belongs to this connection; endpoints are compared where a cookie is missing.
    fn is(&self, subject: &Subject) -> bool {
        match (self.socket, subject.socket) {
            (Some(one), Some(other)) => one == other,
            _ => self.ends == subject.ends,
        }
    }

    fn is_over(&self) -> bool {
        self.stays.last().is_some_and(|stay| stay.state == TcpState::Closed)
    }

    fn change(&mut self, change: &'r Change) {
        self.socket = self.socket.or(change.subject.socket);
        self.ends = change.subject.ends;
        let goes_on = self.stays.last().is_some_and(|stay| stay.state == change.from);
        if !goes_on {
            let from = change.in_state.map(|time| change.at.before(time));
            self.stays.push(Spell { from, ..Spell::new(change.from) });
        }
        if let Some(stay) = self.stays.last_mut() {
            stay.left_by = Some(change);
        }
        let entered_by = Some(change);
        self.stays.push(Spell { from: Some(change.at), entered_by, ..Spell::new(change.to) });
    }

    pub(super) fn states(&self) -> Vec<TcpState> {
        self.stays.iter().map(|stay| stay.state).collect()
    }
}

impl Spell<'_> {
    const fn new(state: TcpState) -> Self {
        Self { state, from: None, entered_by: None, left_by: None, restarted: None }
    }
}

/// The sockets of a host, in the order in which they appeared.
pub(super) fn lives(run: &Run, host: Host) -> Vec<SocketHistory<'_>> {
    let mut lives: Vec<SocketHistory<'_>> = Vec::new();
    for moment in run.story.iter().filter(|moment| moment.host == host) {
        let MomentKind::TrackedEvent(tracked) = &moment.what else { continue };
        let subject = &tracked.subject();
        let known = lives.iter_mut().rev().find(|life| life.is(subject));
        if let TrackedEvent::Change(change) = &**tracked {
            if let Some(life) = known.filter(|life| !life.is_over()) {
                life.change(change);
            } else {
                let mut life = SocketHistory::new(subject);
                life.change(change);
                lives.push(life);
            }
        } else if let Some(life) = known {
            if let TrackedEvent::Restart(restart) = &**tracked
                && !restart.starts
                && let Some(stay) = life.stays.last_mut()
            {
                stay.restarted = Some(restart.at);
            }
            life.events.push((moment.at, tracked));
        }
    }
    lives
}
