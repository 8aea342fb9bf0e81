//! Numbers of cgroups become names that people know: the systemd unit, the container.
//!
//! A cgroup's number is the inode of its directory in the second hierarchy. Only a walk through all
//! directories finds it without privilege; it happens when a number is met that is not known, and
//! once a minute to notice what has gone.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// Where the second hierarchy is mounted: alone, or beside the first one.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// `CGROUP2_SUPER_MAGIC` (`include/uapi/linux/magic.h`).
const CGROUP2: u64 = 0x6367_7270;

/// A walk costs a look at every directory: for a new number not more often than this,
const PAUSE: Duration = Duration::from_secs(5);
/// and for what has gone this often.
const PERIOD: Duration = Duration::from_mins(1);

/// Directories that are looked at; more are no machine's cgroups.
const MOST: usize = 65_536;

/// The names of the cgroups that exist.
#[derive(Debug)]
pub struct CgroupNames {
    root: Option<PathBuf>,
    names: HashMap<u64, Arc<str>>,
    /// The outermost directory of each name, from the root of the hierarchy.
    paths: HashMap<Arc<str>, PathBuf>,
    /// Not found by the last walk: a number is given to a cgroup once, and one that is not found
    /// has gone or cannot be seen from here.
    strangers: HashSet<u64>,
    walked: Option<Instant>,
}

impl CgroupNames {
    /// Those of this machine, as far as they can be seen from here. A machine without the second
    /// hierarchy has none.
    #[must_use]
    pub fn new() -> Self {
        Self::under(root())
    }

    /// Those below `root`, where the second hierarchy is mounted.
    #[must_use]
    pub fn under(root: Option<PathBuf>) -> Self {
        let (names, paths) = (HashMap::new(), HashMap::new());
        Self { root, names, paths, strangers: HashSet::new(), walked: None }
    }

    /// Makes sure that these numbers have their names, if they have any.
    pub fn learn(&mut self, wanted: impl IntoIterator<Item = u64>, now: Instant) {
        let is_new = |id: &u64| !self.names.contains_key(id) && !self.strangers.contains(id);
        let new: Vec<u64> = wanted.into_iter().filter(is_new).collect();
        let since = self.walked.map(|walked| now.saturating_duration_since(walked));
        let is_due = since.is_none_or(|since| since >= PERIOD);
        if !is_due && (new.is_empty() || since.is_some_and(|since| since < PAUSE)) {
            return;
        }
        self.walked = Some(now);
        (self.names, self.paths) = self.root.as_deref().map(walk).unwrap_or_default();
        if is_due {
            self.strangers.clear();
        }
        self.strangers.extend(new.into_iter().filter(|id| !self.names.contains_key(id)));
    }

    /// The name of a cgroup that was handed to [`learn`](Self::learn). Several may share one.
    #[must_use]
    pub fn name(&self, id: u64) -> Option<&Arc<str>> {
        self.names.get(&id)
    }

    /// Did a cgroup of this name exist at the last walk?
    #[must_use]
    pub fn exists(&self, name: &str) -> bool {
        self.paths.contains_key(name)
    }

    /// Where the cgroup of this name was at the last walk, from the root of the hierarchy; the outermost one of several.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.paths.get(name).map(PathBuf::as_path)
    }
}

impl Default for CgroupNames {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the second hierarchy is mounted, if it is.
pub(super) fn root() -> Option<PathBuf> {
    ROOTS.into_iter().map(PathBuf::from).find(|root| is_second_hierarchy(root))
}

fn is_second_hierarchy(root: &Path) -> bool {
    let kind = rustix::fs::statfs(root).ok().and_then(|about| u64::try_from(about.f_type).ok());
    kind == Some(CGROUP2)
}

/// What cannot be read, or goes meanwhile, is left out.
fn walk(root: &Path) -> (HashMap<u64, Arc<str>>, HashMap<Arc<str>, PathBuf>) {
    let (mut names, mut paths) = (HashMap::new(), HashMap::new());
    if let Ok(about) = fs::metadata(root) {
        let name: Arc<str> = "/".into();
        names.insert(about.ino(), Arc::clone(&name));
        paths.insert(name, PathBuf::from("/"));
    }
    let mut open = vec![(root.to_owned(), None::<Arc<str>>)];
    while let Some((directory, unit)) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if names.len() >= MOST || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name();
            let unit = if is_unit(&name) { Some(short(&name)) } else { unit.clone() };
            let name = unit.clone().unwrap_or_else(|| short(&name));
            let path = entry.path();
            paths.entry(Arc::clone(&name)).or_insert_with(|| below(root, &path));
            names.insert(entry.ino(), name);
            open.push((path, unit));
        }
    }
    (names, paths)
}

