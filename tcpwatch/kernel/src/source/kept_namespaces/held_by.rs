//! What holds a network namespace besides this process.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use tcpwatch_core::event::Netns;

use super::{ProcInode, living::NamespaceHolder};
use crate::source::snapshot::namespaces::Reachable;

/// A file that exists with this inode as long as a certain process or mount holds a namespace.
#[derive(Debug)]
pub(super) struct HeldBy {
    path: PathBuf,
    inode: u64,
}

impl HeldBy {
    /// A process or thread that is in it.
    pub(super) fn process(holder: &NamespaceHolder, inode: ProcInode) -> Self {
        Self { path: holder.netstat(), inode }
    }

    /// A mount, if no process shows in it.
    pub(super) fn mount(reachable: &Reachable, netns: Netns) -> Option<Self> {
        let place = reachable.places.iter().find(|place| place.netns == netns)?;
        let path = place.paths.first()?.clone();
        Some(Self { path, inode: netns.0.into() })
    }

    /// Whether it still does.
    pub(super) fn lasts(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|about| about.ino() == self.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::snapshot::namespaces::{self, ReachableNamespace};

    #[test]
    fn a_file_that_is_another_one_now_or_has_gone_holds_nothing() {
        let own = namespaces::own().unwrap();
        let of = |path: &str, netns| {
            let places = vec![ReachableNamespace { netns, paths: vec![path.into()] }];
            HeldBy::mount(&Reachable { places, hidden_processes: 0 }, netns).unwrap().lasts()
        };
        assert!(of(namespaces::OWN, own));
        assert!(!of(namespaces::OWN, Netns(1)));
        assert!(!of("/no/such/file", own));
    }
}
