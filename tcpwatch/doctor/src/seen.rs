//! What all checks share: whose sockets are, where owners run, and the looks at the kernel.

use std::{collections::HashMap, sync::Arc};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{CgroupId, Cookie, Endpoint, Endpoints, KernelTime, Netns},
    facts::{HostFacts, ListenerFacts, NetnsFacts},
    place::{CgroupPlace, Places},
    track::{Subject, TrackedEvent},
};

use crate::whose::Whose;

/// Sockets that are remembered at most.
const MOST: usize = 1 << 16;

/// What is known beside the events.
#[derive(Default)]
pub struct Surroundings {
    places: Places,
    /// Sockets that exist.
    subjects: HashMap<Cookie, Subject, FxBuildHasher>,
    /// The first look and the last.
    pub(crate) first: Option<HostFacts>,
    pub(crate) last: Option<HostFacts>,
    /// When the first event or look was.
    pub(crate) began: Option<KernelTime>,
    /// The latest moment that anything was seen of.
    pub(crate) until: Option<KernelTime>,
}

impl Surroundings {
    pub(crate) fn note_time(&mut self, at: KernelTime) {
        self.began.get_or_insert(at);
        self.until = self.until.max(Some(at));
    }

    /// Remembers whose a socket is, while it exists.
    pub(crate) fn note(&mut self, tracked: &TrackedEvent) {
        let subject = tracked.subject();
        let Some(socket) = subject.socket else { return };
        let ends = match tracked {
            TrackedEvent::Change(change) => change.to == tcpwatch_core::event::TcpState::Closed,
            TrackedEvent::Connection(_) => true,
            _ => false,
        };
        if ends {
            self.subjects.remove(&socket);
        } else if self.subjects.len() < MOST || self.subjects.contains_key(&socket) {
            self.subjects.insert(socket, subject);
        }
    }

    pub(crate) fn place(&mut self, id: CgroupId, place: &Arc<CgroupPlace>) {
        self.places.learn(id, Some(Arc::clone(place)));
    }

    /// Whose a socket is; nothing but its ends if it was not seen.
    pub(crate) fn subject(&self, socket: Cookie, netns: Netns, ends: Endpoints) -> Subject {
        let unknown = Subject::unknown(Some(socket), netns, ends);
        self.subjects.get(&socket).copied().unwrap_or(unknown)
    }

    /// For a finding.
    pub(crate) fn whose(&mut self, subject: &Subject) -> Whose {
        let place = subject.cgroup.and_then(|id| self.places.get(id)).cloned();
        let Subject { netns, process, inherited, .. } = *subject;
        Whose { netns, process, inherited, place, processes: u32::from(process.is_some()) }
    }

    /// Who listens.
    pub(crate) fn listens(&mut self, netns: Netns, listener: &ListenerFacts) -> Whose {
        let ends = Endpoints { local: listener.local, remote: listener.local };
        let subject = self.subject(listener.socket, netns, ends);
        self.whose(&Subject { cgroup: subject.cgroup.or(listener.cgroup), ..subject })
    }

    /// The last look at a namespace.
    pub(crate) fn here(&self, netns: Netns) -> Option<&NetnsFacts> {
        self.last.as_ref()?.of(netns)
    }

    /// How much a counter has grown from the first look to the last.
    pub(crate) fn growth(&self, netns: Netns, counter: &str) -> u64 {
        let first = self.first.as_ref().and_then(|facts| facts.of(netns));
        let last = self.here(netns);
        let (Some(first), Some(last)) = (first, last) else { return 0 };
        last.counter(counter).saturating_sub(first.counter(counter))
    }

    /// The namespaces of the last look.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &NetnsFacts> {
        self.last.iter().flat_map(|facts| &facts.namespaces)
    }

    /// The listener that connections to this end come to; any of the port if the address is unspecified.
    pub(crate) fn listener(&self, netns: Netns, local: Endpoint) -> Option<&ListenerFacts> {
        let listeners = &self.here(netns)?.listeners;
        let of_port = || listeners.iter().filter(|listener| listener.local.port == local.port);
        of_port()
            .find(|listener| listener.local == local)
            .or_else(|| of_port().find(|listener| listener.local.address.is_unspecified()))
            .or_else(|| of_port().next().filter(|_| local.address.is_unspecified()))
    }
}
