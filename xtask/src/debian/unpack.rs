//! Unpacks Debian packages.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio, id},
};

use anyhow::{Context, Result, ensure};

/// Directories that packages name by two paths, because Debian merged them into `usr`.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Makes `dir` by filling a temporary directory beside it, so that it is complete or does not exist. An incomplete one
/// of an older version is replaced.
pub(crate) fn finish(dir: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let unfinished = dir.with_extension(format!("unfinished-{}", id()));
    let attempt = || -> Result<()> {
        fs::create_dir_all(&unfinished).with_context(|| unfinished.display().to_string())?;
        fill(&unfinished)?;
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("cannot replace {}", dir.display()))?;
        }
        fs::rename(&unfinished, dir).with_context(|| format!("cannot make {}", dir.display()))
    };
    let result = attempt();
    if result.is_err() {
        drop(fs::remove_dir_all(&unfinished));
    }
    result
}

/// Unpacks a package below `root`; `tar` are further arguments for tar, which select files.
pub(crate) fn unpack(package: &Path, root: &Path, tar: &[&str]) -> Result<()> {
    for name in MERGED {
        let merged = Path::new("usr").join(name);
        fs::create_dir_all(root.join(&merged)).with_context(|| root.display().to_string())?;
        if !root.join(name).is_symlink() {
            symlink(merged, root.join(name)).with_context(|| root.display().to_string())?;
        }
    }
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let files = dpkg.stdout.take().context("dpkg-deb has no stdout")?;
    let mut command = Command::new("tar");
    // No file gets another owner or a set-user-ID bit, whatever the package contains.
    command.args(["-x", "--no-same-owner", "--no-same-permissions", "--keep-directory-symlink"]);
    let unpacked = command.args(tar).current_dir(root).stdin(files).status();
    let unpacked = unpacked.context("cannot start tar")?;
    let status = dpkg.wait().context("cannot wait for dpkg-deb")?;
    ensure!(status.success() && unpacked.success(), "{}: {status}, {unpacked}", package.display());
    Ok(())
}

/// The packages in a directory.
pub(crate) fn packages_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths =
        paths.collect::<Result<Vec<_>, _>>().with_context(|| dir.display().to_string())?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn what_an_older_version_left_is_replaced_and_a_failure_leaves_it() {
        let dir = env::temp_dir().join(format!("tcpwatch-finish-{}", id())).join("programs");
        let fill = |name: &'static str| move |dir: &Path| Ok(fs::write(dir.join(name), "")?);
        finish(&dir, fill("ip")).expect("it is new");
        finish(&dir, |_| anyhow::bail!("no network")).expect_err("it cannot be filled");
        assert!(dir.join("ip").exists(), "the old one stays");
        finish(&dir, fill("tc")).expect("it is replaced");
        assert!(dir.join("tc").exists() && !dir.join("ip").exists(), "all of the new one");
        fs::remove_dir_all(dir.parent().expect("made above")).expect("it can be removed");
    }
}
