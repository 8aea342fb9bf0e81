//! Kernels with the modules that the tests need: Debian's, in the user's cache, or a file that the developer names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::series::{Image, Series};
use crate::{
    debian::{self, Apt},
    precondition::Precondition,
};

/// Modules that the tests need unless the kernel has them built in, in the order of loading.
pub(crate) const MODULES: [&str; 5] = ["inet_diag", "tcp_diag", "veth", "sch_ingress", "cls_bpf"];
/// The kernel itself in a package: `boot/vmlinuz-VERSION`, or `usr/lib/modules/VERSION/vmlinuz`.
const VMLINUZ: &[&str] = &["*/vmlinuz*"];
/// The modules that include those above.
const MODULE_FILES: &[&str] =
    &["*/kernel/net/ipv4/*", "*/kernel/net/sched/*", "*/kernel/drivers/net/veth.ko*"];

/// A kernel that can be booted.
#[derive(Debug)]
pub(crate) struct BootableKernel {
    /// For people: its release.
    pub(crate) name: String,
    pub(crate) vmlinuz: PathBuf,
    /// Files of those [`MODULES`] that were found.
    pub(crate) modules: Vec<PathBuf>,
}

impl BootableKernel {
    /// A kernel file: `boot/vmlinuz-VERSION`, with its modules in `../lib/modules/VERSION`, or
    /// `lib/modules/VERSION/vmlinuz`, with its modules beside it.
    pub(crate) fn in_file(vmlinuz: &Path) -> Result<Self> {
        ensure!(vmlinuz.is_file(), "{}: no such kernel", vmlinuz.display());
        let dir = vmlinuz.parent().unwrap_or(Path::new("."));
        let file = vmlinuz.file_name().unwrap_or_default().to_string_lossy();
        let (name, modules) = if let Some(name) = file.strip_prefix("vmlinuz-") {
            let roots = ["../lib/modules", "../usr/lib/modules"];
            (name.to_owned(), roots.map(|root| dir.join(root).join(name)).to_vec())
        } else {
            let name = dir.file_name().unwrap_or(file.as_ref().as_ref());
            (name.to_string_lossy().into_owned(), vec![dir.join("kernel")])
        };
        let modules =
            modules.iter().map(|dir| files_below(dir)).collect::<Result<Vec<_>>>()?.concat();
        let is = |path: &Path, module: &str| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.strip_prefix(module).is_some_and(|rest| rest.starts_with(".ko"))
        };
        let found = MODULES
            .iter()
            .filter_map(|module| modules.iter().find(|path| is(path, module)).cloned());
        Ok(Self { name, vmlinuz: vmlinuz.to_owned(), modules: found.collect() })
    }

    /// A kernel that was fetched before.
    fn in_cache(dir: &Path) -> Result<Self> {
        let is_kernel = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        };
        let vmlinuz = files_below(dir)?.into_iter().find(is_kernel);
        Self::in_file(&vmlinuz.with_context(|| format!("{}: contains no kernel", dir.display()))?)
    }
}

/// Debian's kernels: those in its archive, and those in the cache.
pub(crate) struct Kernels {
    cache: PathBuf,
    /// What the archive offers, or why that is unknown.
    offered: Result<(Apt, Vec<Image>)>,
}

impl Kernels {
    pub(crate) fn of_debian() -> Result<Self> {
        let offered = || {
            let apt = Apt::open()?;
            let images = apt.with_lists(|| {
                let names = apt.names("linux-image-")?;
                let images: Vec<_> = names.iter().filter_map(|name| Image::of(name)).collect();
                ensure!(!images.is_empty(), "apt offers no kernel of Debian's");
                Ok(images)
            })?;
            Ok((apt, images))
        };
        Ok(Self { cache: debian::cache()?.join("kernels"), offered: offered() })
    }

