//! Builds the file system from which a virtual machine starts: test targets, tools, a kernel's modules.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{
    kernels::{BootableKernel, MODULES},
    plan::Amount,
    tests::{ListedTests, MachineKind, ODD, TARGETS, TOO_OLD, Target, USUAL},
};
use crate::{
    cargo::{self, Executable},
    debian::{BUSYBOX, IPROUTE, ProgramFile, parts},
};

const INIT: &str = include_str!("init.sh");
/// Directories that have to exist before anything is mounted or copied.
const DIRS: [&str; 11] =
    ["bin", "dev", "lib", "lib64", "modules", "proc", "run", "sys", "tests", "tmp", "usr"];
/// Files of the workspace that tests read, relative to [`PACKAGE`]'s parent.
const FILES: [&str; 2] = ["deploy/METRICS.md", "tcpwatch/tests/data/lab"];
/// The directory of the package in the machine.
const PACKAGE: &str = "tcpwatch";
/// Programs that the tests start.
const TOOLS: [&str; 3] = ["ip", "ss", "tc"];
/// Sysctls on which tcpwatch's expectations depend, and that not every kernel has.
const SYSCTLS: [&str; 5] = [
    "tcp_syn_linear_timeouts",
    "tcp_rto_min_us",
    "tcp_tw_reuse_delay",
    "tcp_rto_max_ms",
    "tcp_child_ehash_entries",
];
/// Time limit for one test, by the machine's own clock, on which waiting costs nothing. The slowest test runs all
/// scenarios, several at a time.
const TEST_SECONDS: u32 = 1000;

/// Everything that a virtual machine runs except its kernel.
pub(crate) struct Guest {
    tcpwatch: PathBuf,
    targets: Vec<Built>,
    /// Words; a test runs if its name contains one of them.
    only: Vec<String>,
    /// The shell and basic tools.
    busybox: PathBuf,
    /// Other programs that the tests start.
    tools: PathBuf,
    /// The directory in which the file systems are built.
    dir: PathBuf,
}

/// A test target, and the list of its tests.
struct Built {
    target: &'static Target,
    path: PathBuf,
    listed: ListedTests,
}

impl Guest {
    /// Builds the tests and the program as for the host.
    pub(crate) fn build(only: &[String]) -> Result<Self> {
        let mut args = vec!["test", "--workspace"];
        args.extend(TARGETS.iter().flat_map(|target| ["--test", target.name]));
        args.push("--no-run");
        let built = cargo::build(&args)?;
        let find = |name: &str, is_test: bool| {
            let is_it = |built: &&Executable| built.target == name && built.is_test == is_test;
            let path = built.iter().find(is_it).map(|executable| executable.path.clone());
            path.with_context(|| format!("cargo built no `{name}`"))
        };
        let tcpwatch = find("tcpwatch", false)?;
        let mut targets = Vec::new();
        for target in TARGETS {
            let path = find(target.name, true)?;
            let listed =
                ListedTests { all: list(&path, &[])?, ignored: list(&path, &["--ignored"])? };
            let unknown = target.unknown(&listed);
            ensure!(
                unknown.is_empty(),
                "xtask/src/vm/tests.rs names {unknown:?}, which do not exist"
            );
            targets.push(Built { target, path, listed });
        }
        Ok(Self {
            dir: tcpwatch.with_file_name("machines"),
            tcpwatch,
            targets,
            only: only.to_owned(),
            busybox: BUSYBOX.ensure()?.join("busybox"),
            tools: IPROUTE.ensure()?,
        })
    }

    /// The tests for each configuration of a machine.
    pub(crate) fn lists(&self, amount: Amount) -> Vec<(&'static MachineKind, Vec<GuestTest>)> {
        let tests = |choose: &dyn Fn(&Built) -> Vec<String>| {
            let of_target = |built: &Built| {
                let target = built.target.name;
                choose(built)
                    .into_iter()
                    .map(move |name| GuestTest { target, name })
                    .collect::<Vec<_>>()
            };
            self.targets.iter().flat_map(of_target).collect::<Vec<_>>()
        };
        let of_way = |way: &MachineKind| tests(&|built| way.choose(&built.listed, &self.only));
        let mut lists = match amount {
            Amount::All => {
                let mut usual = tests(&|built| built.target.choose(&built.listed, &self.only));
                usual.extend(of_way(&USUAL));
                let mut lists = vec![(&USUAL, usual)];
                lists.extend(ODD.iter().map(|way| (way, of_way(way))));
                lists
            }
            Amount::Core => {
                vec![(&USUAL, tests(&|built| built.target.choose_core(&built.listed, &self.only)))]
            }
            Amount::Refusal => vec![(&TOO_OLD, of_way(&TOO_OLD))],
        };
        lists.retain(|(_, tests)| !tests.is_empty());
        lists
    }

    /// Builds the file system for the machines of this kernel; each reads its list of tests by the name of its job.
    pub(crate) fn image(
        &self,
        kernel: &BootableKernel,
        jobs: &[MachineJob<'_>],
    ) -> Result<PathBuf> {
        let root = self.dir.join(&kernel.name);
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
        }
        for dir in DIRS {
            fs::create_dir_all(root.join(dir)).with_context(|| root.display().to_string())?;
        }
        for dir in ["bin", "lib", "lib64"] {
            symlink(format!("../{dir}"), root.join("usr").join(dir))?;
        }
        self.fill(&root, kernel, jobs)
            .with_context(|| format!("cannot fill {}", root.display()))?;
        let image = self.dir.join(format!("{}.cpio", kernel.name));
        archive(&root, &image, &self.busybox)?;
        fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
        Ok(image)
    }

