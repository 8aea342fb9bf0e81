//! What has become of single sockets: one question for each, in the namespace where it lives.
//!
//! The kernel moves a timewait mini-socket from `FIN_WAIT_2` to `TIME_WAIT` without a sign when
//! its timer stays in the same bucket (`inet_twsk_reschedule`, `net/ipv4/inet_timewait_sock.c`);
//! a look at that one socket costs a few microseconds, however many others there are.
//!
//! The road: `Lookup` sorts the questions by namespace and goes there, `channel.rs` asks one at a
//! time, `detail.rs` asks what sockets wait for, `interfaces.rs` knows where a socket may be bound that was not found at once.

mod channel;
mod detail;
mod interfaces;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tcpwatch_core::event::{Cookie, Endpoint, Endpoints, KnownSocket, Netns};

use super::{
    SnapshotError,
    namespaces::{self, EnterError, ReachableNamespace},
    sock_diag,
};
use channel::Channel;
pub use detail::Lookups;

/// The list of namespaces is read no sooner than this after the last time: it costs a look at
/// every thread of the system.
const LIST_PAUSE: Duration = Duration::from_secs(1);

/// Which socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketQuestion {
    /// The network namespace it lives in.
    pub netns: Netns,
    /// Its two ends; IPv4 stands for IPv4 in IPv6 (`::ffff:192.0.2.1`) too.
    pub ends: Endpoints,
}

/// What the kernel has for these ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupAnswer {
    /// This. It may be a later connection of the same ends: its cookie shows it.
    Is(KnownSocket),
    /// No socket.
    Gone,
    /// The namespace cannot be entered, or the kernel did not answer.
    Unknown,
}

/// Asks the kernel about single sockets.
///
/// It holds one netlink socket, in the network namespace of the thread that made it, which is the
/// own one. Of other namespaces it remembers only paths: an open file or socket would keep a
/// namespace alive that is about to go.
///
/// Limits. Of several sockets with the same ends that are bound to different interfaces, one is
/// found. A socket bound to an interface that is down now is taken to be gone.
#[derive(Debug)]
pub struct Lookup {
    own: Channel,
    elsewhere: BTreeMap<Netns, ReachableNamespace>,
    listed: Option<Instant>,
}

impl Lookup {
    /// Opens the netlink socket, and makes sure that the kernel knows about TCP sockets: one that
    /// does not would say that every socket is gone. Takes no privilege.
    pub fn new() -> Result<Self, SnapshotError> {
        let own = namespaces::own().map_err(SnapshotError::procfs(namespaces::OWN))?;
        let mut own = Channel::open(own)?;
        own.check()?;
        Ok(Self { own, elsewhere: BTreeMap::new(), listed: None })
    }

    /// Asks every question once, and hands each answer to `answer` with the question's place in
    /// `questions`; those of one namespace come together, otherwise in order.
    ///
    /// Every other namespace is entered once, in a thread of its own that ends before this
    /// returns; that takes `CAP_SYS_ADMIN`. Nothing here waits for the kernel: it answers before
    /// the question's system call returns, or not at all.
    pub fn ask(
        &mut self,
        questions: &[SocketQuestion],
        mut answer: impl FnMut(usize, LookupAnswer),
    ) {
        for (netns, group) in by_namespace(questions) {
            let answers = if netns == self.own.netns() {
                self.own.ask_all(&group)
            } else {
                self.ask_elsewhere(netns, &group)
            };
            for (index, it) in answers {
                answer(index, it);
            }
        }
    }

    /// The socket with this cookie, if it listens; `None` too if the namespace cannot be entered or the
    /// kernel does not answer.
    pub fn listener(&mut self, netns: Netns, socket: Cookie) -> Option<KnownSocket> {
        let list = || {
            let mut found = Vec::new();
            // What was found before an error counts.
            let _whole = sock_diag::listeners(netns, &mut found).is_ok();
            found.into_iter().find(|known| known.socket == socket)
        };
        if netns == self.own.netns() { list() } else { self.inside(netns, list).ok().flatten() }
    }

    fn ask_elsewhere(&mut self, netns: Netns, group: &Group) -> Vec<(usize, LookupAnswer)> {
        let answers = self.inside(netns, || match Channel::open(netns) {
            Ok(mut channel) => channel.ask_all(group),
            Err(_) => unknown(group),
        });
        answers.unwrap_or_else(|_| unknown(group))
    }

    /// Does `work` in another namespace; one that is not known is looked for.
    fn inside<T: Send>(
        &mut self,
        netns: Netns,
        work: impl Fn() -> T + Sync,
    ) -> Result<T, EnterError> {
        match self.enter(netns, &work) {
            Err(EnterError::Gone | EnterError::Open(_)) if self.list(Instant::now()) => {
                self.enter(netns, &work)
            }
            done => done,
        }
    }

    fn enter<T: Send>(
        &self,
        netns: Netns,
        work: &(impl Fn() -> T + Sync),
    ) -> Result<T, EnterError> {
        self.elsewhere.get(&netns).ok_or(EnterError::Gone)?.inside(work)
    }

    /// Finds the namespaces anew, unless that was done a moment ago.
    fn list(&mut self, now: Instant) -> bool {
        if self.listed.is_some_and(|listed| now.duration_since(listed) < LIST_PAUSE) {
            return false;
        }
        self.listed = Some(now);
        let places = namespaces::reachable().unwrap_or_default().places;
        self.elsewhere = places.into_iter().map(|place| (place.netns, place)).collect();
        true
    }
}

/// The questions to one namespace, IPv4 in IPv6 as IPv4, each with its place among all.
type Group = Vec<(usize, Endpoints)>;

fn by_namespace(questions: &[SocketQuestion]) -> BTreeMap<Netns, Group> {
    let mut groups: BTreeMap<Netns, Group> = BTreeMap::new();
    for (index, question) in questions.iter().enumerate() {
        let ends = canonical_ends(question.ends);
        groups.entry(question.netns).or_default().push((index, ends));
    }
    groups
}

fn canonical_ends(Endpoints { local, remote }: Endpoints) -> Endpoints {
    Endpoints { local: canonical(local), remote: canonical(remote) }
}

fn canonical(end: Endpoint) -> Endpoint {
    Endpoint { address: end.address.to_canonical(), port: end.port }
}

fn unknown(group: &Group) -> Vec<(usize, LookupAnswer)> {
    group.iter().map(|(index, _)| (*index, LookupAnswer::Unknown)).collect()
}

#[cfg(test)]
mod tests;
