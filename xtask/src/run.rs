//! `cargo xtask run`: builds tcpwatch as the caller and runs it as root, with demo traffic if requested; returns its
//! exit status.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo,
    demo::{DemoTraffic, PORT, Reserved},
    privilege::Privilege,
    setup,
    watched::{self, Banner, ChildEvent},
};

/// The demo starts after this time even without a banner.
const LATEST_START: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Play the demo traffic on port 11111 although arguments for tcpwatch are given
    #[arg(long)]
    demo: bool,
    /// Arguments for tcpwatch; without any it is `--port 11111`, with demo traffic
    #[arg(last = true, value_name = "ARGS")]
    tcpwatch: Vec<OsString>,
}

impl RunArgs {
    fn has_demo(&self) -> bool {
        self.demo || self.tcpwatch.is_empty()
    }

    fn for_tcpwatch(&self) -> Vec<OsString> {
        if self.tcpwatch.is_empty() {
            return vec!["--port".into(), PORT.to_string().into()];
        }
        self.tcpwatch.clone()
    }
}

/// `cargo xtask run`.
pub(crate) fn command(args: &RunArgs) -> Result<ExitCode> {
    // Before the build, so that a taken port is reported at once.
    let demo = args.has_demo().then(Reserved::take).transpose()?;
    setup::ensure()?;
    let mut command = Privilege::of_this_process()
        .command(cargo::release()?, "watch every connection of this machine")?;
    command.args(args.for_tcpwatch());
    let banner = if demo.is_some() { Banner::Awaited } else { Banner::Ignored };
    let status = follow(&watched::start(command, banner)?, demo)?;
    Ok(exit_code(status))
}

/// Plays the demo from the banner, or after `LATEST_START`, until tcpwatch ends.
fn follow(events: &Receiver<ChildEvent>, mut demo: Option<Reserved>) -> Result<ExitStatus> {
    let mut traffic = None;
    let latest_start = Instant::now() + LATEST_START;
    loop {
        let event = if demo.is_some() {
            events.recv_timeout(latest_start.saturating_duration_since(Instant::now()))
        } else {
            events.recv().map_err(RecvTimeoutError::from)
        };
        match event {
            Ok(ChildEvent::Ready) | Err(RecvTimeoutError::Timeout) => {
                if let Some(reserved) = demo.take() {
                    traffic = Some(reserved.start()?);
                }
            }
            Ok(ChildEvent::Ended(status)) => {
                traffic.map(DemoTraffic::stop).unwrap_or_default();
                return status.context("cannot wait for tcpwatch");
            }
            Err(RecvTimeoutError::Disconnected) => bail!("tcpwatch can no longer be watched"),
        }
    }
}

/// As in a shell: 128 plus the signal's number for a process that a signal ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct RunLine {
        #[command(flatten)]
        args: RunArgs,
    }

    fn parsed(line: &str) -> (bool, String) {
        let words = std::iter::once("run").chain(line.split_whitespace());
        let args = RunLine::parse_from(words).args;
        let words = args.for_tcpwatch();
        (args.has_demo(), words.join(" ".as_ref()).into_string().expect("UTF-8"))
    }

    #[test]
    fn the_demo_plays_alone_or_when_asked_for() {
        for (line, demo, tcpwatch) in [
            ("", true, "--port 11111"),
            ("--demo", true, "--port 11111"),
            ("-- --port 80 --count 3", false, "--port 80 --count 3"),
            ("-- lab list", false, "lab list"),
            ("--demo -- --port 11111 --duration 5s", true, "--port 11111 --duration 5s"),
        ] {
            assert_eq!(parsed(line), (demo, tcpwatch.to_owned()), "{line:?}");
        }
    }

    #[test]
    fn the_exit_status_is_passed_on_as_a_shell_does() {
        for (raw, expected) in [(0, 0), (3 << 8, 3), (15, 143)] {
            let code = exit_code(ExitStatus::from_raw(raw));
            assert_eq!(code, ExitCode::from(expected), "wait status {raw}");
        }
    }
}
