//! The namespaces in a scope, one after the other: the own one first, the others in threads of their own.

use tcpwatch_core::event::Netns;

use super::{DumpError, SkipReason, SkippedNamespace, SnapshotError, SnapshotScope, namespaces};

/// Where something was done, and where not.
#[derive(Debug, Default)]
pub struct Visited {
    /// To the end.
    pub namespaces: Vec<Netns>,
    /// Not, or not to the end.
    pub skipped: Vec<SkippedNamespace>,
    /// Processes whose namespace this process may not read.
    pub hidden_processes: usize,
}

/// Does `work` in every namespace of the scope that can be entered; `work` gets the namespace it is in. Only what
/// fails in the own namespace is an error.
pub fn visit(
    scope: SnapshotScope,
    mut work: impl FnMut(Netns) -> Result<(), DumpError> + Send,
) -> Result<Visited, SnapshotError> {
    let own = namespaces::own().map_err(SnapshotError::procfs(namespaces::OWN))?;
    let mut visited = Visited::default();
    if scope.covers(own) {
        work(own)?;
        visited.namespaces.push(own);
    }
    if scope != SnapshotScope::Only(own) {
        visited.others(scope, own, work)?;
    }
    Ok(visited)
}

impl Visited {
    fn others(
        &mut self,
        scope: SnapshotScope,
        own: Netns,
        mut work: impl FnMut(Netns) -> Result<(), DumpError> + Send,
    ) -> Result<(), SnapshotError> {
        let reachable = namespaces::reachable().map_err(SnapshotError::procfs("/proc"))?;
        self.hidden_processes = reachable.hidden_processes;
        for place in reachable.places {
            let netns = place.netns;
            if netns == own || !scope.covers(netns) {
                continue;
            }
            let done = place
                .inside(|| work(netns))
                .map_err(SkipReason::from)
                .and_then(|done| done.map_err(SkipReason::from));
            match done {
                Ok(()) => self.namespaces.push(netns),
                Err(reason) => {
                    let path = place.paths.into_iter().next();
                    self.skipped.push(SkippedNamespace { netns, path, reason });
                }
            }
        }
        if let SnapshotScope::Only(netns) = scope
            && self.namespaces.is_empty()
            && self.skipped.is_empty()
        {
            let reason = SkipReason::Unreachable;
            self.skipped.push(SkippedNamespace { netns, path: None, reason });
        }
        Ok(())
    }
}
