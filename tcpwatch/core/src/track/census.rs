//! Which sockets exist, as the kernel lists them: what is left to compare with after a loss.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::event::{Cookie, Endpoints, KernelTime, KnownKind, KnownSocket, Netns};

/// The sockets that two lists in a row hold. One alone can miss a socket that moves meanwhile.
#[derive(Clone, Debug)]
pub struct Census {
    /// Before the kernel was asked.
    pub(super) started: KernelTime,
    /// After it had answered the second time: what is in neither list has reported its end by then.
    ended: KernelTime,
    namespaces: HashSet<Netns>,
    /// With the ends of those that are full sockets.
    sockets: HashMap<Cookie, Option<Endpoints>>,
    /// For what has no cookie: a half-open connection, and an accepted one that took it over.
    ends: HashSet<(Netns, Endpoints)>,
}

impl Census {
    /// From the sockets of both lists. `namespaces` are those that both hold to the end.
    pub fn new(
        (started, ended): (KernelTime, KernelTime),
        namespaces: impl IntoIterator<Item = Netns>,
        sockets: impl IntoIterator<Item = KnownSocket>,
    ) -> Self {
        let (mut by_cookie, mut ends) = (HashMap::new(), HashSet::new());
        for known in sockets {
            let full = (known.kind == KnownKind::Full).then_some(known.ends);
            by_cookie.insert(known.socket, full);
            ends.insert((known.netns, known.ends));
        }
        let namespaces = namespaces.into_iter().collect();
        Self { started, ended, namespaces, sockets: by_cookie, ends }
    }

    /// All records up to here have to be applied before the comparison.
    #[must_use]
    pub const fn ended(&self) -> KernelTime {
        self.ended
    }

    /// Is it certain that this socket no longer exists? A cookie is asked for where there is one: the
    /// kernel gives each only once (`net/core/sock_diag.c`, since 5.10 also across namespaces).
    pub(super) fn lacks(&self, subject: &Subject) -> bool {
        let exists = match subject.socket {
            Some(socket) => self.sockets.contains_key(&socket),
            None => self.ends.contains(&(subject.netns, subject.ends)),
        };
        self.namespaces.contains(&subject.netns) && !exists
    }

    /// The two ends of a full socket that exists.
    pub(super) fn ends_of(&self, socket: Cookie) -> Option<Endpoints> {
        self.sockets.get(&socket).copied().flatten()
    }
}

/// Sockets whose end was missed, as a comparison with a [`Census`] has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// They were gone by then.
    pub at: KernelTime,
    /// All records up to here were applied before the comparison.
    pub compared: KernelTime,
    /// Full sockets.
    pub sockets: Vec<Cookie>,
    /// Mini-sockets.
    pub minis: Vec<(Netns, Endpoints)>,
}

/// Sockets of a part.
const PART: usize = 4096;

impl Gone {
    /// The same in parts: a line of a recording has a limit.
    pub fn parts(&self) -> impl Iterator<Item = Self> + '_ {
        let empty = || Self { sockets: Vec::new(), minis: Vec::new(), ..*self };
        let full = self.sockets.chunks(PART);
        let full = full.map(move |part| Self { sockets: part.to_vec(), ..empty() });
        let minis = self.minis.chunks(PART);
        full.chain(minis.map(move |part| Self { minis: part.to_vec(), ..empty() }))
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.minis.is_empty()
    }
}
