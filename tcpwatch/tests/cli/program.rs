//! Runs the binary and captures its status, stdout and stderr.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use caps::{CapSet, Capability};
use tempfile::TempDir;

/// The results of a run.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Answer {
    pub(super) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
        let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
        Self { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// It ended with this status, stderr contains all these words, and stdout is empty.
    pub(super) fn refuses(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no \"{word}\" in {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        let causes: Vec<&str> = self.stderr.trim_end().split(": ").collect();
        assert!(causes.windows(2).all(|pair| pair[0] != pair[1]), "a cause twice: {self:?}");
    }
}

/// The binary with these arguments.
pub(super) fn tcpwatch(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwatch"));
    command.args(args);
    command
}

/// A recording that is good.
pub(super) fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/client_closes_first_v4.jsonl")
}

/// Whether this process has root's privileges, not only its user id.
pub(super) fn is_root() -> bool {
    let may_all = [Capability::CAP_SYS_ADMIN, Capability::CAP_SETPCAP, Capability::CAP_BPF]
        .into_iter()
        .all(|one| caps::has_cap(None, CapSet::Effective, one).expect("it can be asked"));
    rustix::process::geteuid().is_root() && may_all
}

/// Reports a test that needs root and is not run; `TCPWATCH_REQUIRE_ROOT=1` makes it fail.
pub(super) fn is_root_or_say(claim: &str) -> bool {
    if is_root() {
        return true;
    }
    let demanded = env::var_os("TCPWATCH_REQUIRE_ROOT").is_some_and(|value| value == "1");
    assert!(!demanded, "TCPWATCH_REQUIRE_ROOT=1, but this is not root: {claim}");
    // Not eprintln!, whose output the test harness captures when a test passes.
    writeln!(io::stderr(), "NOT TESTED, because it takes root: {claim}").expect("stderr is open");
    false
}

/// The binary, run by a user without privileges.
pub(super) fn unprivileged(args: &[&str]) -> (TempDir, Command) {
    let (folder, binary) = for_everybody();
    let mut command = Command::new(binary);
    command.args(args).current_dir("/");
    if rustix::process::geteuid().is_root() {
        // The user `nobody`: the kernel removes the capabilities with the user id.
        command.uid(65534).gid(65534);
    }
    (folder, command)
}

/// A copy of the binary that every user can execute: other users may not enter the build directory.
pub(super) fn for_everybody() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = || fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), open()).expect("others may enter");
    let binary = folder.path().join("tcpwatch");
    fs::copy(env!("CARGO_BIN_EXE_tcpwatch"), &binary).expect("a copy of the binary");
    fs::set_permissions(&binary, open()).expect("others may run it");
    (folder, binary)
}
