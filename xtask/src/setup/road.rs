//! The commands that install what is missing; nothing is run here.

use super::step::{RunsAs, SetupStep};

/// What the set-up has to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) compiler: bool,
    pub(crate) linker: bool,
}

impl Needs {
    pub(crate) const EVERYTHING: Self = Self { compiler: true, linker: true };
}

/// The Debian package whose version decides whether the compiler is new enough.
pub(crate) const DEBIAN_COMPILER: &str = "rustc-web";

/// Debian's compiler and its precompiled `core` for BPF.
const COMPILER_PACKAGES: [&str; 2] = [DEBIAN_COMPILER, "libstd-rust-web-dev-bpf"];
/// What bpf-linker is built from; its LLVM must be at least as new as the compiler's.
const LINKER_PACKAGES: [&str; 3] = ["llvm-22-dev", "zlib1g-dev", "libzstd-dev"];

/// Debian's packages for `needs`. The compiler is always among them: the linker's LLVM has to match it.
pub(crate) fn debian_packages(needs: Needs) -> Vec<&'static str> {
    let linker = if needs.linker { LINKER_PACKAGES.as_slice() } else { &[] };
    COMPILER_PACKAGES.iter().chain(linker).copied().collect()
}

/// Updates apt's lists, and fails if one of them cannot be fetched: by default apt only warns.
pub(crate) fn apt_update() -> SetupStep {
    SetupStep {
        purpose: "updating the lists of packages",
        env: Vec::new(),
        program: "apt-get",
        args: to_args(&["-o", "APT::Update::Error-Mode=any", "update"]),
        runs_as: RunsAs::Root,
    }
}

/// The purpose of packages for the build of the kernel side.
pub(crate) const KERNEL_SIDE: &str = "installing the packages to build the kernel side";

/// Installs `packages` and removes none.
pub(crate) fn apt_install(packages: &[&str], purpose: &'static str) -> SetupStep {
    let options = ["-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-remove"];
    let mut args = to_args(&options);
    args.push("--no-install-recommends".into());
    args.extend(to_args(packages));
    SetupStep {
        purpose,
        env: vec![("DEBIAN_FRONTEND", "noninteractive".into())],
        program: "apt-get",
        args,
        runs_as: RunsAs::Root,
    }
}

/// Builds bpf-linker against Debian's LLVM.
pub(crate) fn linker_with_debian_llvm() -> SetupStep {
    let args = ["install", "bpf-linker", "--version", "0.13.0", "--locked"];
    let features = ["--no-default-features", "--features", "llvm-22"];
    SetupStep {
        purpose: "building bpf-linker, which takes a minute or two",
        env: vec![("LLVM_PREFIX", "/usr/lib/llvm-22".into())],
        program: "cargo",
        args: to_args(&[args.as_slice(), &features].concat()),
        runs_as: RunsAs::Caller,
    }
}

/// Everything through rustup's nightly and a bpf-linker that contains its own LLVM.
pub(crate) fn rustup_steps(needs: Needs, linker: LinkerFrom) -> Vec<SetupStep> {
    let nightly = SetupStep {
        purpose: "installing rustup's nightly with the sources of `core`",
        env: Vec::new(),
        program: "rustup",
        args: to_args(&[
            "toolchain",
            "install",
            "nightly",
            "--profile",
            "minimal",
            "--component",
            "rust-src",
        ]),
        runs_as: RunsAs::Caller,
    };
    let bpf_linker = match linker {
        LinkerFrom::Binstall => {
            cargo_step("downloading bpf-linker", &["binstall", "--no-confirm", "bpf-linker"])
        }
        LinkerFrom::Source => cargo_step(
            "building bpf-linker, which needs LLVM on this system",
            &["install", "bpf-linker", "--locked"],
        ),
    };
    let steps = [(needs.compiler, nightly), (needs.linker, bpf_linker)];
    steps.into_iter().filter_map(|(needed, step)| needed.then_some(step)).collect()
}

