//! Network namespaces whose numbers are read again and again: each is entered once, and what was opened inside serves
//! for the rest of its life, also when this process has given up the privilege to enter.
//!
//! A socket and an open `/proc/net` hold a namespace; the kernel would keep one of a container that has gone. So
//! [`NamespaceTable::refresh`] closes those that no process, thread or mount holds any more, and
//! [`NamespaceTable::lacks_holder`] says at little cost when that is due. The processes and their
//! namespaces show without privilege: anybody may read `/proc/PID/net/netstat` (`get_proc_task_net`,
//! `fs/proc/proc_net.c`, asks for none), whose inode is another one in every namespace (`proc_register`,
//! `fs/proc/generic.c`). So the counters of namespaces that cannot be entered can be read, too; their sockets cannot.

mod held_by;
mod living;
mod open;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    sync::Arc,
};

use tcpwatch_core::event::Netns;

use self::{
    held_by::HeldBy,
    living::{NamespaceHolder, living},
    open::EnteredNamespace,
};
use super::snapshot::{
    EnterError, SnapshotScope, Surveyor,
    namespaces::{self, ReachableNamespace},
};

/// Namespaces that are read without being entered; the others are left out and counted.
const MOST_PASSED: usize = 1024;

/// The inode of a namespace's `/proc/net/netstat`.
type ProcInode = u64;

/// A network namespace, and what of it can be read.
#[derive(Debug)]
pub struct KeptNamespace {
    /// Its inode, as `readlink /proc/PID/ns/net` shows it; of one that was not entered `proc:` and the inode of its
    /// `/proc/PID/net/netstat`.
    pub label: Arc<str>,
    /// What `ip netns` calls it.
    pub name: Option<String>,
    /// The cgroup of the first process in it.
    pub cgroup: Option<Arc<str>>,
    way: NamespaceWay,
    /// What holds it besides this process.
    holding: Option<HeldBy>,
}

#[derive(Debug)]
enum NamespaceWay {
    Entered(EnteredNamespace),
    Passed(PathBuf),
}

impl KeptNamespace {
    /// The text of `/proc/net/netstat`; `None` if it was not entered and its process has ended.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn netstat(&self) -> io::Result<Option<String>> {
        match &self.way {
            NamespaceWay::Entered(opened) => opened.netstat().map(Some),
            NamespaceWay::Passed(path) => Ok(fs::read_to_string(path).ok()),
        }
    }

    /// What asks for its sockets, if it was entered.
    pub fn surveyor(&mut self) -> Option<&mut Surveyor> {
        match &mut self.way {
            NamespaceWay::Entered(opened) => Some(&mut opened.surveyor),
            NamespaceWay::Passed(_) => None,
        }
    }

    /// The text of a file in `/proc/sys/net/ipv4`; `None` if it was not entered, or has no such file.
    #[must_use]
    pub fn sysctl(&self, name: &str) -> Option<String> {
        match &self.way {
            NamespaceWay::Entered(opened) => opened.sysctl(name).ok(),
            NamespaceWay::Passed(_) => None,
        }
    }
}

/// How many namespaces are read in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Everything.
    pub entered: usize,
    /// The counters only.
    pub passed: usize,
    /// Nothing, because there are too many.
    pub left_out: usize,
    /// Those that this process may not enter; they are among the passed ones if a process is in them that shows.
    pub refused: usize,
}

/// The namespaces of a scope.
#[derive(Debug)]
pub struct NamespaceTable {
    scope: SnapshotScope,
    most: usize,
    kept: BTreeMap<ProcInode, KeptNamespace>,
    access: Access,
}

impl NamespaceTable {
    /// An empty one; at most `most` namespaces are entered, which takes three descriptors each.
    #[must_use]
    pub const fn new(scope: SnapshotScope, most: usize) -> Self {
        let access = Access { entered: 0, passed: 0, left_out: 0, refused: 0 };
        Self { scope, most, kept: BTreeMap::new(), access }
    }

