//! Test targets and a kernel's modules come in, the file system a virtual machine starts from goes
//! out.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    kernels::{Kernel, MODULES},
    tests::{Listed, ODD, TARGETS, USUAL, Way},
};
use tcpwatch_bpf_toolchain::in_path;

use crate::cargo::{self, Executable};

const INIT: &str = include_str!("init.sh");
/// Where the executables are to run.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Directories that have to be there before anything is mounted or copied.
const DIRS: [&str; 8] = ["bin", "dev", "modules", "proc", "run", "sys", "tests", "tmp"];
/// What tests read of the workspace, relative to it. It stands in [`PACKAGE`]'s parent.
const FILES: [&str; 2] = ["deploy/METRICS.md", "tcpwatch/tests/data/lab"];
/// Where a test finds its package.
const PACKAGE: &str = "tcpwatch";
/// Programs of this system: the shell and its tools, and what the tests start.
const TOOLS: [&str; 3] = ["busybox", "ip", "ss"];
/// Settings of the kernel that tcpwatch's expectations depend on, and that not every kernel has.
const SYSCTLS: [&str; 5] = [
    "tcp_syn_linear_timeouts",
    "tcp_rto_min_us",
    "tcp_tw_reuse_delay",
    "tcp_rto_max_ms",
    "tcp_child_ehash_entries",
];
/// How long one test may take, by the machine's own clock, on which waiting costs nothing. The slowest runs
/// all scenarios, some at a time.
const TEST_SECONDS: u32 = 1000;

/// Everything a virtual machine runs but its kernel.
pub(crate) struct Guest {
    tcpwatch: PathBuf,
    targets: Vec<(&'static str, PathBuf)>,
    /// What each way to start a machine is for.
    pub(crate) lists: Vec<(&'static Way, Vec<Test>)>,
    /// Where the machines are put together.
    pub(crate) dir: PathBuf,
}

impl Guest {
    /// Builds the tests and the program, linked so that they need nothing of the system.
    pub(crate) fn build(only: &[String]) -> Result<Self> {
        let mut args = vec!["test", "--profile", "vm", "--target", TRIPLE, "--package", "tcpwatch"];
        args.extend(TARGETS.iter().flat_map(|target| ["--test", target.name]));
        args.push("--no-run");
        let built = cargo::build_with(&args, &[("RUSTFLAGS", "-C target-feature=+crt-static")])?;
        let find = |name: &str, is_test: bool| {
            let is_it = |built: &&Executable| built.target == name && built.is_test == is_test;
            let path = built.iter().find(is_it).map(|executable| executable.path.clone());
            path.with_context(|| format!("cargo built no `{name}`"))
        };
        let tcpwatch = find("tcpwatch", false)?;
        let (mut targets, mut usual) = (Vec::new(), Vec::new());
        let mut odd: Vec<_> = ODD.iter().map(|way| (way, Vec::new())).collect();
        for target in TARGETS {
            let path = find(target.name, true)?;
            let listed = Listed { all: list(&path, &[])?, ignored: list(&path, &["--ignored"])? };
            let unknown = target.unknown(&listed);
            ensure!(unknown.is_empty(), "xtask/src/vm/tests.rs names {unknown:?}, which are gone");
            let tests = |names: Vec<String>| {
                names.into_iter().map(|name| Test { target: target.name, name })
            };
            usual.extend(tests(target.choose(&listed, only)));
            usual.extend(tests(USUAL.choose(&listed, only)));
            for (way, of_way) in &mut odd {
                of_way.extend(tests(way.choose(&listed, only)));
            }
            targets.push((target.name, path));
        }
        let mut lists = vec![(&USUAL, usual)];
        lists.extend(odd);
        lists.retain(|(_, tests)| !tests.is_empty());
        if lists.is_empty() {
            bail!("no test has any of {only:?} in its name");
        }
        let dir = tcpwatch.with_file_name("machines");
        Ok(Self { tcpwatch, targets, lists, dir })
    }

    /// Puts together what the machines of this kernel start from; each finds its tests by its name.
    pub(crate) fn image(&self, kernel: &Kernel, jobs: &[Job<'_>]) -> Result<PathBuf> {
        let root = self.dir.join(&kernel.name);
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
        }
        for dir in DIRS {
            fs::create_dir_all(root.join(dir)).with_context(|| root.display().to_string())?;
        }
        self.fill(&root, kernel, jobs)
            .with_context(|| format!("cannot fill {}", root.display()))?;
        let image = self.dir.join(format!("{}.cpio", kernel.name));
        archive(&root, &image)?;
        fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
        Ok(image)
    }

    fn fill(&self, root: &Path, kernel: &Kernel, jobs: &[Job<'_>]) -> Result<()> {
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
        fs::copy(&self.tcpwatch, bin.join("tcpwatch"))?;
        for (name, path) in &self.targets {
            fs::copy(path, bin.join(name))?;
        }
        for tool in TOOLS {
            with_libraries(&program(tool)?, tool, root)?;
        }
        kernel.modules.iter().try_for_each(|module| unpack(module, &root.join("modules")))
    }
}

/// A test and its target.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    target: &'static str,
    name: String,
}

impl Test {
    /// As it stands in reports.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.target, self.name)
    }
}

/// What one machine does.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) way: &'static Way,
    pub(crate) name: String,
    pub(crate) tests: Vec<Test>,
}