    /// Every series that is available, oldest first.
    pub(crate) fn series(&self) -> Result<Vec<Series>> {
        let images = match &self.offered {
            Ok((_, images)) => images.clone(),
            Err(_) => self.kept()?.into_iter().map(|(image, _)| image).collect(),
        };
        let mut series: Vec<_> = images.iter().map(Image::series).collect();
        series.sort_unstable();
        series.dedup();
        Ok(series)
    }

    /// The newest kernel of a series; from the cache if the archive has none.
    pub(crate) fn newest(&self, series: Series) -> Result<BootableKernel> {
        let fetched = match &self.offered {
            Ok((apt, images)) => self.fetch(apt, images, series),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        let dir = fetched.or_else(|error| {
            let kept = self.kept()?.into_iter().filter(|(image, _)| image.series() == series).max();
            let (_, dir) = kept.ok_or_else(|| {
                Precondition(format!(
                    "no Linux {series} to test on: {error:#}; name one with --kernel FILE"
                ))
            })?;
            eprintln!("vm: {error:#}; using the one in the cache");
            anyhow::Ok(dir)
        })?;
        BootableKernel::in_cache(&dir)
    }

    /// The directory of the newest kernel of a series, which is fetched if it is missing.
    fn fetch(&self, apt: &Apt, images: &[Image], series: Series) -> Result<PathBuf> {
        let newest = images.iter().filter(|image| image.series() == series).max();
        let Some(image) = newest else { bail!("apt offers no kernel of the series {series}") };
        let name = image.package("image");
        let dir = self.cache.join(format!("{name}_{}", apt.version(&name)?));
        if !dir.is_dir() {
            let parts = parts(apt, image)?;
            debian::finish(&dir, |dir| apt.with_lists(|| download(apt, &parts, dir)))?;
        }
        Ok(dir)
    }

    /// The kernels in the cache.
    fn kept(&self) -> Result<Vec<(Image, PathBuf)>> {
        let Ok(entries) = fs::read_dir(&self.cache) else { return Ok(Vec::new()) };
        let dirs = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let kept = dirs.into_iter().filter_map(|dir| {
            let name = dir.file_name()?.to_string_lossy().into_owned();
            Some((Image::of(name.split_once('_')?.0)?, dir))
        });
        Ok(kept.collect())
    }
}

/// Packages and the files to unpack of each. Since 6.19 the kernel itself is in a package of its own, since 7.2 the
/// modules are, too; the package `linux-image-VERSION` then only depends on them.
fn parts(apt: &Apt, image: &Image) -> Result<Vec<(String, Vec<&'static str>)>> {
    let mut parts: Vec<(String, Vec<_>)> = Vec::new();
    for (kind, files) in [("binary", VMLINUZ), ("modules", MODULE_FILES)] {
        let own = image.package(kind);
        let is_there = apt.names(&own)?.contains(&own);
        let package = if is_there { own } else { image.package("image") };
        match parts.iter_mut().find(|(other, _)| *other == package) {
            Some((_, more)) => more.extend(files),
            None => parts.push((package, files.to_vec())),
        }
    }
    Ok(parts)
}

fn download(apt: &Apt, parts: &[(String, Vec<&str>)], dir: &Path) -> Result<()> {
    for (name, files) in parts {
        let archive = dir.join("archive");
        fs::create_dir(&archive).with_context(|| archive.display().to_string())?;
        apt.download(&[name], &archive)?;
        for package in debian::packages_in(&archive)? {
            debian::unpack(&package, dir, &[&["--wildcards"], files.as_slice()].concat())?;
        }
        fs::remove_dir_all(&archive).with_context(|| archive.display().to_string())?;
    }
    Ok(())
}

/// Every file below a directory; none if the directory does not exist.
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
    fn a_file_that_is_not_there_is_named() {
        let error = BootableKernel::in_file(Path::new("/nowhere/vmlinuz")).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/vmlinuz: no such kernel");
    }
}
