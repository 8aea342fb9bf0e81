//! Asks the kernel by `sock_diag` what no hook reports: which sockets exist, and what single sockets
//! are at. A kernel that does not answer makes the log poorer, not wrong.

use std::{thread, time::Duration};

use tcpwatch_core::{
    event::{Cookie, Endpoints, KernelTime, KnownSocket, Netns},
    order::WINDOW,
    track::Census,
};

use crate::{
    clock,
    probe::Filters,
    source::snapshot::{
        self, FindOwners, Lookup, LookupAnswer, Snapshot, SnapshotScope, SocketQuestion,
    },
};

/// Asking takes this fraction of the time at most; other network namespaces have to be entered.
const SHARE: u32 = 20;

/// How long the port of a listener is waited for: the kernel chooses it some microseconds after LISTEN is
/// entered, if the task has not to wait for a processor.
const PORT_WITHIN: Duration = WINDOW;
/// Pause between two questions for it.
const PAUSE: Duration = Duration::from_micros(200);
/// What asking for ports of listeners may take of each second; records wait meanwhile.
const PORTS_SHARE: Duration = Duration::from_millis(50);

/// Asks about single sockets.
pub struct Witness {
    lookup: WitnessState,
    rests_until: KernelTime,
    /// Since when, and how long, ports of listeners have been asked for.
    ports: (KernelTime, Duration),
}

enum WitnessState {
    /// Nothing has been asked yet.
    Unused,
    Ready(Box<Lookup>),
    /// This kernel does not answer.
    Mute,
}

impl Default for Witness {
    fn default() -> Self {
        let ports = (KernelTime(0), Duration::ZERO);
        Self { lookup: WitnessState::Unused, rests_until: KernelTime(0), ports }
    }
}

impl Witness {
    /// No earlier than this will a question be asked.
    #[must_use]
    pub const fn rests_until(&self) -> KernelTime {
        self.rests_until
    }

    /// Asks about some sockets; returns those that exist, and the questions that could not be asked.
    pub fn ask(
        &mut self,
        about: &[(Netns, Endpoints)],
    ) -> (Vec<KnownSocket>, Vec<(Netns, Endpoints)>) {
        let begun = clock::now();
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        if let Some(lookup) = self.lookup() {
            let questions: Vec<SocketQuestion> = about
                .iter()
                .map(|(netns, ends)| SocketQuestion { netns: *netns, ends: *ends })
                .collect();
            lookup.ask(&questions, |place, answer| match answer {
                LookupAnswer::Is(socket) => known.push(socket),
                LookupAnswer::Gone => {}
                LookupAnswer::Unknown => unknown.extend(about.get(place)),
            });
        }
        let ended = clock::now();
        self.rests_until = ended.after(ended.since(begun) * SHARE);
        (known, unknown)
    }

    fn lookup(&mut self) -> Option<&mut Lookup> {
        if let WitnessState::Unused = self.lookup {
            self.lookup = match Lookup::new() {
                Ok(lookup) => WitnessState::Ready(Box::new(lookup)),
                Err(error) => {
                    tracing::warn!(
                        "some ends of FIN_WAIT_2 will be told late, and some listeners without a \
                         port: {error}"
                    );
                    WitnessState::Mute
                }
            };
        }
        match &mut self.lookup {
            WitnessState::Ready(lookup) => Some(lookup),
            WitnessState::Unused | WitnessState::Mute => None,
        }
    }

    /// A socket that has just entered LISTEN, as soon as the kernel lists it with its port; `None` if it
    /// does not within a millisecond, or if too much was asked of late.
    pub fn listener(&mut self, netns: Netns, socket: Cookie) -> Option<KnownSocket> {
        let begun = clock::now();
        if begun.since(self.ports.0) >= Duration::from_secs(1) {
            self.ports = (begun, Duration::ZERO);
        }
        if self.ports.1 >= PORTS_SHARE {
            return None;
        }
        let lookup = self.lookup()?;
        let answer = loop {
            let answer = lookup.listener(netns, socket);
            if answer.is_some() || clock::now().since(begun) >= PORT_WITHIN {
                break answer;
            }
            thread::sleep(PAUSE);
        };
        self.ports.1 += clock::now().since(begun);
        answer
    }
}

/// Lists the sockets that exist, twice, or warns and returns nothing.
#[must_use]
pub fn census(filters: &Filters) -> Option<Census> {
    let first = look_around(filters, FindOwners::Skip)?;
    let second = look_around(filters, FindOwners::Skip)?;
    let in_both = first.namespaces.into_iter().filter(|netns| second.namespaces.contains(netns));
    let sockets = first.sockets.into_iter().chain(second.sockets);
    Some(Census::new((first.started, clock::now()), in_both, sockets))
}

/// A snapshot of the sockets that exist, or a warning and nothing.
pub fn look_around(filters: &Filters, owners: FindOwners) -> Option<Snapshot> {
    let scope = filters.netns.map_or(SnapshotScope::Every, SnapshotScope::Only);
    match snapshot::take(scope, owners) {
        Ok(snapshot) => {
            for skipped in &snapshot.skipped {
                tracing::info!("sockets that existed before are unknown in {skipped}");
            }
            Some(snapshot)
        }
        Err(error) => {
            tracing::warn!("sockets that existed before are unknown: {error}");
            None
        }
    }
}