/// Where the linker comes from if Debian's LLVM is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkerFrom {
    /// `cargo binstall`, a prebuilt binary.
    Binstall,
    /// `cargo install`, from source.
    Source,
}

/// The commands of both ways from the start, as a user would type them.
pub(crate) fn by_hand() -> String {
    let debian = [
        apt_update(),
        apt_install(&debian_packages(Needs::EVERYTHING), KERNEL_SIDE),
        linker_with_debian_llvm(),
    ];
    let mut elsewhere = rustup_steps(Needs::EVERYTHING, LinkerFrom::Binstall);
    // A prebuilt binary does not depend on the version of an installed LLVM.
    let binstall = cargo_step("building cargo-binstall", &["install", "cargo-binstall"]);
    elsewhere.insert(1, binstall);
    format!(
        "do one of these, then run `cargo xtask setup` again\n  on Debian:{}\n  elsewhere:{}",
        lines(&debian),
        lines(&elsewhere)
    )
}

fn lines(steps: &[SetupStep]) -> String {
    let line = |step: &SetupStep| match step.runs_as {
        RunsAs::Root => format!("\n    sudo {step}"),
        RunsAs::Caller => format!("\n    {step}"),
    };
    steps.iter().map(line).collect()
}

fn cargo_step(purpose: &'static str, args: &[&str]) -> SetupStep {
    SetupStep {
        purpose,
        env: Vec::new(),
        program: "cargo",
        args: to_args(args),
        runs_as: RunsAs::Caller,
    }
}

fn to_args(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPILER: Needs = Needs { compiler: true, linker: false };
    const LINKER: Needs = Needs { compiler: false, linker: true };

    #[test]
    fn a_missing_compiler_alone_needs_no_llvm() {
        let packages = debian_packages(COMPILER);
        assert_eq!(packages, ["rustc-web", "libstd-rust-web-dev-bpf"], "compiler and core");
    }

    #[test]
    fn a_linker_for_debian_comes_with_debians_compiler() {
        let packages = debian_packages(LINKER);
        for package in ["rustc-web", "llvm-22-dev", "zlib1g-dev", "libzstd-dev"] {
            assert!(packages.contains(&package), "{package} in {packages:?}");
        }
    }

    #[test]
    fn rustup_brings_only_what_is_missing() {
        let cases = [
            (Needs::EVERYTHING, vec!["rustup", "cargo"]),
            (COMPILER, vec!["rustup"]),
            (LINKER, vec!["cargo"]),
        ];
        for (needs, expected) in cases {
            let steps = rustup_steps(needs, LinkerFrom::Source);
            let programs: Vec<_> = steps.iter().map(|step| step.program).collect();
            assert_eq!(programs, expected, "{needs:?}");
        }
    }

    #[test]
    fn a_finished_linker_is_preferred_where_binstall_is() {
        let typed = |from| rustup_steps(LINKER, from).first().map(ToString::to_string);
        let binstall = "cargo binstall --no-confirm bpf-linker";
        assert_eq!(typed(LinkerFrom::Binstall).as_deref(), Some(binstall), "binstall");
        let source = "cargo install bpf-linker --locked";
        assert_eq!(typed(LinkerFrom::Source).as_deref(), Some(source), "source");
    }

    #[test]
    fn root_is_asked_for_packages_only() {
        let steps = [apt_update(), apt_install(&["x"], KERNEL_SIDE), linker_with_debian_llvm()];
        let by_root = steps.map(|step| step.runs_as == RunsAs::Root);
        assert_eq!(by_root, [true, true, false], "update, install, cargo install");
    }

    #[test]
    fn what_to_type_holds_both_roads_in_full() {
        let text = by_hand();
        for line in [
            "sudo DEBIAN_FRONTEND=noninteractive apt-get",
            " rustc-web libstd-rust-web-dev-bpf llvm-22-dev zlib1g-dev libzstd-dev",
            "    LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 --locked \
             --no-default-features --features llvm-22",
            "    rustup toolchain install nightly --profile minimal --component rust-src",
            "    cargo install cargo-binstall\n    cargo binstall --no-confirm bpf-linker",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
    }
}
