//! Counts the sockets of all network namespaces that can be reached, as [`survey()`] does those of one.

use tcpwatch_core::event::{Netns, TcpState};

use super::{Detail, Scope, SnapshotError, Surveyed, namespaces, survey, visit::visit_others};

/// What [`survey_everywhere`] found.
#[derive(Debug)]
pub struct Everywhere<T> {
    /// One tally for each namespace that was listed to the end.
    pub tallies: Vec<(Netns, T)>,
    /// Namespaces that could not be entered or listed.
    pub skipped: usize,
    /// Processes whose namespace this process may not read.
    pub hidden_processes: usize,
}

/// Adds the TCP sockets in these states to a tally of their network namespace.
///
/// Namespaces other than the caller's are entered in threads of their own that end afterwards, which takes
/// `CAP_SYS_ADMIN`; one that refuses is counted as skipped. One that is held by nothing but an open file or a socket is
/// not found, because no list of namespaces exists.
///
/// # Errors
/// If `/proc` cannot be read, or not even the caller's own namespace listed.
pub fn survey_everywhere<T: Default + Send>(
    scope: Scope,
    states: &[TcpState],
    add: impl Fn(&mut T, &Surveyed) + Send + Sync,
) -> Result<Everywhere<T>, SnapshotError> {
    let own = namespaces::own().map_err(SnapshotError::procfs(namespaces::OWN))?;
    let here = |_| survey(states, Detail::Plain, &add);
    let mut found = Everywhere { tallies: Vec::new(), skipped: 0, hidden_processes: 0 };
    if scope.covers(own) {
        found.tallies.push((own, here(own)?));
    }
    let Everywhere { tallies, skipped, hidden_processes } = &mut found;
    *hidden_processes = visit_others(scope, own, here, |place, tally| match tally {
        Ok(tally) => tallies.push((place.netns, tally)),
        Err(_) => *skipped += 1,
    })?;
    if let Scope::Only(_) = scope {
        // Others do not matter if the one is found.
        let is_missing = found.tallies.is_empty();
        (found.hidden_processes, found.skipped) = (0, usize::from(is_missing));
    }
    Ok(found)
}
