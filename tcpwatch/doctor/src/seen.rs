//! What all checks share: whose sockets are, where owners run, and the looks at the kernel.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rustc_hash::FxBuildHasher;
use tcpwatch_core::{
    event::{CgroupId, Cookie, Endpoint, Endpoints, KernelTime, Netns},
    facts::{HostFacts, ListenerFacts, NetnsFacts},
    place::{CgroupPlace, Places},
    track::{Subject, TrackedEvent},
};

use crate::{bounded::Bounded as _, whose::Whose};

/// Sockets that are remembered at most.
const MOST: usize = 1 << 16;
/// Network namespaces that are remembered at most: on some hosts they come and go.
const MOST_NAMESPACES: usize = 1 << 12;

/// What is known beside the events.
#[derive(Default)]
pub struct Surroundings {
    places: Places,
    /// Sockets that exist.
    subjects: HashMap<Cookie, Subject, FxBuildHasher>,
    namespaces: BTreeMap<Netns, SeenLooks>,
    /// When the last look was, and what it could not reach.
    pub(crate) looked: Option<(KernelTime, Vec<String>)>,
    /// Records that were lost.
    pub(crate) lost: u64,
    /// When the first event or look was.
    pub(crate) began: Option<KernelTime>,
    /// The latest moment that anything was seen of.
    pub(crate) until: Option<KernelTime>,
}

/// A copy without the sockets and destinations, which the checks keep as far as they need them.
fn without_sockets(here: &NetnsFacts) -> NetnsFacts {
    NetnsFacts {
        netns: here.netns,
        counters: here.counters.clone(),
        sysctls: here.sysctls.clone(),
        ports: here.ports,
        listeners: here.listeners.clone(),
        sockets: Vec::new(),
        destinations: Vec::new(),
    }
}

/// The looks at one network namespace.
struct SeenLooks {
    /// Counters of the first one.
    first: BTreeMap<String, u64>,
    /// The last one without its sockets and destinations, and when it was: of a namespace that has gone, before the others'.
    last: NetnsFacts,
    at: KernelTime,
}

impl Surroundings {
    /// Takes in a look.
    pub(crate) fn look(&mut self, facts: &HostFacts) {
        for here in &facts.namespaces {
            let (at, last) = (facts.at, without_sockets(here));
            if let Some(looks) = self.namespaces.get_mut(&here.netns) {
                (looks.at, looks.last) = (at, last);
            } else if self.namespaces.len() < MOST_NAMESPACES {
                let first = here.counters.clone();
                self.namespaces.insert(here.netns, SeenLooks { first, last, at });
            }
        }
        self.looked = Some((facts.at, facts.unseen.clone()));
    }

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
        } else if self.subjects.has_room(&socket, MOST) {
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

    /// The last look at a namespace, which may have gone since.
    pub(crate) fn here(&self, netns: Netns) -> Option<&NetnsFacts> {
        self.namespaces.get(&netns).map(|looks| &looks.last)
    }

    /// How to let more connections wait at a listener with this limit: which of its two bounds is in force.
    pub(crate) fn backlog(&self, netns: Netns, most: Option<u32>) -> Option<String> {
        let somaxconn = self.here(netns)?.sysctls.get("core/somaxconn").copied()?;
        let most = u64::from(most?);
        Some(if most >= somaxconn {
            format!(
                "sysctl -w net.core.somaxconn={} (it is {somaxconn} and bounds this queue), then restart the server",
                (somaxconn * 4).max(4096)
            )
        } else {
            format!(
                "the backlog of the server's listen(): it is {most}, and net.core.somaxconn allows {somaxconn}"
            )
        })
    }

    /// How much a counter has grown from the first look to the last.
    pub(crate) fn growth(&self, netns: Netns, counter: &str) -> u64 {
        let Some(SeenLooks { first, last, .. }) = self.namespaces.get(&netns) else { return 0 };
        last.counter(counter).saturating_sub(first.get(counter).copied().unwrap_or(0))
    }

    /// The namespaces that were looked at, and these.
    pub(crate) fn namespaces_and(&self, others: impl Iterator<Item = Netns>) -> BTreeSet<Netns> {
        self.namespaces.keys().copied().chain(others).collect()
    }

    /// Of these, those that the last look found.
    pub(crate) fn present(&self) -> impl Iterator<Item = &NetnsFacts> {
        let now = self.looked.as_ref().map(|(at, _)| *at);
        let present = self.namespaces.values().filter(move |looks| Some(looks.at) == now);
        present.map(|looks| &looks.last)
    }

    /// A listener of this port, whatever address it is bound to.
    pub(crate) fn listening(&self, netns: Netns, port: u16) -> Option<&ListenerFacts> {
        self.here(netns)?.listeners.iter().find(|listener| listener.local.port == port)
    }

    /// The listener that connections to this end come to; any of the port if the address is unspecified. One that is
    /// bound to `::` takes IPv4 as well where none is bound to `0.0.0.0`.
    pub(crate) fn listener(&self, netns: Netns, local: Endpoint) -> Option<&ListenerFacts> {
        let listeners = &self.here(netns)?.listeners;
        let of_port = || listeners.iter().filter(|listener| listener.local.port == local.port);
        let any = || of_port().filter(|listener| listener.local.address.is_unspecified());
        let is_v4 = local.address.is_ipv4();
        of_port()
            .find(|listener| listener.local == local)
            .or_else(|| any().find(|listener| listener.local.address.is_ipv4() == is_v4))
            .or_else(|| any().next())
            .or_else(|| of_port().next().filter(|_| local.address.is_unspecified()))
    }
}
