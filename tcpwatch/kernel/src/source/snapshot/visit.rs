//! The other namespaces in a scope, one after the other, in threads of their own.

use tcpwatch_core::event::Netns;

use super::{
    DumpError, Scope, SkipReason, SnapshotError,
    namespaces::{self, Place},
};

/// Does `work` in every namespace of the scope that can be entered and is not `own`, and hands on what came of it, or
/// why not. Takes `CAP_SYS_ADMIN`. Returns the number of processes whose namespace this process may not read.
pub(super) fn visit_others<T: Send>(
    scope: Scope,
    own: Netns,
    mut work: impl FnMut(Netns) -> Result<T, DumpError> + Send,
    mut keep: impl FnMut(Place, Result<T, SkipReason>),
) -> Result<usize, SnapshotError> {
    if scope == Scope::Only(own) {
        return Ok(0);
    }
    let reachable = namespaces::reachable().map_err(SnapshotError::procfs("/proc"))?;
    for place in reachable.places {
        let netns = place.netns;
        if netns == own || !scope.covers(netns) {
            continue;
        }
        let done = place
            .inside(|| work(netns))
            .map_err(SkipReason::from)
            .and_then(|done| done.map_err(SkipReason::from));
        keep(place, done);
    }
    Ok(reachable.hidden_processes)
}
