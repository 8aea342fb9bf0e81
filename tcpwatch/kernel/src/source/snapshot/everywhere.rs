//! Counts the sockets of all network namespaces that can be reached, as [`survey()`](super::survey()) does those of one.

use tcpwatch_core::event::{Netns, TcpState};

use super::{
    Detail, DumpError, Scope, SnapshotError, Surveyed, namespaces, sock_diag::Asking, survey,
    survey::survey_through,
};

/// What [`Surveyor::survey`] found.
#[derive(Debug)]
pub struct Everywhere<T> {
    /// One tally for each namespace that was listed to the end.
    pub tallies: Vec<(Netns, T)>,
    /// Namespaces that could not be entered or listed.
    pub skipped: usize,
    /// Processes whose namespace this process may not read.
    pub hidden_processes: usize,
}

/// Lists the sockets in a scope, as often as it is asked to.
///
/// The way into a single namespace is opened once, and takes no privilege after that. Namespaces of [`Scope::Every`] are
/// found and entered anew each time.
#[derive(Debug)]
pub struct Surveyor {
    scope: Scope,
    /// Into the single namespace.
    way: Option<(Netns, Asking)>,
}

impl Surveyor {
    /// Opens the way into a single namespace; one that cannot be entered is counted as skipped.
    ///
    /// # Errors
    /// If `/proc` cannot be read, or the caller's own namespace not be asked about.
    pub fn open(scope: Scope) -> Result<Self, SnapshotError> {
        let way = match scope {
            Scope::Every => None,
            Scope::Only(netns) => way_into(netns)?.map(|way| (netns, way)),
        };
        Ok(Self { scope, way })
    }

    /// Adds the TCP sockets in these states to a tally of their network namespace.
    ///
    /// Namespaces other than the caller's are entered in threads of their own that end afterwards, which takes
    /// `CAP_SYS_ADMIN`; one that refuses is counted as skipped. One that is held by nothing but an open file or a socket
    /// is not found, because no list of namespaces exists.
    ///
    /// # Errors
    /// If `/proc` cannot be read, or not even the caller's own namespace listed.
    pub fn survey<T: Default + Send>(
        &mut self,
        states: &[TcpState],
        add: impl Fn(&mut T, &Surveyed) + Send + Sync,
    ) -> Result<Everywhere<T>, SnapshotError> {
        match (self.scope, &mut self.way) {
            (Scope::Every, _) => everywhere(states, add),
            (Scope::Only(_), None) => {
                Ok(Everywhere { tallies: Vec::new(), skipped: 1, hidden_processes: 0 })
            }
            (Scope::Only(_), Some((netns, way))) => {
                let tally = survey_through(way, states, Detail::Plain, add)?;
                Ok(Everywhere { tallies: vec![(*netns, tally)], skipped: 0, hidden_processes: 0 })
            }
        }
    }
}

/// `None` if nothing leads there.
fn way_into(netns: Netns) -> Result<Option<Asking>, SnapshotError> {
    if own()? == netns {
        return Ok(Some(Asking::open()?));
    }
    let reachable = namespaces::reachable().map_err(SnapshotError::procfs("/proc"))?;
    let place = reachable.places.into_iter().find(|place| place.netns == netns);
    Ok(place.and_then(|place| place.inside(Asking::open).ok()?.ok()))
}

fn own() -> Result<Netns, SnapshotError> {
    namespaces::own().map_err(SnapshotError::procfs(namespaces::OWN))
}

fn everywhere<T: Default + Send>(
    states: &[TcpState],
    add: impl Fn(&mut T, &Surveyed) + Send + Sync,
) -> Result<Everywhere<T>, SnapshotError> {
    let own = own()?;
    let here = || -> Result<T, DumpError> { survey(states, Detail::Plain, &add) };
    let tallies = vec![(own, here()?)];
    let reachable = namespaces::reachable().map_err(SnapshotError::procfs("/proc"))?;
    let hidden_processes = reachable.hidden_processes;
    let mut found = Everywhere { tallies, skipped: 0, hidden_processes };
    for place in reachable.places.into_iter().filter(|place| place.netns != own) {
        match place.inside(here) {
            Ok(Ok(tally)) => found.tallies.push((place.netns, tally)),
            Ok(Err(_)) | Err(_) => found.skipped += 1,
        }
    }
    Ok(found)
}
