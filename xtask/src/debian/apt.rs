//! apt with a state of its own: it reads the machine's sources and keeps its lists, its packages and its record
//! of installed packages in the user's cache.
//!
//! That record is empty, so that the resolver includes everything that a package needs, whatever the machine has
//! installed. Packages are verified as the machine's apt verifies them. No root is needed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use tcpwatch_bpf_toolchain::in_path;

use crate::command::{output, succeed};

/// The machine's lists of sources.
const SOURCES: [&str; 2] = ["/etc/apt/sources.list", "/etc/apt/sources.list.d"];
/// Suites with kernels that the machine's own sources may lack; the security suites are on another mirror.
const KERNEL_SUITES: [&str; 3] = ["bullseye-security", "bookworm-security", "trixie-backports"];
/// Debian's keys; since Debian 12 every system has them in this file.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The file that names those suites.
const KERNELS_LIST: &str = "kernels.list";
/// Lists older than this are refreshed before they are used.
const FRESH: Duration = Duration::from_hours(24);

/// apt with its own state.
#[derive(Debug)]
pub(crate) struct Apt {
    dir: PathBuf,
    /// Only one process at a time uses the state; the lock ends with this value.
    _lock: fs::File,
}

/// A repository that apt reads, as its release file describes it.
#[derive(Debug, PartialEq, Eq)]
struct Repository<'a> {
    uri: &'a str,
    codename: &'a str,
    label: &'a str,
}

impl Apt {
    /// The one in the user's cache, with the machine's sources.
    pub(crate) fn open() -> Result<Self> {
        Self::open_in(&super::cache()?.join("apt"), &SOURCES.map(Path::new))
    }

    /// The one with its state in `dir` and these source files, or directories of source files.
    pub(super) fn open_in(dir: &Path, sources: &[&Path]) -> Result<Self> {
        ensure!(in_path("apt-get").is_some(), "this system has no apt-get");
        let make = || -> Result<Self> {
            for part in ["lists/partial", "archives/partial", "sources"] {
                fs::create_dir_all(dir.join(part))?;
            }
            let lock = fs::File::create(dir.join("lock"))?;
            lock.lock()?;
            fs::write(dir.join("status"), "")?;
            link_sources(sources, &dir.join("sources"))?;
            fs::write(dir.join("apt.conf"), configuration(dir)?)?;
            Ok(Self { dir: dir.to_owned(), _lock: lock })
        };
        make().with_context(|| format!("cannot keep the state of apt in {}", dir.display()))
    }

    /// Calls `act` with fresh lists; if it fails, refreshes the lists and calls it again.
    pub(crate) fn with_lists<T>(&self, act: impl Fn() -> Result<T>) -> Result<T> {
        if self.is_fresh()
            && let Ok(result) = act()
        {
            return Ok(result);
        }
        if let Err(error) = self.refresh() {
            eprintln!("apt: {error:#}");
        }
        act()
    }

    fn is_fresh(&self) -> bool {
        let refreshed = fs::metadata(self.dir.join("refreshed")).and_then(|file| file.modified());
        refreshed.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < FRESH))
    }

    /// Updates the lists; if the machine's sources are Debian's, also those of the suites with kernels.
    fn refresh(&self) -> Result<()> {
        eprintln!("apt: updating the lists of packages");
        let update = || {
            let mut update = self.apt_get();
            update.args(["-o", "APT::Update::Error-Mode=any", "update"]);
            succeed(&mut update)
        };
        let updated = update();
        let format = "--format=$(REPO_URI) $(CODENAME) $(LABEL) $(SOURCESENTRY)";
        let mut targets = self.apt_get();
        targets.args(["indextargets", format, "Created-By: Packages"]);
        let more = more_suites(&output(&mut targets)?);
        let file = self.dir.join("sources").join(KERNELS_LIST);
        if fs::read_to_string(&file).unwrap_or_default() != more {
            fs::write(&file, more).with_context(|| file.display().to_string())?;
            update()?;
        }
        updated?;
        let stamp = self.dir.join("refreshed");
        fs::write(&stamp, "").with_context(|| stamp.display().to_string())
    }

    /// Names of packages that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        command.args(["pkgnames", prefix]);
        Ok(output(&mut command)?.lines().map(str::to_owned).collect())
    }

    /// The version of a package that `download` would fetch.
    pub(crate) fn version(&self, name: &str) -> Result<String> {
        let mut command = self.command("apt-cache");
        command.args(["show", "--no-all-versions", name]);
        let shown = output(&mut command)?;
        let version = shown.lines().find_map(|line| line.strip_prefix("Version: "));
        Ok(version.with_context(|| format!("apt has no version of {name}"))?.to_owned())
    }

    /// Fetches exactly these packages into `dir`.
    pub(crate) fn download(&self, names: &[&str], dir: &Path) -> Result<()> {
        eprintln!("apt: fetching {}", names.join(", "));
        let mut download = self.apt_get();
        download.arg("download").args(names).current_dir(dir);
        succeed(&mut download)
    }

    /// Fetches a package and all its dependencies, down to the C library, into `dir`.
    pub(crate) fn download_with_dependencies(&self, name: &str, dir: &Path) -> Result<()> {
        eprintln!("apt: fetching {name} and its dependencies");
        fs::create_dir_all(dir.join("partial")).with_context(|| dir.display().to_string())?;
        let mut install = self.apt_get();
        let archives = format!("Dir::Cache::archives={}", dir.display());
        install.args(["-o", &archives, "install", "--download-only", "--yes"]);
        install.args(["--no-install-recommends", name]);
        succeed(&mut install)
    }

    fn apt_get(&self) -> Command {
        let mut command = self.command("apt-get");
        command.arg("-qq");
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("apt.conf")).env("LC_ALL", "C");
        // stdout is for the results of the bench.
        command.stdout(std::io::stderr());
        command
    }
}

