//! tcpwatch and the installed tools come in; how each watches goes out.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::poll::Poll;
use tcpwatch_bpf_toolchain::in_path;

use crate::bench::{
    case::{self, NOTHING, TCPSTATES},
    losses::Tells,
    peers::{self, TCPLIFE},
    tool::{Ended as Said, Ready, Spec, Stdout, Tool},
};
use crate::debian::TCPDUMP;

/// The server's port.
pub(super) const PORT: u16 = 11111;

/// A tool, and how the table calls it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) label: &'static str,
    pub(super) watcher: Watcher,
}

/// How it watches.
#[derive(Debug)]
pub(super) enum Watcher {
    Nothing,
    /// It runs all the time.
    Tool(Spec),
    /// It is started again and again.
    Poll,
}

/// It watches while this lives.
#[derive(Debug)]
pub(super) enum Running {
    Nothing,
    Tool(Tool, Duration),
    Poll(Poll),
}

/// What is known of a tool when it has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ended {
    /// CPU time while it watched.
    pub(super) cpu: Option<Duration>,
    /// Lines, or states.
    pub(super) shown: Option<u64>,
    /// By its own account.
    pub(super) lost: Option<u64>,
}

/// All that can be done here.
pub(super) fn all(program: &Path) -> Vec<Case> {
    let port = PORT.to_string();
    let of_tcpwatch = |label, args: &[&str]| {
        let args: Vec<_> =
            args.iter().copied().chain(["--summary", "--port", port.as_str()]).collect();
        let spec = case::tcpwatch(program, Tells::TextSummary, &args);
        Some(Case { label, watcher: Watcher::Tool(spec) })
    };
    let peer = |label| Some(Case { label, watcher: Watcher::Tool(peers::spec(label)?) });
    let tcpdump = |label, banner, args: &[&str]| {
        let program = TCPDUMP.find()?.join("tcpdump").into();
        let args = ["-i", "lo", "-n"].iter().chain(args).map(Into::into).collect();
        let ready = Ready::Banner(banner);
        let spec = Spec { program, args, ready, tells: Tells::Dropped };
        Some(Case { label, watcher: Watcher::Tool(spec) })
    };
    let cases = [
        Some(Case { label: NOTHING, watcher: Watcher::Nothing }),
        of_tcpwatch("tcpwatch --port P", &[]),
        of_tcpwatch("tcpwatch --lives --port P", &["--lives"]),
        peer(TCPSTATES),
        peer(TCPLIFE),
        tcpdump("tcpdump -w", "tcpdump: listening on", &["-w", "/dev/null", "tcp"]),
        tcpdump(
            "tcpdump, SYN FIN RST",
            "listening on",
            &["tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0"],
        ),
        // From `PATH` alone: what starts a fetched one would be a good part of what is measured.
        in_path("ss").map(|_| Case { label: "ss -tan every 10 ms", watcher: Watcher::Poll }),
    ];
    cases.into_iter().flatten().collect()
}

impl Watcher {
    /// Starts it in the network namespace of this thread.
    pub(super) fn start(&self) -> Result<Running> {
        Ok(match self {
            Self::Nothing => Running::Nothing,
            Self::Tool(spec) => {
                let tool = Tool::start(spec, Stdout::Read)?;
                let used = tool.usage()?.cpu;
                Running::Tool(tool, used)
            }
            Self::Poll => Running::Poll(Poll::start()?),
        })
    }
}

impl Running {
    /// Ends it when it has worked off what it was given.
    pub(super) fn end(self) -> Result<Ended> {
        match self {
            Self::Nothing => Ok(Ended::default()),
            Self::Tool(tool, before) => {
                tool.settle()?;
                let cpu = tool.usage()?.cpu.saturating_sub(before);
                let Said { lost, lines } = tool.end()?;
                Ok(Ended { cpu: Some(cpu), shown: (lines > 0).then_some(lines), lost })
            }
            Self::Poll(poll) => {
                let polled = poll.end()?;
                Ok(Ended { cpu: Some(polled.cpu), shown: Some(polled.shown), lost: None })
            }
        }
    }
}
