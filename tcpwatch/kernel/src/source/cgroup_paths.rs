//! Numbers of cgroups become paths, from the root of the second hierarchy as it is seen from here.
//!
//! With `CAP_DAC_READ_SEARCH` the kernel opens a cgroup by its number (`kernfs_fh_to_dentry`,
//! `fs/kernfs/mount.c`, since 5.5), at a cost of some microseconds; without, a walk through all directories
//! finds it. A cgroup that has been removed is not found in either way, nor is one outside of the cgroup namespace
//! that tcpwatch runs in.

#![expect(unsafe_code, reason = "no crate that is used here opens files by handle")]

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{
            ffi::{OsStrExt as _, OsStringExt as _},
            fs::DirEntryExt as _,
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tcpwatch_core::event::CgroupId;

use super::cgroups;

/// `FILEID_KERNFS` (`include/linux/exportfs.h`).
const FILEID_KERNFS: libc::c_int = 0xfe;
/// How often the numbers may have begun anew, each time after two billion files of cgroups, so that a cgroup is
/// still found by its number's low half.
const HIGH_HALVES: u32 = 4;
/// A walk costs a look at every directory, and happens at most this often.
const PAUSE: Duration = Duration::from_secs(5);
/// Directories that are looked at; more are no machine's cgroups.
const MOST: usize = 65_536;

/// Finds the paths of cgroups.
#[derive(Debug)]
pub struct CgroupPaths {
    root: Option<(PathBuf, File)>,
    /// The kernel does not open cgroups by number for this process.
    walks: bool,
    walked: Option<Instant>,
    /// What the last walk found.
    found: HashMap<CgroupId, Vec<u8>>,
}

/// `struct file_handle` (`include/linux/fs.h`) with the eight bytes that kernfs takes.
#[repr(C)]
struct FileHandle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    id: [u8; 8],
}

impl CgroupPaths {
    /// Those of this machine. Without the second hierarchy no path is found.
    #[must_use]
    pub fn new() -> Self {
        let root = cgroups::root().and_then(|root| Some((root.clone(), File::open(root).ok()?)));
        Self { root, walks: false, walked: None, found: HashMap::new() }
    }

    /// The path of a cgroup, `/` for the root; `None` if it cannot be found.
    pub fn path(&mut self, id: CgroupId, now: Instant) -> Option<Vec<u8>> {
        let (root, mount) = self.root.as_ref()?;
        if !self.walks {
            match by_handle(mount, id) {
                Ok(cgroup) => return within(root, &cgroup),
                Err(error) => self.walks = error.raw_os_error() == Some(libc::EPERM),
            }
        }
        let is_due = self.walked.is_none_or(|walked| now.duration_since(walked) >= PAUSE);
        if self.walks && !self.found.contains_key(&id) && is_due {
            self.walked = Some(now);
            self.found = all(root).collect();
        }
        self.found.get(&id).cloned()
    }

    /// Is a path that was not found to be asked for again, because the next walk may find it?
    #[must_use]
    pub const fn may_find_later(&self) -> bool {
        self.walks
    }

    /// Can paths be found at all?
    ///
    /// # Errors
    /// If not, why.
    pub fn check(&self) -> Result<(), &'static str> {
        match &self.root {
            Some(_) => Ok(()),
            None => Err("no cgroup v2 hierarchy is mounted at /sys/fs/cgroup or \
                         /sys/fs/cgroup/unified; `mount -t cgroup2 none /sys/fs/cgroup` mounts it"),
        }
    }
}

impl Default for CgroupPaths {
    fn default() -> Self {
        Self::new()
    }
}

/// The paths of all cgroups that exist, in no order.
#[must_use]
pub fn existing() -> Vec<Vec<u8>> {
    cgroups::root().map(|root| all(&root).map(|(_, path)| path).collect()).unwrap_or_default()
}

/// Opens a cgroup by its number.
fn by_handle(mount: &File, id: CgroupId) -> io::Result<OwnedFd> {
    let mut last = io::Error::from_raw_os_error(libc::ESTALE);
    for high in 0..HIGH_HALVES {
        match open(mount, u64::from(high) << 32 | u64::from(id.0.get())) {
            Ok(cgroup) => return Ok(cgroup),
            Err(error) => last = error,
        }
        if last.raw_os_error() != Some(libc::ESTALE) {
            break;
        }
    }
    Err(last)
}