impl Job<'_> {
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

/// What the first process has to know, in the words of a shell.
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

fn program(name: &str) -> Result<PathBuf> {
    in_path(name).with_context(|| format!("the tests need `{name}`, which is not in PATH"))
}

/// Copies a program of this system with the libraries that its loader would take.
fn with_libraries(program: &Path, name: &str, root: &Path) -> Result<()> {
    fs::copy(program, root.join("bin").join(name))?;
    let output = Command::new("ldd").arg(program).output().context("cannot start ldd")?;
    let said = String::from_utf8_lossy(&output.stdout);
    for library in said.split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(library.trim_start_matches('/'));
        if let Some(dir) = copy.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::copy(library, copy).with_context(|| library.to_owned())?;
    }
    Ok(())
}

/// Puts a module into `dir`, unpacked.
fn unpack(module: &Path, dir: &Path) -> Result<()> {
    let file = module.file_name().unwrap_or_default().to_string_lossy();
    let name = file.split('.').next().unwrap_or(&file);
    let unpack = match module.extension().and_then(OsStr::to_str) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => "cat",
    };
    let args: &[&str] = if unpack == "cat" { &[] } else { &["-dc"] };
    let output = Command::new(unpack).args(args).arg(module).output();
    let output = output.with_context(|| format!("cannot start {unpack}"))?;
    ensure!(output.status.success(), "{unpack} {}: {}", module.display(), output.status);
    fs::write(dir.join(format!("{name}.ko")), output.stdout)?;
    Ok(())
}

/// Everything below `root`, in the form that a kernel unpacks; it belongs to root there.
fn archive(root: &Path, image: &Path) -> Result<()> {
    let file = fs::File::create(image).with_context(|| image.display().to_string())?;
    let mut cpio = Command::new("cpio")
        .args(["--create", "--format=newc", "--owner=0:0", "--quiet"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .context("cannot start cpio")?;
    let mut names = String::new();
    collect(root, root, &mut names)?;
    if let Some(mut stdin) = cpio.stdin.take() {
        stdin.write_all(names.as_bytes()).context("cpio does not listen")?;
    }
    let status = cpio.wait().context("cannot wait for cpio")?;
    ensure!(status.success(), "cpio: {status}");
    Ok(())
}

/// Names relative to `root`, a directory before what it holds.
fn collect(dir: &Path, root: &Path, names: &mut String) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        names.push_str(&path.strip_prefix(root)?.to_string_lossy());
        names.push('\n');
        if path.is_dir() {
            collect(&path, root, names)?;
        }
    }
    Ok(())
}
