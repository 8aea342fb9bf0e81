//! A machine with or without a program of Prometheus comes in, the directory it is in goes out.
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
use tcpwatch_bpf_toolchain::in_path;

use crate::{cargo, precondition::Precondition};

/// A Debian package and what is run of it.
#[derive(Debug)]
pub(crate) struct Package {
    name: &'static str,
    /// The first one is looked for in `PATH`.
    programs: &'static [&'static str],
    /// What a step says that brings it.
    purpose: &'static str,
}

pub(crate) const PROMETHEUS: Package = Package {
    name: "prometheus",
    programs: &["prometheus", "promtool"],
    purpose: "downloading Debian's Prometheus, which the tests of deploy/ run",
};

pub(crate) const NODE_EXPORTER: Package = Package {
    name: "prometheus-node-exporter",
    programs: &["prometheus-node-exporter"],
    purpose: "downloading Debian's node_exporter, which scrapes are compared with",
};

impl Package {
    /// Where its programs are; brings them if they are not here.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        let place = place(self.name);
        let unpacked = place.join("usr/bin");
        let first = self.programs.first().and_then(|program| in_path(program));
        let installed = first.and_then(|program| program.parent().map(Path::to_owned));
        let mut candidates = installed.into_iter().chain([unpacked.clone()]);
        if let Some(found) = candidates.find(|directory| self.is_in(directory)) {
            return Ok(found);
        }
        match self.bring(&place) {
            Ok(()) if self.is_in(&unpacked) => Ok(unpacked),
            Ok(()) => Err(self.missing("Debian's package lacks it")),
            Err(error) => Err(self.missing(&format!("{error:#}"))),
        }
    }

    fn is_in(&self, directory: &Path) -> bool {
        self.programs.iter().all(|program| directory.join(program).is_file())
    }

    fn missing(&self, why: &str) -> anyhow::Error {
        let programs = self.programs.join(" and ");
        Precondition(format!(
            "{programs}: not here, and could not be brought: {why}\n\
             install Debian's package {}, or put what it has into PATH",
            self.name
        ))
        .into()
    }

    fn bring(&self, place: &Path) -> Result<()> {
        fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
        if let Err(error) = self.download(place).run() {
            eprintln!("setup: {error:#}; the lists of packages may be old");
            road::apt_update().run()?;
            self.download(place).run()?;
        }
        let entries =
            fs::read_dir(place).with_context(|| format!("cannot read {}", place.display()))?;
        let mut files = entries.flatten().map(|entry| entry.path());
        let file = files.find(|path| path.extension().is_some_and(|it| it == "deb"));
        unpack(&file.context("apt-get left no package")?, place).run()
    }

    fn download(&self, place: &Path) -> Step {
        let directory = format!("--chdir={}", place.display());
        Step {
            purpose: self.purpose,
            env: Vec::new(),
            program: "env",
            args: vec![directory, "apt-get".into(), "download".into(), self.name.into()],
            runs_as: RunsAs::Caller,
        }
    }
}

/// A directory beside the builds: this program is in `target/debug`.
fn place(name: &str) -> PathBuf {
    let own = env::current_exe().ok();
    let target = own.as_deref().and_then(|program| program.ancestors().nth(2));
    target.map_or_else(|| cargo::workspace().join("target"), Path::to_owned).join(name)
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
        let typed =
            [PROMETHEUS.download(place), unpack(Path::new("/t/p.deb"), place)].map(|step| {
                assert_eq!(step.runs_as, RunsAs::Caller, "{step}");
                step.to_string()
            });
        let expected =
            ["env --chdir=/t apt-get download prometheus", "dpkg-deb --extract /t/p.deb /t"];
        assert_eq!(typed, expected, "download, unpack");
    }
}
