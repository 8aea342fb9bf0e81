//! Programs that the tests and the bench start, and their packages. A program in `PATH` is used; any other is fetched
//! with all its libraries, unpacked in the user's cache, and run from there.

use std::{
    env,
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    Apt, cache,
    unpack::{finish, packages_in, unpack},
};
use crate::precondition::Precondition;

/// A package and its programs. Paths are relative to the directory into which it is unpacked.
#[derive(Debug)]
pub(crate) struct ProgramPackage {
    name: &'static str,
    programs: &'static [&'static str],
    /// Environment variables by which a program finds its own files.
    variables: &'static [(&'static str, &'static str)],
    /// Options for the same purpose.
    options: &'static [(&'static str, &'static str)],
}

const fn package(name: &'static str, programs: &'static [&'static str]) -> ProgramPackage {
    ProgramPackage { name, programs, variables: &[], options: &[] }
}

pub(crate) const BPFTRACE: ProgramPackage = package("bpftrace", &["bpftrace"]);
pub(crate) const BUSYBOX: ProgramPackage = package("busybox-static", &["busybox"]);
/// A script, which runs from where it was unpacked with `DEBOOTSTRAP_DIR`.
pub(crate) const DEBOOTSTRAP: ProgramPackage = package("debootstrap", &[]);
pub(crate) const IPROUTE: ProgramPackage = package("iproute2", &["ip", "ss", "tc"]);
pub(crate) const LIBBPF_TOOLS: ProgramPackage = package("libbpf-tools", &["tcpstates", "tcplife"]);
pub(crate) const NODE_EXPORTER: ProgramPackage =
    package("prometheus-node-exporter", &["prometheus-node-exporter"]);
pub(crate) const PROMETHEUS: ProgramPackage = package("prometheus", &["prometheus", "promtool"]);
/// Servers, what is between them and their clients, and what makes containers: they run in a root file system that is
/// made of what was unpacked.
pub(crate) const SERVERS: [ProgramPackage; 9] = [
    package("nginx-light", &[]),
    package("postgresql", &[]),
    package("redis-server", &[]),
    package("haproxy", &[]),
    package("pgbouncer", &[]),
    package("nftables", &[]),
    package("hping3", &[]),
    package("nodejs", &[]),
    package("podman", &[]),
];
pub(crate) const QEMU: ProgramPackage = ProgramPackage {
    variables: &[("QEMU_MODULE_DIR", "usr/lib/x86_64-linux-gnu/qemu")],
    options: &[("-L", "usr/share/qemu"), ("-L", "usr/share/seabios")],
    ..package("qemu-system-x86", &["qemu-system-x86_64"])
};
pub(crate) const RPM: ProgramPackage = ProgramPackage {
    variables: &[("RPM_CONFIGDIR", "usr/lib/rpm")],
    ..package("rpm", &["rpmbuild"])
};
pub(crate) const RSYSLOG: ProgramPackage = ProgramPackage {
    options: &[("-M", "usr/lib/x86_64-linux-gnu/rsyslog")],
    ..package("rsyslog", &["rsyslogd"])
};
pub(crate) const TCPDUMP: ProgramPackage = package("tcpdump", &["tcpdump"]);
pub(crate) const VALGRIND: ProgramPackage = ProgramPackage {
    variables: &[("VALGRIND_LIB", "usr/libexec/valgrind")],
    ..package("valgrind", &["valgrind"])
};

/// Where an unpacked package has its programs ready to run.
const READY: &str = "ready";
/// Files that are not unpacked, because no program reads them.
const LEFT: [&str; 3] =
    ["--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/locale"];

impl ProgramPackage {
    /// The directory with its programs, if they are on this machine: a directory of `PATH` that has all of them, or
    /// where they were fetched to before.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let fetched = cache().ok().map(|cache| self.tree(&cache).join(READY));
        let is_in = |dir: &PathBuf| self.programs.iter().all(|program| dir.join(program).is_file());
        env::split_paths(&path).chain(fetched).find(is_in)
    }

    /// The same, but fetches them if they are missing.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        if let Some(found) = self.find() {
            return Ok(found);
        }
        self.fetch_from_debian().map_err(|error| {
            let programs = self.programs.join(" and ");
            Precondition(format!("{programs}: not in PATH, and {error:#}")).into()
        })
    }

    /// The files of the package and of all that it needs, as they lie below the root of a system, in a directory
    /// with the package's name; they are fetched if they are not here.
    pub(crate) fn ensure_unpacked(&self) -> Result<PathBuf> {
        let tree = self.tree(&cache()?);
        if !tree.is_dir() {
            self.fetch_from_debian().map_err(|error| Precondition(format!("{error:#}")))?;
        }
        Ok(tree)
    }

    fn fetch_from_debian(&self) -> Result<PathBuf> {
        let fetch = || self.fetch(&Apt::open()?, &cache()?);
        fetch().with_context(|| format!("Debian's package {} cannot be fetched", self.name))
    }

    /// The directory into which it is unpacked.
    fn tree(&self, cache: &Path) -> PathBuf {
        cache.join("programs").join(self.name)
    }

    /// Fetches it and returns the directory of its programs.
    pub(super) fn fetch(&self, apt: &Apt, cache: &Path) -> Result<PathBuf> {
        let tree = self.tree(cache);
        finish(&tree, |unfinished| {
            let archives = unfinished.join("archives");
            apt.with_lists(|| apt.download_with_dependencies(self.name, &archives))?;
            for package in packages_in(&archives)? {
                unpack(&package, unfinished, &LEFT)?;
            }
            fs::remove_dir_all(&archives)?;
            fs::create_dir(unfinished.join(READY))?;
            self.programs.iter().try_for_each(|program| self.make_ready(program, unfinished, &tree))
        })?;
        Ok(tree.join(READY))
    }

    /// A program with its own libraries needs the loader that belongs to them; `tree` is the final path of
    /// `unfinished`.
    fn make_ready(&self, program: &str, unfinished: &Path, tree: &Path) -> Result<()> {
        let ready = unfinished.join(READY).join(program);
        let file = file_of(program, unfinished)?;
        let Some(loader) = loader_for(&file, unfinished)? else {
            let file = Path::new("..").join(file.strip_prefix(unfinished)?);
            return symlink(file, ready).context("cannot make a symbolic link");
        };
        let start = self.script(&file, &loader, unfinished, tree)?;
        fs::write(&ready, start)?;
        Ok(fs::set_permissions(ready, fs::Permissions::from_mode(0o755))?)
    }

    fn script(&self, file: &Path, loader: &Path, now: &Path, tree: &Path) -> Result<String> {
        let quoted =
            |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
        let moved = |path: &Path| Ok::<_, anyhow::Error>(tree.join(path.strip_prefix(now)?));
        let mut script = "#!/bin/sh\n".to_owned();
        for (name, dir) in self.variables {
            writeln!(script, "export {name}={}", quoted(&tree.join(dir)))?;
        }
        let (loader, file) = (moved(loader)?, moved(file)?);
        let libraries = loader.parent().unwrap_or(tree);
        let words = [&loader, Path::new("--library-path"), libraries, &file].map(quoted);
        write!(script, "exec {}", words.join(" "))?;
        for (option, dir) in self.options {
            write!(script, " {option} {}", quoted(&tree.join(dir)))?;
        }
        script.push_str(" \"$@\"\n");
        Ok(script)
    }
}

