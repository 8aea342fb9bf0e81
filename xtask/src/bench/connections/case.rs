//! The tools that watch connections: tcpwatch and those that are installed.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::poll::Poll;
use tcpwatch_bpf_toolchain::in_path;

use crate::bench::{
    case::{self, NOTHING, TCPSTATES},
    losses::LossReport,
    peers::{self, TCPLIFE},
    tool::{Ready, Spec, Stdout, Tool, ToolEnd},
};
use crate::debian::TCPDUMP;

/// The port of the server.
pub(super) const PORT: u16 = 11111;

/// A tool, and its name in the table.
#[derive(Debug)]
pub(super) struct ConnectionCase {
    pub(super) label: &'static str,
    pub(super) watcher: ConnectionWatcher,
}

/// How it watches.
#[derive(Debug)]
pub(super) enum ConnectionWatcher {
    Nothing,
    /// It runs throughout.
    Tool(Spec),
    /// `ss` is started again and again.
    Poll,
}

/// A tool that is watching; it stops when this is dropped.
#[derive(Debug)]
pub(super) enum RunningWatcher {
    Nothing,
    Tool(Tool, Duration),
    Poll(Poll),
}

/// What is known of a tool after its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatcherEnd {
    /// CPU time while it watched.
    pub(super) cpu: Option<Duration>,
    /// Lines, or states.
    pub(super) shown: Option<u64>,
    /// Losses that the tool itself reports.
    pub(super) lost: Option<u64>,
}

/// All cases whose tools are on this machine.
pub(super) fn all(program: &Path) -> Vec<ConnectionCase> {
    let port = PORT.to_string();
    let of_tcpwatch = |label, args: &[&str]| {
        let args: Vec<_> =
            args.iter().copied().chain(["--summary", "--port", port.as_str()]).collect();
        let spec = case::tcpwatch(program, LossReport::TextSummary, &args);
        Some(ConnectionCase { label, watcher: ConnectionWatcher::Tool(spec) })
    };
    let peer = |label| {
        Some(ConnectionCase { label, watcher: ConnectionWatcher::Tool(peers::spec(label)?) })
    };
    let tcpdump = |label, banner, args: &[&str]| {
        let program = TCPDUMP.find()?.join("tcpdump").into();
        let args = ["-i", "lo", "-n"].iter().chain(args).map(Into::into).collect();
        let ready = Ready::Banner(banner);
        let spec = Spec { program, args, ready, loss_report: LossReport::Dropped };
        Some(ConnectionCase { label, watcher: ConnectionWatcher::Tool(spec) })
    };
    let cases = [
        Some(ConnectionCase { label: NOTHING, watcher: ConnectionWatcher::Nothing }),
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
        // Only from `PATH`: the script that starts a fetched one would be a good part of what is measured.
        in_path("ss").map(|_| ConnectionCase {
            label: "ss -tan every 10 ms",
            watcher: ConnectionWatcher::Poll,
        }),
    ];
    cases.into_iter().flatten().collect()
}

impl ConnectionWatcher {
    /// Starts it in the network namespace of this thread.
    pub(super) fn start(&self) -> Result<RunningWatcher> {
        Ok(match self {
            Self::Nothing => RunningWatcher::Nothing,
            Self::Tool(spec) => {
                let tool = Tool::start(spec, Stdout::Read)?;
                let used = tool.usage()?.cpu;
                RunningWatcher::Tool(tool, used)
            }
            Self::Poll => RunningWatcher::Poll(Poll::start()?),
        })
    }
}

impl RunningWatcher {
    /// Ends it after it has processed its backlog.
    pub(super) fn end(self) -> Result<WatcherEnd> {
        match self {
            Self::Nothing => Ok(WatcherEnd::default()),
            Self::Tool(tool, before) => {
                tool.settle()?;
                let cpu = tool.usage()?.cpu.saturating_sub(before);
                let ToolEnd { lost, lines } = tool.end()?;
                Ok(WatcherEnd { cpu: Some(cpu), shown: (lines > 0).then_some(lines), lost })
            }
            Self::Poll(poll) => {
                let polled = poll.end()?;
                Ok(WatcherEnd { cpu: Some(polled.cpu), shown: Some(polled.shown), lost: None })
            }
        }
    }
}
