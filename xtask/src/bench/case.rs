//! The tcpwatch that was built and the peers that are installed come in, the list of cases goes
//! out: what is attached while state changes are made.

use std::path::Path;

use anyhow::Result;

use super::{
    empty_program::{self, EmptyProgram},
    losses::Tells,
    peers,
    tool::{Ended, Ready, Spec, Stdout, Tool},
};

/// What is attached, and how the table calls it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) label: &'static str,
    pub(crate) attached: Attached,
}

/// What is attached.
#[derive(Debug)]
pub(crate) enum Attached {
    Nothing,
    /// An empty program at the tracepoint with this type.
    Empty(u32),
    Tool(Spec),
}

/// It is attached while this lives.
#[derive(Debug)]
pub(crate) enum Running {
    Nothing,
    Empty(EmptyProgram),
    Tool(Tool),
}

/// The label of the peer that everything is compared to.
pub(crate) const TCPSTATES: &str = "tcpstates";
/// The label of the case that all others are compared to.
pub(crate) const NOTHING: &str = "nothing attached";
/// The label of the tool with its default output.
pub(crate) const TEXT: &str = "tcpwatch, text";

/// The label of the tool with everything it can tell.
pub(crate) const JSON: &str = "tcpwatch, JSON";

/// The label of the tool that counts in the kernel and streams nothing. Listening sockets are not
/// timed: listen/close shows what counters cost, the churn what durations add to them.
pub(crate) const SERVE: &str = "tcpwatch serve";

impl Attached {
    /// Starts it; returns when it is attached and has come to rest.
    pub(crate) fn start(&self, stdout: Stdout) -> Result<Running> {
        Ok(match self {
            Self::Nothing => Running::Nothing,
            Self::Empty(tracepoint) => Running::Empty(EmptyProgram::attach(*tracepoint)?),
            Self::Tool(spec) => Running::Tool(Tool::start(spec, stdout)?),
        })
    }

    /// What it says of its losses.
    pub(crate) fn tells(&self) -> Tells {
        match self {
            Self::Tool(spec) => spec.tells,
            Self::Nothing | Self::Empty(_) => Tells::Nothing,
        }
    }
}

impl Running {
    /// The process that holds the programs.
    pub(crate) fn holder(&self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::Empty(_) => Some(std::process::id()),
            Self::Tool(tool) => Some(tool.pid()),
        }
    }

    /// Detaches it; returns what it said.
    pub(crate) fn end(self) -> Result<Ended> {
        match self {
            Self::Nothing => Ok(Ended::default()),
            Self::Empty(program) => {
                drop(program);
                Ok(Ended::default())
            }
            Self::Tool(tool) => tool.end(),
        }
    }
}

/// tcpwatch with these arguments.
pub(crate) fn tcpwatch(program: &Path, tells: Tells, args: &[&str]) -> Spec {
    let args = args.iter().map(Into::into).collect();
    Spec { program: program.into(), args, ready: Ready::Banner("tcpwatch "), tells }
}

/// All cases of this machine.
pub(crate) fn all(program: &Path) -> Result<Vec<Case>> {
    let of_tcpwatch = |(label, tells, args): (_, _, &[&str])| {
        let attached = Attached::Tool(tcpwatch(program, tells, args));
        Case { label, attached }
    };
    let mut cases = vec![
        Case { label: NOTHING, attached: Attached::Nothing },
        Case { label: "an empty program", attached: Attached::Empty(empty_program::tracepoint()?) },
    ];
    cases.extend(MODES.map(of_tcpwatch));
    cases.push(Case {
        label: "tcpwatch --netns N",
        attached: Attached::Tool(in_empty_namespace(tcpwatch(program, Tells::Nothing, &OWN_NETNS))),
    });
    cases.extend(peers::cases());
    Ok(cases)
}

/// `unshare` makes the namespace and goes on as the tool.
fn in_empty_namespace(Spec { program, args, ready, tells }: Spec) -> Spec {
    let args = ["--net".into(), program].into_iter().chain(args).collect();
    Spec { program: "unshare".into(), args, ready, tells }
}

const OWN_NETNS: [&str; 2] = ["--netns", "/proc/self/ns/net"];

/// Every mode of tcpwatch that leads another way through the kernel side or the program.
const MODES: [(&str, Tells, &[&str]); 12] = [
    (TEXT, Tells::TextSummary, &["--summary"]),
    (JSON, Tells::JsonSummary, &["--summary", "--format", "json"]),
    ("tcpwatch --lives", Tells::TextSummary, &["--summary", "--lives"]),
    ("tcpwatch --failed", Tells::Nothing, &["--failed"]),
    ("tcpwatch --retries", Tells::Nothing, &["--retries"]),
    ("tcpwatch --record", Tells::TextSummary, &["--summary", "--record", "/dev/null"]),
    ("tcpwatch, text and metrics", Tells::TextSummary, &["--summary", WEB, ANY_PORT]),
    (SERVE, Tells::Nothing, &["serve", WEB, ANY_PORT]),
    ("tcpwatch --port 1", Tells::Nothing, &["--port", "1"]),
    // An address of TEST-NET-1, which nobody has.
    ("tcpwatch -4 --addr A", Tells::Nothing, &["-4", "--addr", "192.0.2.1"]),
    ("tcpwatch --state CLOSING", Tells::Nothing, &["--state", "CLOSING"]),
    ("tcpwatch --pid 1", Tells::Nothing, &["--pid", "1"]),
];

/// Where metrics are served.
pub(crate) const WEB: &str = "--web.listen-address";
/// On a port that is free.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";