/// A file that a program needs on another system, and its path there.
#[derive(Debug)]
pub(crate) struct ProgramFile {
    pub(crate) file: PathBuf,
    /// Relative to the root.
    pub(crate) place: PathBuf,
}

/// What another system needs to run this program: the program itself, which becomes `bin/NAME` there, the libraries
/// that its loader loads, and the loader.
pub(crate) fn parts(program: &Path) -> Result<Vec<ProgramFile>> {
    let name = program.file_name().context("the path of a program has no file name")?;
    let ready = program.parent().filter(|dir| dir.ends_with(READY));
    let tree = ready.and_then(Path::parent);
    let file = match tree {
        Some(tree) => file_of(&name.to_string_lossy(), tree)?,
        None => program.to_owned(),
    };
    let loader = tree.map(|tree| loader_for(&file, tree)).transpose()?.flatten();
    let mut list = match &loader {
        Some(loader) => {
            let libraries = loader.parent().unwrap_or(loader);
            let mut list = Command::new(loader);
            list.arg("--library-path").arg(libraries).arg("--list");
            list
        }
        None => Command::new("ldd"),
    };
    let output = list.arg(&file).output().context("cannot start ldd")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let libraries = printed.lines().filter_map(library).map(PathBuf::from);
    let part = |file: PathBuf| {
        let below = tree.and_then(|tree| file.strip_prefix(tree).ok());
        let place = below.unwrap_or(&file).strip_prefix("/").unwrap_or(below.unwrap_or(&file));
        ProgramFile { place: place.to_owned(), file }
    };
    let mut parts: Vec<_> = libraries.map(part).collect();
    if let Some(loader) = loader {
        // At the path that the program names.
        let place = Path::new("lib64").join(loader.file_name().unwrap_or_default());
        parts.push(ProgramFile { place, file: loader });
    }
    parts.push(ProgramFile { place: Path::new("bin").join(name), file });
    Ok(parts)
}

/// The path in a line of `ldd`: `NAME => PATH (ADDRESS)` or `PATH (ADDRESS)`.
fn library(line: &str) -> Option<&str> {
    let path = line.split_once("=> ").map_or(line, |(_, path)| path).trim();
    path.rsplit_once(" (").map(|(path, _)| path).filter(|path| path.starts_with('/'))
}

