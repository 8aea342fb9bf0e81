//! The tcpwatch that was built and the peers that are installed come in, the list of cases goes
//! out: what is attached while state changes are made.

use std::path::Path;

use anyhow::Result;

use super::{
    empty_program::{self, EmptyProgram},
    losses::Tells,
    peers,
    tool::{Ready, Spec, Stdout, Tool},
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

    /// Prints a line for every change.
    pub(crate) fn streams(&self) -> bool {
        matches!(self, Self::Tool(spec) if spec.tells != Tells::Nothing)
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

    /// Detaches it; returns what it lost by its own account.
    pub(crate) fn end(self) -> Result<Option<u64>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Empty(program) => {
                drop(program);
                Ok(None)
            }
            Self::Tool(tool) => tool.end(),
        }
    }
}

/// All cases of this machine.
pub(crate) fn all(tcpwatch: &Path) -> Result<Vec<Case>> {
    let of_tcpwatch = |label, tells, args: &[&str]| {
        let args = args.iter().map(Into::into).collect();
        let ready = Ready::Banner("tcpwatch ");
        let program = tcpwatch.into();
        Case { label, attached: Attached::Tool(Spec { program, args, ready, tells }) }
    };
    let mut cases = vec![
        Case { label: NOTHING, attached: Attached::Nothing },
        Case { label: "an empty program", attached: Attached::Empty(empty_program::tracepoint()?) },
        of_tcpwatch(TEXT, Tells::TextSummary, &["--summary"]),
        of_tcpwatch(JSON, Tells::JsonSummary, &["--summary", "--format", "json"]),
        of_tcpwatch("tcpwatch --lives", Tells::TextSummary, &["--summary", "--lives"]),
        of_tcpwatch("tcpwatch --retries", Tells::Nothing, &["--retries"]),
        of_tcpwatch(SERVE, Tells::Nothing, &["serve", "--web.listen-address", "127.0.0.1:0"]),
        of_tcpwatch("tcpwatch --port 1", Tells::Nothing, &["--port", "1"]),
        // An address of TEST-NET-1, which nobody has.
        of_tcpwatch("tcpwatch -4 --addr A", Tells::Nothing, &["-4", "--addr", "192.0.2.1"]),
    ];
    cases.extend(peers::cases());
    Ok(cases)
}
