//! Which network namespaces processes are in, as anybody may see.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::Arc,
};

use super::ProcInode;
use crate::source::{
    cgroups::name_of_path,
    snapshot::namespaces::{other_threads, pids},
};

/// A process or thread in a namespace: the one with the lowest number.
#[derive(Debug)]
pub(super) struct NamespaceHolder(PathBuf);

impl NamespaceHolder {
    pub(super) fn netstat(&self) -> PathBuf {
        self.0.join("net/netstat")
    }

    /// Its cgroup in the second hierarchy.
    pub(super) fn cgroup(&self) -> Option<Arc<str>> {
        let text = fs::read_to_string(self.0.join("cgroup")).ok()?;
        text.lines().find_map(|line| line.strip_prefix("0::")).map(name_of_path)
    }
}

/// The namespaces of all processes and threads that show in `/proc`, by the inode of their `netstat`.
pub(super) fn living() -> io::Result<BTreeMap<ProcInode, NamespaceHolder>> {
    let mut found = BTreeMap::new();
    let mut add = |directory: PathBuf| {
        // One that has ended has none.
        if let Ok(about) = fs::metadata(directory.join("net/netstat"))
            && let Entry::Vacant(entry) = found.entry(about.ino())
        {
            entry.insert(NamespaceHolder(directory));
        }
    };
    for pid in pids()? {
        add(PathBuf::from(format!("/proc/{pid}")));
        other_threads(pid).for_each(&mut add);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netstat::NETSTAT;

    #[test]
    fn the_own_namespace_is_among_them_with_the_lowest_process_first() {
        let own = fs::metadata(NETSTAT).unwrap().ino();
        let living = living().unwrap();
        let holder = &living[&own];
        assert_eq!(fs::metadata(holder.netstat()).unwrap().ino(), own);
    }
}
