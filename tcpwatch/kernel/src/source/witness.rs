//! Asks the kernel by `sock_diag` what no hook tells: which sockets exist, and what single sockets
//! are at. A kernel that does not answer makes the log poorer, not wrong.

use tcpwatch_core::event::{Endpoints, KernelTime, KnownSocket, Netns};

use crate::{
    clock,
    probe::Filters,
    source::snapshot::{self, Answer, Lookup, Owners, Question, Scope, Snapshot},
};

/// Asking takes this fraction of the time at most; other network namespaces have to be entered.
const SHARE: u32 = 20;

/// Asks about single sockets.
pub struct Witness {
    lookup: State,
    rests_until: KernelTime,
}

enum State {
    /// Nothing has been asked yet.
    Unused,
    Ready(Box<Lookup>),
    /// This kernel does not answer.
    Mute,
}

impl Default for Witness {
    fn default() -> Self {
        Self { lookup: State::Unused, rests_until: KernelTime(0) }
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
        if let State::Unused = self.lookup {
            self.lookup = match Lookup::new() {
                Ok(lookup) => State::Ready(Box::new(lookup)),
                Err(error) => {
                    tracing::warn!("some ends of FIN_WAIT_2 will be told late: {error}");
                    State::Mute
                }
            };
        }
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        if let State::Ready(lookup) = &mut self.lookup {
            let questions: Vec<Question> =
                about.iter().map(|(netns, ends)| Question { netns: *netns, ends: *ends }).collect();
            lookup.ask(&questions, |place, answer| match answer {
                Answer::Is(socket) => known.push(socket),
                Answer::Gone => {}
                Answer::Unknown => unknown.extend(about.get(place)),
            });
        }
        let ended = clock::now();
        self.rests_until = ended.after(ended.since(begun) * SHARE);
        (known, unknown)
    }
}

/// A snapshot of the sockets that exist, or a warning and nothing.
pub fn look_around(filters: &Filters, owners: Owners) -> Option<Snapshot> {
    let scope = filters.netns.map_or(Scope::Every, Scope::Only);
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
