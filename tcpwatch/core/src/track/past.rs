//! What a connection hands on when the kernel replaces one kind of socket by another: a half-open
//! connection by a full socket, a full socket by a timewait socket.

use super::{FullSocket, Life, mini::KnownMini};
use crate::event::{CgroupId, Direction, KernelTime, Process, TcpState};

/// What is known of it so far.
pub(super) struct Past {
    pub(super) state: TcpState,
    pub(super) since: Option<KernelTime>,
    cgroup: Option<CgroupId>,
    direction: Option<Direction>,
    process: Option<Process>,
    inherited: bool,
    /// The timer of its state was shown already.
    pub(super) has_timer: bool,
    life: Box<Life>,
}

impl FullSocket {
    /// What it hands on.
    pub(super) fn past(&mut self) -> Past {
        let Self {
            state,
            since,
            cgroup,
            direction,
            process,
            inherited,
            has_timer,
            ref mut life,
            ..
        } = *self;
        let life = std::mem::take(life);
        Past { state, since, cgroup, direction, process, inherited, has_timer, life }
    }

    /// Goes on with what another socket has handed on.
    pub(super) fn goes_on(&mut self, past: Past) {
        let Past { state, since, cgroup, direction, process, inherited, has_timer: _, life } = past;
        self.cgroup = cgroup.or(self.cgroup);
        (self.state, self.since, self.life) = (state, since, life);
        (self.direction, self.process, self.inherited) = (direction, process, inherited);
    }
}

impl KnownMini {
    /// What it hands on.
    pub(super) fn past(&mut self) -> Past {
        let Self { state, since, cgroup, direction, process, inherited, ref mut life, .. } = *self;
        let life = std::mem::take(life);
        Past { state, since, cgroup, direction, process, inherited, has_timer: true, life }
    }

    /// Goes on with what another socket has handed on.
    pub(super) fn goes_on(&mut self, past: Past) {
        let Past { state, since, cgroup, direction, process, inherited, has_timer: _, life } = past;
        self.cgroup = cgroup.or(self.cgroup);
        (self.state, self.since, self.life) = (state, since, life);
        (self.direction, self.process, self.inherited) = (direction, process, inherited);
    }
}
