//! Something done in every network namespace that can be reached.

use tcpwatch_core::event::Netns;

use super::{DumpError, Scope, SnapshotError, namespaces, visit::visit_others};

/// Where it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Namespaces in which it was done to the end.
    pub done: usize,
    /// Namespaces that could not be entered, or where it failed.
    pub skipped: usize,
    /// Processes whose namespace this process may not read.
    pub hidden_processes: usize,
}

/// Does `work` in each namespace of the scope.
///
/// Namespaces other than the caller's are entered in threads of their own that end afterwards, which takes
/// `CAP_SYS_ADMIN`; one that refuses is counted as skipped. One that is held by nothing but an open file or a socket is
/// not found, because no list of namespaces exists.
///
/// # Errors
/// If `/proc` cannot be read, or it fails in the caller's own namespace.
pub fn everywhere(
    scope: Scope,
    mut work: impl FnMut(Netns) -> Result<(), DumpError> + Send,
) -> Result<Reach, SnapshotError> {
    let own = namespaces::own().map_err(SnapshotError::procfs(namespaces::OWN))?;
    let mut reach = Reach::default();
    if scope.covers(own) {
        work(own)?;
        reach.done += 1;
    }
    let Reach { done, skipped, .. } = &mut reach;
    let hidden = visit_others(scope, own, work, |_, outcome| match outcome {
        Ok(()) => *done += 1,
        Err(_) => *skipped += 1,
    })?;
    Ok(match scope {
        Scope::Every => Reach { hidden_processes: hidden, ..reach },
        // Others do not matter if the one is found.
        Scope::Only(_) => Reach { skipped: usize::from(reach.done == 0), ..reach },
    })
}
