//! Whether the looks at the kernel list a socket that events say is there. A record of its end may be lost; a look that
//! does not list it shows that it has gone.

use std::collections::HashSet;

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{Cookie, KernelTime, Netns, TcpState},
    facts::{HostFacts, MOST_SOCKETS},
};

use crate::seen::Surroundings;

/// What the looks say of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sight {
    /// None had to list it yet.
    #[default]
    None,
    /// It is there.
    Listed,
    /// It has gone, or is in another state.
    Missing,
}

impl Sight {
    /// May it be reported? Where records were lost, only what was seen to be there.
    pub(super) const fn is_believed(self, seen: &Surroundings) -> bool {
        match self {
            Self::None => seen.lost == 0,
            Self::Listed => true,
            Self::Missing => false,
        }
    }
}

/// The looks so far, at the sockets in one state.
#[derive(Default)]
pub(super) struct SocketSights {
    /// Network namespaces that were looked at.
    namespaces: HashSet<Netns, FxBuildHasher>,
    /// When the look before this one ended.
    before: Option<KernelTime>,
    at: Option<KernelTime>,
    listed: HashSet<Cookie, FxBuildHasher>,
    /// Namespaces of which this look lists all.
    complete: HashSet<Netns, FxBuildHasher>,
}

/// Network namespaces that are remembered at most.
const MOST: usize = 1 << 12;

impl SocketSights {
    pub(super) fn look(&mut self, facts: &HostFacts, state: TcpState) {
        self.before = self.at.replace(facts.at);
        let known = facts.sockets().map(|waiter| &waiter.known);
        self.listed =
            known.filter(|known| known.state == state).map(|known| known.socket).collect();
        let complete = facts.namespaces.iter().filter(|here| here.sockets.len() < MOST_SOCKETS);
        self.complete = complete.map(|here| here.netns).collect();
        // One that has gone has no sockets; one that was never found may have some.
        let gone = self.namespaces.iter().filter(|netns| facts.of(**netns).is_none());
        self.complete.extend(gone.copied().collect::<Vec<_>>());
        if self.namespaces.len() < MOST {
            self.namespaces.extend(facts.namespaces.iter().map(|here| here.netns));
        }
    }

    /// Of a socket that has been in the state since then.
    pub(super) fn of(&self, socket: Cookie, netns: Netns, since: KernelTime, was: Sight) -> Sight {
        if self.listed.contains(&socket) {
            Sight::Listed
        } else if self.complete.contains(&netns) && self.before.is_some_and(|before| since < before)
        {
            Sight::Missing
        } else {
            was
        }
    }
}