    fn fill(&self, root: &Path, kernel: &BootableKernel, jobs: &[MachineJob<'_>]) -> Result<()> {
        let bin = root.join("bin");
        fs::write(root.join("init"), INIT)?;
        fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
        fs::write(root.join("settings"), settings())?;
        for job in jobs {
            fs::write(root.join("tests").join(&job.name), job.list())?;
        }
        for file in FILES {
            copy(&cargo::workspace().join(file), &root.join(file))?;
        }
        let targets = self.targets.iter().map(|built| (built.target.name, built.path.as_path()));
        for (name, program) in targets.chain([("tcpwatch", self.tcpwatch.as_path())]) {
            with_libraries(program, root)?;
            strip(program, &bin.join(name))?;
        }
        let tools = TOOLS.map(|tool| self.tools.join(tool));
        for tool in tools.iter().chain([&self.busybox]) {
            with_libraries(tool, root)?;
        }
        let unpack = |module: &PathBuf| unpack(module, &root.join("modules"), &self.busybox);
        kernel.modules.iter().try_for_each(unpack)
    }
}

/// A test and its target.
#[derive(Clone, Debug)]
pub(crate) struct GuestTest {
    target: &'static str,
    name: String,
}

impl GuestTest {
    /// As reports name it.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.target, self.name)
    }
}

/// What one machine does.
#[derive(Debug)]
pub(crate) struct MachineJob<'a> {
    pub(crate) kernel: &'a BootableKernel,
    pub(crate) way: &'static MachineKind,
    pub(crate) name: String,
    pub(crate) tests: Vec<GuestTest>,
}

impl MachineJob<'_> {
    fn list(&self) -> String {
        let lines = self.tests.iter().map(|test| format!("{} {}", test.target, test.name));
        lines.chain([String::new()]).collect::<Vec<_>>().join("\n")
    }
}

/// Copies a file, or a folder of files.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        fs::copy(from, to).with_context(|| from.display().to_string())?;
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The settings of the init script, as shell assignments.
fn settings() -> String {
    let (modules, sysctls) = (MODULES.join(" "), SYSCTLS.join(" "));
    format!(
        "MODULES='{modules}'\nSYSCTLS='{sysctls}'\nTEST_SECONDS={TEST_SECONDS}\nPACKAGE=/{PACKAGE}\n"
    )
}

fn list(tests: &Path, more: &[&str]) -> Result<String> {
    let output = Command::new(tests).arg("--list").args(more).output();
    let output = output.with_context(|| format!("cannot start {}", tests.display()))?;
    ensure!(output.status.success(), "{} --list: {}", tests.display(), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Copies a program with everything that it needs on another system.
fn with_libraries(program: &Path, root: &Path) -> Result<()> {
    for ProgramFile { file, place } in parts(program)? {
        let copy = root.join(place);
        if let Some(dir) = copy.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::copy(&file, &copy).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Copies a program without debug information: the machine holds it in memory.
fn strip(program: &Path, copy: &Path) -> Result<()> {
    let status = Command::new("strip").arg("-o").arg(copy).arg(program).status();
    let status = status.context("cannot start strip, which comes with the linker")?;
    ensure!(status.success(), "strip {}: {status}", program.display());
    Ok(())
}

/// Writes a module into `dir`, decompressed.
fn unpack(module: &Path, dir: &Path, busybox: &Path) -> Result<()> {
    let file = module.file_name().unwrap_or_default().to_string_lossy();
    let name = file.split('.').next().unwrap_or(&file);
    let mut unpack = match module.extension().and_then(OsStr::to_str) {
        Some("zst") => Command::new("zstd"),
        Some(kind @ ("xz" | "gz")) => {
            let mut command = Command::new(busybox);
            command.arg(if kind == "xz" { "xz" } else { "gzip" });
            command
        }
        _ => {
            fs::copy(module, dir.join(&*file))?;
            return Ok(());
        }
    };
    let output = unpack.arg("-dc").arg(module).output();
    let output =
        output.with_context(|| format!("cannot start {}", unpack.get_program().display()))?;
    ensure!(output.status.success(), "{unpack:?}: {}", output.status);
    fs::write(dir.join(format!("{name}.ko")), output.stdout)?;
    Ok(())
}

/// Packs everything below `root` into an initramfs, owned by root.
fn archive(root: &Path, image: &Path, busybox: &Path) -> Result<()> {
    let file = fs::File::create(image).with_context(|| image.display().to_string())?;
    let mut cpio = Command::new(busybox)
        .args(["cpio", "-o", "-H", "newc", "-R", "0:0"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(file)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start cpio")?;
    let mut names = String::new();
    collect(root, root, &mut names)?;
    if let Some(mut stdin) = cpio.stdin.take() {
        stdin.write_all(names.as_bytes()).context("cpio has no stdin")?;
    }
    let status = cpio.wait().context("cannot wait for cpio")?;
    ensure!(status.success(), "cpio: {status}");
    Ok(())
}

/// Adds the names below `dir`, relative to `root`, a directory before its contents.
fn collect(dir: &Path, root: &Path, names: &mut String) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        names.push_str(&path.strip_prefix(root)?.to_string_lossy());
        names.push('\n');
        if path.is_dir() && !path.is_symlink() {
            collect(&path, root, names)?;
        }
    }
    Ok(())
}
