//! The package for Fedora, openSUSE and their relatives, made by rpmbuild: the one in `PATH`, or else Debian's.

use std::{env::consts::ARCH, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Release, pack, tree};
use crate::{cargo, debian::RPM};

/// Where its zsh looks for completions; Debian's has another place.
const ZSH: (&str, &str) =
    ("usr/share/zsh/vendor-completions/_tcpwatch", "usr/share/zsh/site-functions/_tcpwatch");

/// Makes the package and returns its name.
pub(super) fn make(release: &Release, out: &Path) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("tree");
    tree::lay(release, &root)?;
    pack::make_dir(&root.join("usr/share/zsh/site-functions"))?;
    fs::rename(root.join(ZSH.0), root.join(ZSH.1))?;
    fs::remove_dir(root.join("usr/share/zsh/vendor-completions"))?;
    tree::set_modes_of_directories(&root)?;
    let name = format!("tcpwatch-{}-1.{ARCH}.rpm", release.version);
    build(release, dir.path(), &root)?;
    fs::copy(dir.path().join("RPMS").join(ARCH).join(&name), out.join(&name))
        .with_context(|| format!("rpmbuild has not made {name}"))?;
    Ok(name)
}

/// Runs rpmbuild in `dir`; every time in the package is that of the release.
fn build(release: &Release, dir: &Path, root: &Path) -> Result<()> {
    let mut build = Command::new(RPM.ensure()?.join("rpmbuild"));
    build.env("SOURCE_DATE_EPOCH", release.epoch.seconds()).args(["-bb", "--quiet"]);
    let (top, root) = (dir.display().to_string(), root.display().to_string());
    for (name, value) in [
        ("_topdir", top.as_str()),
        ("_dbpath", &format!("{top}/db")),
        ("release_version", &release.version),
        ("tree", &root),
        ("_buildhost", "reproducible"),
        ("use_source_date_epoch_as_buildtime", "1"),
        ("clamp_mtime_to_source_date_epoch", "1"),
        ("_binary_payload", "w19.zstdio"),
        // Links to files by their build identifiers, which a stripped program has no use for.
        ("_build_id_links", "none"),
    ] {
        build.arg("--define").arg(format!("{name} {value}"));
    }
    build.arg(cargo::workspace().join("deploy/rpm/tcpwatch.spec"));
    pack::output(&mut build).map(drop)
}
