//! A cgroup of the second hierarchy, removed with its guard.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::poll;

/// It is removed with its guard; processes in it have to end before.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        Self::at(root().join(Path::new(name.as_ref())))
    }

    /// A cgroup below it.
    pub(crate) fn below(&self, name: impl AsRef<OsStr>) -> Self {
        Self::at(self.0.join(Path::new(name.as_ref())))
    }

    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Its path from the root of the hierarchy.
    pub(crate) fn path(&self) -> String {
        let below = self.0.strip_prefix(root()).unwrap();
        format!("/{}", String::from_utf8_lossy(below.as_os_str().as_bytes()))
    }

    pub(crate) fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// Removes what others have made below it, when nothing runs there any more.
    pub(crate) fn remove_below(&self) {
        for entry in fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let below = Self(path);
                below.remove_below();
                below.remove();
            }
        }
    }

    pub(crate) fn remove(&self) {
        poll("an empty cgroup", || fs::remove_dir(&self.0).ok());
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // An error means that it has already been removed.
        drop(fs::remove_dir(&self.0));
    }
}

fn root() -> PathBuf {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    let root = roots.into_iter().find(|root| root.join("cgroup.controllers").exists());
    root.expect("cgroup2 is mounted")
}
