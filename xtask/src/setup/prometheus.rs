//! A machine with or without Prometheus comes in, the directory of its programs goes out.
//!
//! Debian's package is unpacked beside the builds and not installed: it would start a service.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    road,
    step::{RunsAs, Step},
};
use crate::{bpf_toolchain::in_path, cargo, precondition::Precondition};

const PACKAGE: &str = "prometheus";
/// What the tests run.
const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];

/// Where `prometheus` and `promtool` are; brings them if they are not here.
pub(crate) fn ensure() -> Result<PathBuf> {
    let place = place();
    let unpacked = place.join("usr/bin");
    let installed = in_path(PACKAGE).and_then(|program| program.parent().map(Path::to_owned));
    let mut candidates = installed.into_iter().chain([unpacked.clone()]);
    if let Some(found) = candidates.find(|directory| has_all(directory)) {
        return Ok(found);
    }
    match bring(&place) {
        Ok(()) if has_all(&unpacked) => Ok(unpacked),
        Ok(()) => Err(missing("Debian's package lacks one of them")),
        Err(error) => Err(missing(&format!("{error:#}"))),
    }
}

fn missing(why: &str) -> anyhow::Error {
    Precondition(format!(
        "prometheus and promtool are not here, and could not be brought: {why}\n\
         install Prometheus so that both are in PATH"
    ))
    .into()
}

fn has_all(directory: &Path) -> bool {
    PROGRAMS.iter().all(|program| directory.join(program).is_file())
}

/// A directory beside the builds: this program is in `target/debug`.
fn place() -> PathBuf {
    let own = env::current_exe().ok();
    let target = own.as_deref().and_then(|program| program.ancestors().nth(2));
    target.map_or_else(|| cargo::workspace().join("target"), Path::to_owned).join(PACKAGE)
}

fn bring(place: &Path) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
    if let Err(error) = download(place).run() {
        eprintln!("setup: {error:#}; the lists of packages may be old");
        road::apt_update().run()?;
        download(place).run()?;
    }
    let entries =
        fs::read_dir(place).with_context(|| format!("cannot read {}", place.display()))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|it| it == "deb"));
    unpack(&file.context("apt-get left no package")?, place).run()
}

fn download(place: &Path) -> Step {
    let directory = format!("--chdir={}", place.display());
    Step {
        purpose: "downloading Debian's Prometheus, which the tests of deploy/ run",
        env: Vec::new(),
        program: "env",
        args: vec![directory, "apt-get".into(), "download".into(), PACKAGE.into()],
        runs_as: RunsAs::Caller,
    }
}

fn unpack(package: &Path, place: &Path) -> Step {
    let path = |path: &Path| path.display().to_string();
    Step {
        purpose: "unpacking it there",
        env: Vec::new(),
        program: "dpkg-deb",
        args: vec!["--extract".into(), path(package), path(place)],
        runs_as: RunsAs::Caller,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_installed_and_root_is_not_asked_for() {
        let place = Path::new("/t");
        let typed = [download(place), unpack(Path::new("/t/p.deb"), place)].map(|step| {
            assert_eq!(step.runs_as, RunsAs::Caller, "{step}");
            step.to_string()
        });
        let expected =
            ["env --chdir=/t apt-get download prometheus", "dpkg-deb --extract /t/p.deb /t"];
        assert_eq!(typed, expected, "download, unpack");
    }
}