/// The path of a program in an unpacked tree. If a script of the package starts the program, it is not the script's.
fn file_of(program: &str, tree: &Path) -> Result<PathBuf> {
    let names = [format!("{program}.bin"), program.to_owned()];
    let files =
        ["usr/bin", "usr/sbin"].map(|dir| names.each_ref().map(|name| tree.join(dir).join(name)));
    let file = files.into_iter().flatten().find(|file| file.is_file());
    file.with_context(|| format!("the package lacks {program}"))
}

/// The loader of an unpacked tree, if this program uses it; a statically linked program has none.
fn loader_for(program: &Path, tree: &Path) -> Result<Option<PathBuf>> {
    let Some(loader) = loader(tree)? else { return Ok(None) };
    let verified = Command::new(&loader).arg("--verify").arg(program).status();
    let verified = verified.with_context(|| format!("cannot start {}", loader.display()))?;
    Ok(verified.success().then_some(loader))
}

/// `usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2`, or that of another architecture.
fn loader(tree: &Path) -> Result<Option<PathBuf>> {
    for dir in fs::read_dir(tree.join("usr/lib"))? {
        let dir = dir?.path();
        let Ok(files) = fs::read_dir(&dir) else { continue };
        for file in files {
            let name = file?.file_name();
            if name.to_string_lossy().starts_with("ld-linux-") {
                return Ok(Some(dir.join(name)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::test_archive::Archive;

    const EMULATOR: ProgramPackage = ProgramPackage {
        variables: &[("EMULATOR_DATA", "usr/share/emulator")],
        options: &[("-L", "usr/share/emulator")],
        ..package("emulator", &["emulator"])
    };

    #[test]
    fn a_program_is_fetched_although_the_machine_has_what_it_conflicts_with() {
        let archive = Archive::new("conflict");
        let installed = archive.status(&[("utils", "2.0", "Breaks: emulator (<< 2.0)\n")]);
        let install = |more: &[&str]| archive.machine_installs("emulator", more);
        let (alone, printed) = install(&["--no-remove"]);
        assert!(!alone, "this is the conflict: {printed}");
        let (with_removal, printed) = install(&[]);
        assert!(with_removal && printed.contains("Remv utils"), "it would be removed: {printed}");

        let ready = EMULATOR.fetch(&archive.apt(), &archive.dir).expect("it is fetched");
        let output = Command::new(ready.join("emulator")).arg("hello").output().expect("it starts");
        let tree = EMULATOR.tree(&archive.dir);
        let data = tree.join("usr/share/emulator").display().to_string();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), format!("-L {data} hello"), "its options and ours");
        let start = fs::read_to_string(ready.join("emulator")).expect("a script");
        assert!(start.contains(&format!("export EMULATOR_DATA='{data}'\n")), "{start}");
        assert!(start.contains("--library-path"), "with the libraries that came along: {start}");
        assert!(tree.join("usr/share/library/file").is_file(), "what it needs came along");
        assert_eq!(archive.status_now(), installed, "the machine's record is as it was");
    }

    #[test]
    fn a_package_that_is_not_there_is_named_and_leaves_nothing() {
        let archive = Archive::new("nowhere");
        let error = package("nowhere", &["nowhere"]).fetch(&archive.apt(), &archive.dir);
        let error = format!("{:#}", error.expect_err("no such package"));
        assert!(error.contains("nowhere"), "{error}");
        assert_eq!(fs::read_dir(archive.dir.join("programs")).expect("made").count(), 0, "no rest");
    }

    #[test]
    #[ignore = "fetches 300 MB from Debian's archive; by hand when the table above changes"]
    fn every_program_runs_from_where_it_was_unpacked() {
        let dir = env::temp_dir().join(format!("tcpwatch-programs-{}", std::process::id()));
        let apt = Apt::open().expect("an apt");
        let version: &[&str] = &["--version"];
        let cases = [
            (BPFTRACE, version),
            (BUSYBOX, &["true"]),
            (IPROUTE, &["-V"]),
            (LIBBPF_TOOLS, version),
            (NODE_EXPORTER, version),
            (PROMETHEUS, version),
            (QEMU, &["-accel", "tcg", "-machine", "none", "-display", "none", "-version"]),
            (RPM, version),
            (RSYSLOG, &["-v"]),
            (TCPDUMP, version),
            (VALGRIND, &["--tool=dhat", "--dhat-out-file=/dev/null", "/bin/true"]),
        ];
        for (package, args) in cases {
            let ready = package.fetch(&apt, &dir).expect("it is fetched");
            for program in package.programs {
                let output = Command::new(ready.join(program)).args(args).output();
                let output = output.expect("it starts");
                assert!(output.status.success(), "{program}: {output:?}");
            }
        }
        fs::remove_dir_all(&dir).expect("it can be removed");
    }
}