fn open(mount: &File, id: u64) -> io::Result<OwnedFd> {
    let mut handle = FileHandle { bytes: 8, kind: FILEID_KERNFS, id: id.to_ne_bytes() };
    // SAFETY: the handle has the length that it says, and lives until the call is over.
    let fd = unsafe {
        libc::open_by_handle_at(
            mount.as_raw_fd(),
            std::ptr::from_mut(&mut handle).cast(),
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just opened it, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the kernel appends to the path of a directory that has been removed (`d_path`); a cgroup may be called so, too.
const REMOVED: &[u8] = b" (deleted)";

/// The path of an open cgroup from the root on; `None` if it is not below what is mounted at `root`.
fn within(root: &Path, cgroup: &OwnedFd) -> Option<Vec<u8>> {
    let link = fs::read_link(format!("/proc/self/fd/{}", cgroup.as_raw_fd())).ok()?;
    let path = link.into_os_string().into_vec();
    let path = match path.strip_suffix(REMOVED) {
        Some(before) if !Path::new(std::ffi::OsStr::from_bytes(&path)).exists() => before,
        _ => &path,
    };
    let below = path.strip_prefix(root.as_os_str().as_bytes())?;
    match below {
        [] => Some(b"/".to_vec()),
        [b'/', ..] => Some(below.to_vec()),
        _ => None,
    }
}

/// All cgroups, with their paths. What cannot be read, or goes meanwhile, is left out.
fn all(root: &Path) -> impl Iterator<Item = (CgroupId, Vec<u8>)> {
    let own = fs::metadata(root)
        .ok()
        .map(|about| (std::os::unix::fs::MetadataExt::ino(&about), b"/".to_vec()));
    let mut open = vec![root.to_owned()];
    let mut within: Vec<(u64, Vec<u8>)> = own.into_iter().collect();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if within.len() >= MOST || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if let Some(below) =
                path.as_os_str().as_bytes().strip_prefix(root.as_os_str().as_bytes())
            {
                within.push((entry.ino(), below.to_vec()));
            }
            open.push(path);
        }
    }
    within.into_iter().filter_map(|(inode, path)| Some((CgroupId::from_inode(inode)?, path)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_walk_finds_every_directory_with_its_path_whatever_its_name() {
        let root = tempfile::tempdir().unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"a \"b\"\x1b\xff.service");
        fs::create_dir_all(root.path().join("system.slice").join(odd)).unwrap();
        let id = |path: &Path| CgroupId::from_inode(fs::metadata(path).unwrap().ino()).unwrap();
        let found: HashMap<_, _> = all(root.path()).collect();
        assert_eq!(found[&id(root.path())], b"/");
        let slice = root.path().join("system.slice");
        assert_eq!(found[&id(&slice)], b"/system.slice");
        assert_eq!(found[&id(&slice.join(odd))], b"/system.slice/a \"b\"\x1b\xff.service");
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn without_privilege_a_new_cgroup_is_found_by_the_next_walk() {
        let folder = tempfile::tempdir().unwrap();
        let root = Some((folder.path().to_owned(), File::open(folder.path()).unwrap()));
        let mut paths = CgroupPaths { root, walks: true, walked: None, found: HashMap::new() };
        let start = Instant::now();
        assert_eq!(paths.path(CgroupId::from_low(u32::MAX).unwrap(), start), None);
        let one = folder.path().join("one.service");
        fs::create_dir(&one).unwrap();
        let id = CgroupId::from_inode(fs::metadata(&one).unwrap().ino()).unwrap();
        assert_eq!(paths.path(id, start + PAUSE / 2), None, "too early for another walk");
        assert!(paths.may_find_later());
        assert_eq!(paths.path(id, start + PAUSE).as_deref(), Some(&b"/one.service"[..]));
    }

    #[test]
    fn without_a_hierarchy_nothing_has_a_path_and_the_reason_says_how_to_mount_it() {
        let mut paths =
            CgroupPaths { root: None, walks: false, walked: None, found: HashMap::new() };
        assert_eq!(paths.path(CgroupId::from_low(1).unwrap(), Instant::now()), None);
        assert!(paths.check().unwrap_err().contains("mount -t cgroup2"));
    }
}
