//! Other tools that show the same changes: how each is fetched and started.

use std::ffi::OsString;

use anyhow::Result;

use super::{
    case::{Attachment, ChangeCase, TCPSTATES},
    losses::LossReport,
    tool::{Ready, Spec},
};
use crate::debian::{BPFTRACE, LIBBPF_TOOLS, TCPDUMP};

/// The label of the same tool with a filter that matches nothing.
const TCPSTATES_FILTERED: &str = "tcpstates -L 9";
/// The label of the tool that prints a line for each connection.
pub(crate) const TCPLIFE: &str = "tcplife";
/// The label of the tool that runs a script.
pub(crate) const ONE_LINER_LABEL: &str = "bpftrace one-liner";

/// Prints both states and both ports.
const ONE_LINER: &str = r#"tracepoint:sock:inet_sock_set_state {
    printf("%d %d %d %d\n", args->oldstate, args->newstate, args->sport, args->dport);
}"#;

/// These tools find the tracepoint through tracefs. A private mount namespace provides it without a change to the
/// machine; `exec` keeps the process.
const WITH_TRACEFS: &str = "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; \
    mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; exec \"$0\" \"$@\"";

/// Fetches the missing ones, and prints that it does.
pub(crate) fn ensure() -> Result<()> {
    [LIBBPF_TOOLS, BPFTRACE, TCPDUMP].iter().try_for_each(|peer| peer.ensure().map(drop))
}

/// The cases of those that are installed and watch the same tracepoint.
pub(crate) fn cases() -> Vec<ChangeCase> {
    let case = |label| Some(ChangeCase { label, attached: Attachment::Tool(spec(label)?) });
    [TCPSTATES, TCPSTATES_FILTERED, TCPLIFE, ONE_LINER_LABEL].into_iter().filter_map(case).collect()
}

/// How the tool with this label is started, if it is installed.
pub(crate) fn spec(label: &str) -> Option<Spec> {
    let (package, program, loss_report, args): (_, _, _, &[&str]) = match label {
        TCPSTATES => (LIBBPF_TOOLS, "tcpstates", LossReport::OnStderr, &[]),
        TCPSTATES_FILTERED => (LIBBPF_TOOLS, "tcpstates", LossReport::Nothing, &["-L", "9"]),
        TCPLIFE => (LIBBPF_TOOLS, "tcplife", LossReport::OnStderr, &[]),
        ONE_LINER_LABEL => (BPFTRACE, "bpftrace", LossReport::OnStdout, &["-e", ONE_LINER]),
        _ => return None,
    };
    let program = package.find()?.join(program).into_os_string();
    let start = ["--mount", "sh", "-c", WITH_TRACEFS].map(OsString::from);
    let args = start.into_iter().chain([program]).chain(args.iter().map(Into::into)).collect();
    Some(Spec { program: "unshare".into(), args, ready: Ready::Programs, loss_report })
}