/// Links the machine's sources into `dir`; other files in it stay.
fn link_sources(sources: &[&Path], dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_symlink() {
            fs::remove_file(path)?;
        }
    }
    for source in sources {
        let files = match fs::read_dir(source) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?,
            Err(_) => vec![source.to_path_buf()],
        };
        let is_source = |file: &&PathBuf| {
            let extension = file.extension().unwrap_or_default();
            file.is_file() && (extension == "list" || extension == "sources")
        };
        for file in files.iter().filter(is_source) {
            symlink(file, dir.join(file.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// The machine's settings for downloads (above all its proxies), and where this apt keeps its state. The machine's
/// hooks and pins do not apply.
fn configuration(dir: &Path) -> Result<String> {
    let mut dump = Command::new("apt-config");
    dump.args(["dump", "Acquire"]).env("LC_ALL", "C");
    let acquire = output(&mut dump)?;
    let dir = dir.display();
    ensure!(!dir.to_string().contains(['"', '\n']), "apt cannot be given the path {dir}");
    Ok(format!(
        r#"{acquire}
// A suite that gets no more updates has an old date; its signature is still valid.
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "root";
Dir::Cache "{dir}";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{dir}/sources";
Dir::State "{dir}";
Dir::State::status "{dir}/status";
"#
    ))
}

/// Sources of the suites with kernels that the machine's own (`targets`) lack, on the mirrors that those name.
fn more_suites(targets: &str) -> String {
    let own: Vec<_> = targets
        .lines()
        .filter(|line| !line.contains(KERNELS_LIST))
        .filter_map(repository)
        .collect();
    let lacking =
        KERNEL_SUITES.iter().filter(|suite| own.iter().all(|own| own.codename != **suite));
    let source = |suite: &&str| {
        let label = if suite.ends_with("-security") { "Debian-Security" } else { "Debian" };
        let mirror = own.iter().find(|own| own.label == label)?.uri;
        Some(format!("deb [signed-by={KEYS}] {mirror} {suite} main\n"))
    };
    lacking.filter_map(source).collect()
}

/// A line `URI CODENAME LABEL FILE`, one for each component.
fn repository(line: &str) -> Option<Repository<'_>> {
    let mut words = line.split(' ');
    Some(Repository { uri: words.next()?, codename: words.next()?, label: words.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
http://deb.example/debian/ bookworm Debian /etc/apt/sources.list.d/debian.sources:1
http://sec.example/debian-security/ bookworm-security Debian-Security /etc/apt/sources.list:3
https://other.example/ stable Other /etc/apt/sources.list.d/other.list:1
";

    #[test]
    fn suites_with_kernels_are_taken_from_the_mirrors_of_this_machine() {
        let key = format!("[signed-by={KEYS}]");
        let expected = format!(
            "deb {key} http://sec.example/debian-security/ bullseye-security main\n\
             deb {key} http://deb.example/debian/ trixie-backports main\n"
        );
        assert_eq!(more_suites(TARGETS), expected, "but those that it has");
        let ours =
            format!("http://x/ bullseye-security Debian-Security /c/sources/{KERNELS_LIST}:1\n");
        assert_eq!(more_suites(&format!("{ours}{TARGETS}")), expected, "the same the next time");
    }

    #[test]
    fn where_debian_is_not_at_home_nothing_is_added() {
        assert_eq!(more_suites("http://u.example/ubuntu noble Ubuntu /etc/apt/sources.list:1"), "");
    }
}
