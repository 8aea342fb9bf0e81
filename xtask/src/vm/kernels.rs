//! Names of kernel series, or files, come in; kernels with the modules that the tests need go out.
//!
//! Debian's packages are fetched by apt, which verifies them, kept in the user's cache, and never
//! installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{precondition::Precondition, setup};

/// The series of Debian's packages that are tested.
const SERIES: [&str; 2] = ["6.1", "6.12"];
/// What the tests need and a kernel may have as a module, in the order of loading.
pub(crate) const MODULES: [&str; 5] = ["inet_diag", "tcp_diag", "veth", "sch_ingress", "cls_bpf"];
/// What is kept of a package.
const KEPT: [&str; 4] = [
    "*boot/vmlinuz-*",
    "*/kernel/net/ipv4/*",
    "*/kernel/net/sched/*",
    "*/kernel/drivers/net/veth.ko*",
];

/// A kernel that can be booted.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// For people: what the file is named after.
    pub(crate) name: String,
    pub(crate) vmlinuz: PathBuf,
    /// Files of [`MODULES`] that were found.
    pub(crate) modules: Vec<PathBuf>,
}

impl Kernel {
    /// A file named by the developer. Modules are looked for where a package puts them:
    /// `../lib/modules/VERSION` beside `boot/vmlinuz-VERSION`.
    pub(crate) fn in_file(vmlinuz: &Path) -> Result<Self> {
        ensure!(vmlinuz.is_file(), "{}: no such kernel", vmlinuz.display());
        let file = vmlinuz.file_name().unwrap_or_default().to_string_lossy();
        let name = file.strip_prefix("vmlinuz-").unwrap_or(&file).to_owned();
        let boot = vmlinuz.parent().unwrap_or(Path::new("."));
        let mut modules = Vec::new();
        for above in ["../lib/modules", "../usr/lib/modules"] {
            modules.extend(files_below(&boot.join(above).join(&name))?);
        }
        let is = |path: &Path, module: &str| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.strip_prefix(module).is_some_and(|rest| rest.starts_with(".ko"))
        };
        let found = MODULES
            .iter()
            .filter_map(|module| modules.iter().find(|path| is(path, module)).cloned());
        Ok(Self { name, vmlinuz: vmlinuz.to_owned(), modules: found.collect() })
    }
}

/// The newest of each series that apt offers here; from the cache where apt has nothing.
pub(crate) fn of_debian() -> Result<Vec<Kernel>> {
    let cache = cache()?;
    SERIES.iter().map(|series| newest(series, &cache)).collect()
}

fn cache() -> Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let caches = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let cache = caches.context("neither XDG_CACHE_HOME nor HOME says where kernels are kept")?;
    Ok(cache.join("tcpwatch/kernels"))
}

fn newest(series: &str, cache: &Path) -> Result<Kernel> {
    let fetched = offered(series).and_then(|package| fetch(&package, cache));
    let dir = fetched.or_else(|error| {
        let kept = in_cache(series, cache)?.ok_or_else(|| {
            Precondition(format!(
                "no Linux {series} to test on: {error:#}; name one with --kernel FILE"
            ))
        })?;
        eprintln!("vm: {error:#}; an older one is in the cache");
        anyhow::Ok(kept)
    })?;
    let vmlinuz = files_below(&dir.join("boot"))?.into_iter().next();
    Kernel::in_file(&vmlinuz.with_context(|| format!("{}: holds no kernel", dir.display()))?)
}

/// The newest package of this series; apt's lists are refreshed where they have none.
fn offered(series: &str) -> Result<setup::Package> {
    if let Some(package) = known(series)? {
        return Ok(package);
    }
    setup::refresh_packages()?;
    known(series)?.with_context(|| format!("apt offers no kernel of the series {series}"))
}

fn known(series: &str) -> Result<Option<setup::Package>> {
    let output = Command::new("apt-cache")
        .args(["pkgnames", &format!("linux-image-{series}.")])
        .output()
        .context("cannot start `apt-cache`; kernels come from Debian's packages")?;
    ensure!(output.status.success(), "`apt-cache pkgnames` failed ({})", output.status);
    let names = String::from_utf8_lossy(&output.stdout);
    let names = newest_first(names.lines());
    if names.is_empty() {
        return Ok(None);
    }
    let mut packages = setup::policy(&names)?;
    packages.retain(|package| package.candidate.is_some());
    Ok(names.iter().find_map(|name| {
        packages.iter().position(|package| package.name == *name).map(|at| packages.swap_remove(at))
    }))
}

