//! Other tools that show the same changes: installed where asked for, and how each is started.

use anyhow::Result;

use super::{
    apt,
    case::{Attached, Case, TCPSTATES},
    losses::Tells,
    tool::{Ready, Spec},
};
use tcpwatch_bpf_toolchain::in_path;

/// A program and the Debian package that has it.
const PEERS: [(&str, &str); 5] = [
    ("tcpstates", "libbpf-tools"),
    ("tcplife", "libbpf-tools"),
    ("bpftrace", "bpftrace"),
    ("tcpdump", "tcpdump"),
    ("ss", "iproute2"),
];

/// The label of the same with a filter that nothing passes.
const TCPSTATES_FILTERED: &str = "tcpstates -L 9";
/// The label of the tool that prints a line for each connection.
pub(crate) const TCPLIFE: &str = "tcplife";
/// The label of the tool that was told what to print.
pub(crate) const BPFTRACE: &str = "bpftrace one-liner";

/// Prints both states and both ports.
const ONE_LINER: &str = r#"tracepoint:sock:inet_sock_set_state {
    printf("%d %d %d %d\n", args->oldstate, args->newstate, args->sport, args->dport);
}"#;

/// They find the tracepoint through tracefs. A private mount namespace gives it to them
/// without a change to this machine; `exec` keeps the process.
const WITH_TRACEFS: &str = "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; \
    mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; exec \"$0\" \"$@\"";

/// Installs the missing ones, saying so.
pub(crate) fn install() -> Result<()> {
    apt::install("the tools to compare with", &PEERS)
}

/// The cases of the installed ones that watch the same tracepoint.
pub(crate) fn cases() -> Vec<Case> {
    let case = |label| Some(Case { label, attached: Attached::Tool(spec(label)?) });
    [TCPSTATES, TCPSTATES_FILTERED, TCPLIFE, BPFTRACE].into_iter().filter_map(case).collect()
}

/// How the tool with this label is started, if it is installed.
pub(crate) fn spec(label: &str) -> Option<Spec> {
    let (program, tells, args): (_, _, &[&str]) = match label {
        TCPSTATES => ("tcpstates", Tells::OnStderr, &[]),
        TCPSTATES_FILTERED => ("tcpstates", Tells::Nothing, &["-L", "9"]),
        TCPLIFE => ("tcplife", Tells::OnStderr, &[]),
        BPFTRACE => ("bpftrace", Tells::OnStdout, &["-e", ONE_LINER]),
        _ => return None,
    };
    in_path(program)?;
    let start = ["--mount", "sh", "-c", WITH_TRACEFS, program];
    let args = start.iter().chain(args).map(Into::into).collect();
    Some(Spec { program: "unshare".into(), args, ready: Ready::Programs, tells })
}
