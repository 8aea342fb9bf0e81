//! Finds the compiler and the linker that build the kernel side.
//!
//! `tcpwatch/kernel/build.rs` uses it to build the kernel side, `cargo xtask setup` to find out what is missing. There
//! are two ways to an object file: Debian packages a stable compiler together with a precompiled `core` for BPF;
//! elsewhere rustup's nightly compiles `core` from source.

use std::{
    env,
    error::Error,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// Debian's compiler (package `rustc-web`).
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Debian's precompiled `core` for BPF (package `libstd-rust-web-dev-bpf`).
const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none/lib";

/// The linker's name.
const LINKER: &str = "bpf-linker";

/// A compiler that can produce BPF code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// `/usr/bin/rustc` with its precompiled `core`.
    Debian,
    /// `rustup run nightly`, which builds `core` from the component `rust-src`.
    Nightly,
}

/// A part that is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Neither compiler is installed.
    Compiler,
    /// `bpf-linker` is neither in `PATH` nor in cargo's bin directory.
    Linker,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compiler => "a Rust compiler for BPF",
            Self::Linker => "bpf-linker",
        })
    }
}

impl Error for Missing {}

/// Everything needed to build the kernel side.
#[derive(Clone, Debug)]
pub struct BpfToolchain {
    /// The compiler that produces the code.
    pub compiler: Compiler,
    /// Full path of `bpf-linker`.
    pub linker: PathBuf,
}

impl fmt::Display for BpfToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.compiler {
            Compiler::Debian => write!(f, "{DEBIAN_RUSTC} with its core for BPF")?,
            Compiler::Nightly => f.write_str("rustup's nightly with rust-src")?,
        }
        write!(f, ", {}", self.linker.display())
    }
}

/// The directory into which `cargo install` puts programs.
fn installed() -> Option<PathBuf> {
    Some(cargo_home()?.join("bin"))
}

/// Where cargo keeps what it downloads: `CARGO_HOME`, or `.cargo` of `HOME`.
#[must_use]
pub fn cargo_home() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// A program's full path, if a directory of `PATH` holds it.
#[must_use]
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

impl BpfToolchain {
    /// Searches `PATH` and the usual places; takes a few milliseconds and changes nothing.
    pub fn find() -> Result<Self, Missing> {
        Ok(Self {
            compiler: Self::find_compiler().ok_or(Missing::Compiler)?,
            linker: Self::find_linker().ok_or(Missing::Linker)?,
        })
    }

    /// The compiler that is installed; Debian's is preferred because it needs no network.
    #[must_use]
    pub fn find_compiler() -> Option<Compiler> {
        if Path::new(DEBIAN_RUSTC).exists() && Path::new(DEBIAN_CORE).exists() {
            return Some(Compiler::Debian);
        }
        let output = Command::new("rustup")
            .args(["run", "nightly", "rustc", "--print", "sysroot"])
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let sysroot = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        sysroot.join("lib/rustlib/src/rust/library/core").exists().then_some(Compiler::Nightly)
    }

    /// `bpf-linker` in `PATH`, or where `cargo install` puts it.
    #[must_use]
    pub fn find_linker() -> Option<PathBuf> {
        in_path(LINKER).or_else(|| Some(installed()?.join(LINKER)).filter(|path| path.is_file()))
    }

    /// Paths to watch while the toolchain is incomplete: at least one of them changes when it becomes complete. A path
    /// that does not exist means that only another search shows the change.
    #[must_use]
    pub fn awaited() -> Vec<PathBuf> {
        if Self::find_linker().is_some() {
            return vec![PathBuf::from(DEBIAN_CORE).join("absent")];
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = env::split_paths(&path).filter(|directory| directory.is_dir());
        directories.chain(installed()).collect()
    }

    /// The command that builds the kernel side into `target_dir`.
    #[must_use]
    pub fn build_command(&self, target_dir: &Path, target_arch: &str) -> Command {
        let mut command = match self.compiler {
            Compiler::Debian => {
                let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
                command.env("RUSTC", DEBIAN_RUSTC);
                command
            }
            Compiler::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "cargo"]).env_remove("RUSTC");
                command
            }
        };
        command.args(["build", "--package", "tcpwatch-ebpf", "--release", "--quiet"]);
        command.args(["--target", "bpfel-unknown-none", "--target-dir"]).arg(target_dir);
        if self.compiler == Compiler::Nightly {
            command.args(["-Z", "build-std=core"]);
        }
        let mut flags = OsString::from(format!("--cfg=bpf_target_arch=\"{target_arch}\""));
        for flag in ["-Cdebuginfo=2", "-Clink-arg=--btf"] {
            flags.push("\u{1f}");
            flags.push(flag);
        }
        flags.push("\u{1f}-Clinker=");
        flags.push(&self.linker);
        // BTF has the names of source files; with this the object is the same wherever it is built.
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let workspace = workspace.map(|path| (path.to_owned(), "=/tcpwatch"));
        let cargo_home = cargo_home().map(|path| (path, "=/cargo"));
        for (path, replaced) in workspace.into_iter().chain(cargo_home) {
            flags.push("\u{1f}--remap-path-prefix=");
            flags.push(path);
            flags.push(replaced);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", flags);
        // Set by an outer cargo or clippy for the host; the inner build must not inherit them.
        for key in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "RUSTFLAGS"] {
            command.env_remove(key);
        }
        command
    }
}