/// A directory's path from the root of the hierarchy.
fn below(root: &Path, path: &Path) -> PathBuf {
    Path::new("/").join(path.strip_prefix(root).unwrap_or(path))
}

/// The name of the cgroup at this path of the second hierarchy.
#[must_use]
pub fn name_of_path(path: &str) -> Arc<str> {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).map(OsStr::new);
    let part = parts.clone().rfind(|part| is_unit(part)).or_else(|| parts.next_back());
    part.map_or_else(|| "/".into(), short)
}

/// What is below a unit belongs to it.
fn is_unit(name: &OsStr) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|it| it == "service" || it == "scope")
}

/// A container's number is shown as its first twelve digits, as its manager does.
fn short(name: &OsStr) -> Arc<str> {
    const WHOLE: usize = 64;
    const SHOWN: usize = 12;
    let name = name.to_string_lossy();
    let is_digit = |digit: char| digit.is_ascii_hexdigit();
    let mut digits = name.split(|c| !is_digit(c)).filter(|digits| digits.len() == WHOLE);
    match digits.next() {
        Some(number) => name.replace(number, number.get(..SHOWN).unwrap_or(number)).into(),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn a_cgroup_is_named_after_its_unit_or_container_and_else_after_its_leaf() {
        let root = tempfile::tempdir().unwrap();
        let number = "0123456789abcdef".repeat(4);
        let cases = [
            ("system.slice/nginx.service".to_owned(), "nginx.service"),
            ("system.slice/docker.service/workers/one".to_owned(), "docker.service"),
            ("user.slice/user@1000.service/app.slice/a.scope/b".to_owned(), "a.scope"),
            (format!("system.slice/docker-{number}.scope"), "docker-0123456789ab.scope"),
            (format!("kubepods/burstable/pod1/{number}"), "0123456789ab"),
            ("system.slice".to_owned(), "system.slice"),
            (String::new(), "/"),
        ];
        for (path, _) in &cases {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let mut names = CgroupNames::under(Some(root.path().to_owned()));
        names.learn([], Instant::now());
        for (path, name) in &cases {
            let id = inode(&root.path().join(path));
            assert_eq!(names.name(id).map(|name| &**name), Some(*name), "{path}");
            assert!(names.exists(name), "{name}");
            assert_eq!(&*name_of_path(&format!("/{path}")), *name);
        }
        assert!(!names.exists("nginx"), "a part of a name is no name");
    }

    #[test]
    fn a_new_number_is_looked_for_once_and_not_at_once_again() {
        let root = tempfile::tempdir().unwrap();
        let mut names = CgroupNames::under(Some(root.path().to_owned()));
        let start = Instant::now();
        names.learn([], start);
        let one = root.path().join("one.service");
        fs::create_dir(&one).unwrap();
        let id = inode(&one);
        names.learn([id], start + PAUSE / 2);
        assert_eq!(names.name(id), None, "too early for another walk");
        names.learn([id, u64::MAX], start + PAUSE);
        assert_eq!(names.name(id).map(|name| &**name), Some("one.service"));

        fs::rename(&one, root.path().join("two.service")).unwrap();
        names.learn([u64::MAX], start + PAUSE * 3);
        assert!(names.exists("one.service"), "nobody walks for a number that was not found");
        names.learn([], start + PAUSE + PERIOD);
        assert!(!names.exists("one.service"), "what has gone is noticed in time");
    }

    #[test]
    fn without_a_hierarchy_nothing_has_a_name() {
        for root in [None, Some(PathBuf::from("/no/such/place"))] {
            let mut names = CgroupNames::under(root);
            names.learn([1, 2], Instant::now());
            assert_eq!(names.name(1), None);
        }
    }
}
