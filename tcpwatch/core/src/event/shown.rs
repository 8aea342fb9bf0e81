//! What all events that are shown have in common, whatever is shown of them.

use super::{CgroupId, Cookie, Direction, Endpoints, KernelTime, Netns, Process, TcpState};

/// An event that is shown: a line of the log.
pub trait Shown {
    /// The word that names it: `event` in JSON.
    const NAME: &'static str;

    /// When it happened; of a connection's life, when its last trace was gone.
    fn at(&self) -> KernelTime;
    /// Which socket it is about, and what is known of it.
    fn subject(&self) -> Subject;
    /// Does it concern this state?
    fn touches(&self, state: TcpState) -> bool;
    /// Is it marked as inferred?
    fn is_inferred(&self) -> bool {
        false
    }
}

/// The socket that an event concerns: the part that does not change from line to line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Which socket; `None` for a mini-socket that has no cookie yet.
    pub socket: Option<Cookie>,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// Its cgroup; of an accepted connection that of its listener.
    pub cgroup: Option<CgroupId>,
    /// Who connected to whom; `None` for listeners and when it is not known.
    pub direction: Option<Direction>,
    /// The owner.
    pub process: Option<Process>,
    /// The owner is that of the listener that accepted the connection.
    pub inherited: bool,
}

impl Subject {
    /// Nothing is known but the two ends, and the socket if there is one.
    #[must_use]
    pub const fn unknown(socket: Option<Cookie>, netns: Netns, ends: Endpoints) -> Self {
        Self { socket, netns, ends, cgroup: None, direction: None, process: None, inherited: false }
    }
}

/// An event as the kernel reported it, with what is known of its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About<E> {
    /// Which socket.
    pub subject: Subject,
    /// What happened.
    pub event: E,
}

impl<E: Shown> Shown for About<E> {
    const NAME: &'static str = E::NAME;

    fn at(&self) -> KernelTime {
        self.event.at()
    }

    fn subject(&self) -> Subject {
        self.subject
    }

    fn touches(&self, state: TcpState) -> bool {
        self.event.touches(state)
    }
}

impl<T: Shown> Shown for Box<T> {
    const NAME: &'static str = T::NAME;

    fn at(&self) -> KernelTime {
        T::at(self)
    }

    fn subject(&self) -> Subject {
        T::subject(self)
    }

    fn touches(&self, state: TcpState) -> bool {
        T::touches(self, state)
    }

    fn is_inferred(&self) -> bool {
        T::is_inferred(self)
    }
}