/// Plain kernels for this machine: neither for clouds, nor for real time, nor unsigned.
fn newest_first<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let release = |name: &'a str| name.strip_prefix("linux-image-")?.strip_suffix("-amd64");
    let is_plain = |release: &str| {
        release.split('-').all(|part| part.starts_with(|first: char| first.is_ascii_digit()))
    };
    let mut names: Vec<_> = names.filter(|name| release(name).is_some_and(is_plain)).collect();
    names.sort_by_key(|name| std::cmp::Reverse(numbers(name)));
    names
}

fn numbers(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// The directory of the package in the cache; downloaded where it is not there yet.
fn fetch(package: &setup::Package, cache: &Path) -> Result<PathBuf> {
    let version = package.candidate.as_deref().unwrap_or_default();
    let dir = cache.join(format!("{}_{version}", package.name));
    if dir.is_dir() {
        return Ok(dir);
    }
    let unfinished = cache.join(format!("unfinished-{}", std::process::id()));
    fs::create_dir_all(&unfinished).with_context(|| unfinished.display().to_string())?;
    let fetched = download(&package.name, &unfinished).and_then(|()| unpack(&unfinished));
    let kept = fetched.and_then(|()| {
        fs::rename(&unfinished, &dir).with_context(|| format!("cannot make {}", dir.display()))
    });
    if kept.is_err() {
        drop(fs::remove_dir_all(&unfinished));
    }
    kept.map(|()| dir)
}

/// Old lists name files that are no longer offered.
fn download(name: &str, dir: &Path) -> Result<()> {
    let start = || {
        eprintln!("vm: fetching {name}");
        let mut command = Command::new("apt-get");
        // The directory is not open to the user that apt downloads as where root asks.
        command.args(["-qq", "-o", "APT::Sandbox::User=root", "download", name]).current_dir(dir);
        let status = command.status().context("cannot start apt-get")?;
        ensure!(status.success(), "`apt-get download {name}` failed ({status})");
        Ok(())
    };
    start().or_else(|_| setup::refresh_packages().and_then(|()| start()))
}

/// Keeps of the package in this directory what is needed.
fn unpack(dir: &Path) -> Result<()> {
    let [package] = &files_below(dir)?[..] else {
        bail!("{}: one package expected", dir.display())
    };
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let files = dpkg.stdout.take().context("dpkg-deb writes nothing")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--wildcards"]).args(KEPT).current_dir(dir).stdin(files);
    let unpacked = tar.status().context("cannot start tar")?;
    let status = dpkg.wait().context("cannot wait for dpkg-deb")?;
    ensure!(status.success() && unpacked.success(), "{}: {status}, {unpacked}", package.display());
    fs::remove_file(package).with_context(|| package.display().to_string())
}

/// The newest of this series that was fetched once.
fn in_cache(series: &str, cache: &Path) -> Result<Option<PathBuf>> {
    let Ok(entries) = fs::read_dir(cache) else { return Ok(None) };
    let prefix = format!("linux-image-{series}.");
    let mut dirs: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    let name = |dir: &Path| dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    dirs.retain(|dir| name(dir).starts_with(&prefix));
    dirs.sort_by_key(|dir| numbers(&name(dir)));
    Ok(dirs.pop())
}

/// Every file below a directory; none where there is no such directory.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return Ok(files) };
    for entry in entries {
        let path = entry.with_context(|| dir.display().to_string())?.path();
        if path.is_dir() && !path.is_symlink() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_newest_plain_kernel_is_first() {
        let names = [
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-56-rt-amd64",
            "linux-image-6.1.0-57-cloud-amd64",
            "linux-image-6.1.0-58-amd64-unsigned",
            "linux-image-6.1.0-58-arm64",
        ];
        let expected = ["linux-image-6.1.0-56-amd64", "linux-image-6.1.0-9-amd64"];
        assert_eq!(newest_first(names.into_iter()), expected, "by number, not by letter");
    }

    #[test]
    fn names_of_backports_are_understood() {
        let names = ["linux-image-6.12.100+deb12-amd64", "linux-image-6.12.117+deb12-amd64"];
        let expected = ["linux-image-6.12.117+deb12-amd64", "linux-image-6.12.100+deb12-amd64"];
        assert_eq!(newest_first(names.into_iter()), expected);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Kernel::in_file(Path::new("/nowhere/vmlinuz")).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/vmlinuz: no such kernel");
    }
}
