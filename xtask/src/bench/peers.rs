//! Other tools that show the same changes: installed where asked for, and how each is started.

use std::process::Command;

use anyhow::{Context, Result};

use super::{
    case::{Attached, Case, TCPSTATES},
    losses::Tells,
    tool::{Ready, Spec},
};
use crate::{bpf_toolchain::in_path, precondition::Precondition};

/// A program and the Debian package that has it.
const PEERS: [(&str, &str); 2] = [("tcpstates", "libbpf-tools"), ("bpftrace", "bpftrace")];

/// Prints both states and both ports.
const ONE_LINER: &str = r#"tracepoint:sock:inet_sock_set_state {
    printf("%d %d %d %d\n", args->oldstate, args->newstate, args->sport, args->dport);
}"#;

/// Both tools find the tracepoint through tracefs. A private mount namespace gives it to them
/// without a change to this machine; `exec` keeps the process.
const WITH_TRACEFS: &str = "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; \
    mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; exec \"$0\" \"$@\"";

/// Installs the missing ones, saying so.
pub(crate) fn install() -> Result<()> {
    let missing = PEERS.iter().filter(|(program, _)| in_path(program).is_none());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let typed = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    let lacking = |what: &str| {
        Precondition(format!("the peers are not installed, and {what}; on Debian: `{typed}`"))
    };
    if in_path("apt-get").is_none() {
        return Err(lacking("this system has no apt-get").into());
    }
    eprintln!("bench: installing the tools to compare with:\n    {typed}");
    let mut command = Command::new("apt-get");
    command.args(["install", "--yes", "--no-install-recommends"]).args(&packages);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    if !command.status().context("cannot start apt-get")?.success() {
        return Err(lacking("apt-get failed (`apt-get update` may help)").into());
    }
    Ok(())
}

/// The cases of the installed ones.
pub(crate) fn cases() -> Vec<Case> {
    let all = [
        (TCPSTATES, "tcpstates", Tells::OnStderr, vec![]),
        ("tcpstates -L 9", "tcpstates", Tells::Nothing, vec!["-L", "9"]),
        ("bpftrace one-liner", "bpftrace", Tells::OnStdout, vec!["-e", ONE_LINER]),
    ];
    let installed = all.into_iter().filter(|(_, program, ..)| in_path(program).is_some());
    let case = |(label, program, tells, args): (_, &str, _, Vec<&str>)| {
        let start = ["--mount", "sh", "-c", WITH_TRACEFS, program];
        let args = start.into_iter().chain(args).map(Into::into).collect();
        let spec = Spec { program: "unshare".into(), args, ready: Ready::Programs, tells };
        Case { label, attached: Attached::Tool(spec) }
    };
    installed.map(case).collect()
}
