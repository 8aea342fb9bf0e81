//! Other tools that show the same changes: fetched where asked for, and how each is started.

use std::ffi::OsString;

use anyhow::Result;

use super::{
    case::{Attached, Case, TCPSTATES},
    losses::Tells,
    tool::{Ready, Spec},
};
use crate::debian::{BPFTRACE, LIBBPF_TOOLS, TCPDUMP};

/// The label of the same with a filter that nothing passes.
const TCPSTATES_FILTERED: &str = "tcpstates -L 9";
/// The label of the tool that prints a line for each connection.
pub(crate) const TCPLIFE: &str = "tcplife";
/// The label of the tool that was told what to print.
pub(crate) const ONE_LINER_LABEL: &str = "bpftrace one-liner";

/// Prints both states and both ports.
const ONE_LINER: &str = r#"tracepoint:sock:inet_sock_set_state {
    printf("%d %d %d %d\n", args->oldstate, args->newstate, args->sport, args->dport);
}"#;

/// They find the tracepoint through tracefs. A private mount namespace gives it to them
/// without a change to this machine; `exec` keeps the process.
const WITH_TRACEFS: &str = "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; \
    mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; exec \"$0\" \"$@\"";

/// Fetches the missing ones, saying so.
pub(crate) fn ensure() -> Result<()> {
    [LIBBPF_TOOLS, BPFTRACE, TCPDUMP].iter().try_for_each(|peer| peer.ensure().map(drop))
}

/// The cases of those that are here and watch the same tracepoint.
pub(crate) fn cases() -> Vec<Case> {
    let case = |label| Some(Case { label, attached: Attached::Tool(spec(label)?) });
    [TCPSTATES, TCPSTATES_FILTERED, TCPLIFE, ONE_LINER_LABEL].into_iter().filter_map(case).collect()
}

/// How the tool with this label is started, if it is here.
pub(crate) fn spec(label: &str) -> Option<Spec> {
    let (package, program, tells, args): (_, _, _, &[&str]) = match label {
        TCPSTATES => (LIBBPF_TOOLS, "tcpstates", Tells::OnStderr, &[]),
        TCPSTATES_FILTERED => (LIBBPF_TOOLS, "tcpstates", Tells::Nothing, &["-L", "9"]),
        TCPLIFE => (LIBBPF_TOOLS, "tcplife", Tells::OnStderr, &[]),
        ONE_LINER_LABEL => (BPFTRACE, "bpftrace", Tells::OnStdout, &["-e", ONE_LINER]),
        _ => return None,
    };
    let program = package.find()?.join(program).into_os_string();
    let start = ["--mount", "sh", "-c", WITH_TRACEFS].map(OsString::from);
    let args = start.into_iter().chain([program]).chain(args.iter().map(Into::into)).collect();
    Some(Spec { program: "unshare".into(), args, ready: Ready::Programs, tells })
}
