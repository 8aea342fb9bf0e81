//! The changes of a host, sorted: which socket was in which state, from when to when.

use tcpwatch_core::{
    event::{Cookie, Endpoints, KernelTime, TcpState},
    track::{Change, News, Subject},
};

use crate::{
    host::Host,
    story::{Run, What},
};

/// A connection, or a listening socket.
#[derive(Debug)]
pub(super) struct Life<'r> {
    pub(super) listener: bool,
    socket: Option<Cookie>,
    ends: Endpoints,
    /// In order.
    pub(super) stays: Vec<Spell<'r>>,
    /// Everything else that is told of it.
    pub(super) told: Vec<(KernelTime, &'r News)>,
}

/// One stay in one state.
#[derive(Clone, Debug)]
pub(super) struct Spell<'r> {
    pub(super) state: TcpState,
    /// When it began; `None` if that was not seen.
    pub(super) from: Option<KernelTime>,
    pub(super) entered_by: Option<&'r Change>,
    pub(super) left_by: Option<&'r Change>,
    /// When its clock started again, the last time.
    pub(super) restarted: Option<KernelTime>,
}

impl Spell<'_> {
    /// When it ended.
    pub(super) fn until(&self) -> Option<KernelTime> {
        self.left_by.map(|change| change.at)
    }
}

impl<'r> Life<'r> {
    fn new(subject: &Subject) -> Self {
        Self {
            listener: subject.ends.remote.port == 0,
            socket: subject.socket,
            ends: subject.ends,
            stays: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Is it the one that something is told of? Ends decide where a cookie is missing.
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
pub(super) fn lives(run: &Run, host: Host) -> Vec<Life<'_>> {
    let mut lives: Vec<Life<'_>> = Vec::new();
    for moment in run.story.iter().filter(|moment| moment.host == host) {
        let What::News(news) = &moment.what else { continue };
        let subject = &news.subject();
        let known = lives.iter_mut().rev().find(|life| life.is(subject));
        if let News::Change(change) = &**news {
            if let Some(life) = known.filter(|life| !life.is_over()) {
                life.change(change);
            } else {
                let mut life = Life::new(subject);
                life.change(change);
                lives.push(life);
            }
        } else if let Some(life) = known {
            if let News::Restart(restart) = &**news
                && !restart.starts
                && let Some(stay) = life.stays.last_mut()
            {
                stay.restarted = Some(restart.at);
            }
            life.told.push((moment.at, news));
        }
    }
    lives
}