    /// Finds the namespaces that there are now: enters new ones, forgets those that have gone. Costs some
    /// microseconds for each process and thread of the machine.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn refresh(&mut self) -> io::Result<()> {
        let reachable = namespaces::reachable()?;
        let living = living()?;
        let own = namespaces::own()?;
        let held: BTreeSet<Netns> =
            reachable.places.iter().map(|place| place.netns).chain([own]).collect();
        self.kept.retain(|inode, kept| match &kept.way {
            NamespaceWay::Entered(opened) => {
                living.contains_key(inode) || held.contains(&opened.netns)
            }
            NamespaceWay::Passed(_) => false,
        });
        self.access = Access::default();
        self.enter_own(own)?;
        for place in &reachable.places {
            if place.netns != own {
                self.enter(place);
            }
        }
        if self.scope == SnapshotScope::Every {
            self.pass(&living);
        }
        for (inode, kept) in &mut self.kept {
            let holder = living.get(inode);
            kept.cgroup = holder.and_then(NamespaceHolder::cgroup);
            kept.holding = match &kept.way {
                NamespaceWay::Entered(opened) if opened.netns != own => holder
                    .map(|holder| HeldBy::process(holder, *inode))
                    .or_else(|| HeldBy::mount(&reachable, opened.netns)),
                NamespaceWay::Entered(_) | NamespaceWay::Passed(_) => None,
            };
        }
        let is_entered = |kept: &&KeptNamespace| matches!(kept.way, NamespaceWay::Entered(_));
        self.access.entered = self.kept.values().filter(is_entered).count();
        self.access.passed = self.kept.len() - self.access.entered;
        Ok(())
    }

    /// Whether something that held an entered namespace has gone, so that it may be held by this process alone. Costs a
    /// look at one file for each.
    #[must_use]
    pub fn lacks_holder(&self) -> bool {
        self.kept.values().filter_map(|kept| kept.holding.as_ref()).any(|holding| !holding.lasts())
    }

    fn is_open(&self, netns: Netns) -> bool {
        self.kept
            .values()
            .any(|kept| matches!(&kept.way, NamespaceWay::Entered(opened) if opened.netns == netns))
    }

    fn enter_own(&mut self, own: Netns) -> io::Result<()> {
        if self.scope.covers(own) && !self.is_open(own) {
            self.keep(EnteredNamespace::here(own).map_err(io::Error::other)?);
        }
        Ok(())
    }

    fn enter(&mut self, place: &ReachableNamespace) {
        if !self.scope.covers(place.netns) || self.is_open(place.netns) {
            return;
        }
        if self.kept.len() >= self.most {
            return;
        }
        match place.inside(|| EnteredNamespace::here(place.netns)) {
            Ok(Ok(opened)) => self.keep(opened),
            Err(EnterError::Gone) => {}
            Err(_) | Ok(Err(_)) => self.access.refused += 1,
        }
    }

    fn keep(&mut self, opened: EnteredNamespace) {
        let number = opened.number;
        let kept = KeptNamespace {
            label: opened.netns.0.to_string().into(),
            name: super::snapshot::name_of(opened.netns),
            cgroup: None,
            holding: None,
            way: NamespaceWay::Entered(opened),
        };
        self.kept.insert(number, kept);
    }

    /// Those that were not entered, by their processes.
    fn pass(&mut self, living: &BTreeMap<ProcInode, NamespaceHolder>) {
        let mut passed = 0;
        for (inode, holder) in living {
            if self.kept.contains_key(inode) {
                continue;
            }
            passed += 1;
            if passed > MOST_PASSED {
                self.access.left_out += 1;
                continue;
            }
            let kept = KeptNamespace {
                label: format!("proc:{inode}").into(),
                name: None,
                cgroup: None,
                holding: None,
                way: NamespaceWay::Passed(holder.netstat()),
            };
            self.kept.insert(*inode, kept);
        }
    }

    /// How they are read.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// All of them, by a number that no two have at the same time.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut KeptNamespace)> {
        self.kept.iter_mut().map(|(number, kept)| (*number, kept))
    }
}
