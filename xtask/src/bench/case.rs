//! The cases of the bench: what is attached while state changes are made, either a mode of tcpwatch or a peer.

use std::path::Path;

use anyhow::Result;

use super::{
    empty_program::{self, EmptyProgram},
    losses::LossReport,
    peers,
    tool::{Ready, Spec, Stdout, Tool, ToolEnd},
};

/// What is attached, and its name in the table.
#[derive(Debug)]
pub(crate) struct ChangeCase {
    pub(crate) label: &'static str,
    pub(crate) attached: Attachment,
}

/// What is attached.
#[derive(Debug)]
pub(crate) enum Attachment {
    Nothing,
    /// An empty program on the tracepoint whose type has this BTF id.
    Empty(u32),
    Tool(Spec),
}

/// What is attached; dropping it detaches it.
#[derive(Debug)]
pub(crate) enum RunningCase {
    Nothing,
    Empty(EmptyProgram),
    Tool(Tool),
}

/// The label of the peer that all others are compared with.
pub(crate) const TCPSTATES: &str = "tcpstates";
/// The label of the case that all others are compared with.
pub(crate) const NOTHING: &str = "nothing attached";
/// The label of tcpwatch with its default output.
pub(crate) const TEXT: &str = "tcpwatch, text";

/// The label of tcpwatch with its most detailed output.
pub(crate) const JSON: &str = "tcpwatch, JSON";

/// The label of `tcpwatch serve`, which counts in the kernel and streams nothing. Listening sockets are not timed:
/// listen/close shows the cost of counters, the churn also that of durations.
pub(crate) const SERVE: &str = "tcpwatch serve";

impl Attachment {
    /// Attaches it; returns when it is attached and idle.
    pub(crate) fn start(&self, stdout: Stdout) -> Result<RunningCase> {
        Ok(match self {
            Self::Nothing => RunningCase::Nothing,
            Self::Empty(tracepoint) => RunningCase::Empty(EmptyProgram::attach(*tracepoint)?),
            Self::Tool(spec) => RunningCase::Tool(Tool::start(spec, stdout)?),
        })
    }

    /// Where it reports its losses.
    pub(crate) fn loss_report(&self) -> LossReport {
        match self {
            Self::Tool(spec) => spec.loss_report,
            Self::Nothing | Self::Empty(_) => LossReport::Nothing,
        }
    }
}

impl RunningCase {
    /// The process that holds the programs.
    pub(crate) fn holder(&self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::Empty(_) => Some(std::process::id()),
            Self::Tool(tool) => Some(tool.pid()),
        }
    }

    /// Detaches it; returns its losses and the number of its lines.
    pub(crate) fn end(self) -> Result<ToolEnd> {
        match self {
            Self::Nothing => Ok(ToolEnd::default()),
            Self::Empty(program) => {
                drop(program);
                Ok(ToolEnd::default())
            }
            Self::Tool(tool) => tool.end(),
        }
    }
}

/// tcpwatch with these arguments.
pub(crate) fn tcpwatch(program: &Path, loss_report: LossReport, args: &[&str]) -> Spec {
    let args = args.iter().map(Into::into).collect();
    Spec { program: program.into(), args, ready: Ready::Banner("tcpwatch "), loss_report }
}

/// All cases of this machine.
pub(crate) fn all(program: &Path) -> Result<Vec<ChangeCase>> {
    let of_tcpwatch = |(label, loss_report, args): (_, _, &[&str])| {
        let attached = Attachment::Tool(tcpwatch(program, loss_report, args));
        ChangeCase { label, attached }
    };
    let mut cases = vec![
        ChangeCase { label: NOTHING, attached: Attachment::Nothing },
        ChangeCase {
            label: "an empty program",
            attached: Attachment::Empty(empty_program::tracepoint()?),
        },
    ];
    cases.extend(MODES.map(of_tcpwatch));
    cases.push(ChangeCase {
        label: "tcpwatch --netns N",
        attached: Attachment::Tool(in_empty_namespace(tcpwatch(
            program,
            LossReport::Nothing,
            &OWN_NETNS,
        ))),
    });
    cases.extend(peers::cases());
    Ok(cases)
}

/// `unshare` makes the namespace and executes the tool in it.
fn in_empty_namespace(Spec { program, args, ready, loss_report }: Spec) -> Spec {
    let args = ["--net".into(), program].into_iter().chain(args).collect();
    Spec { program: "unshare".into(), args, ready, loss_report }
}

const OWN_NETNS: [&str; 2] = ["--netns", "/proc/self/ns/net"];

/// Every mode of tcpwatch that takes another path through the kernel side or the program.
const MODES: [(&str, LossReport, &[&str]); 12] = [
    (TEXT, LossReport::TextSummary, &["--summary"]),
    (JSON, LossReport::JsonSummary, &["--summary", "--format", "json"]),
    ("tcpwatch --lives", LossReport::TextSummary, &["--summary", "--lives"]),
    ("tcpwatch --failed", LossReport::Nothing, &["--failed"]),
    ("tcpwatch --retries", LossReport::Nothing, &["--retries"]),
    ("tcpwatch --record", LossReport::TextSummary, &["--summary", "--record", "/dev/null"]),
    ("tcpwatch, text and metrics", LossReport::TextSummary, &["--summary", WEB, ANY_PORT]),
    (SERVE, LossReport::Nothing, &["serve", WEB, ANY_PORT]),
    ("tcpwatch --port 1", LossReport::Nothing, &["--port", "1"]),
    // An address of TEST-NET-1, which no host has.
    ("tcpwatch -4 --addr A", LossReport::Nothing, &["-4", "--addr", "192.0.2.1"]),
    ("tcpwatch --state CLOSING", LossReport::Nothing, &["--state", "CLOSING"]),
    ("tcpwatch --pid 1", LossReport::Nothing, &["--pid", "1"]),
];

/// The option for the address at which metrics are served.
pub(crate) const WEB: &str = "--web.listen-address";
/// Any free port.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";
