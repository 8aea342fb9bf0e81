//! Arguments for tcpwatch come in; it is built as the caller and run as root, with demo traffic
//! where wanted, and its exit status goes out.

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
    demo::{PORT, Reserved, Traffic},
    privilege::Privilege,
    setup,
    watched::{self, Banner, Event},
};

/// When no banner is seen, the demo starts after this time all the same.
const LATEST_START: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Play the demo traffic on port 11111 although arguments for tcpwatch are given
    #[arg(long)]
    demo: bool,
    /// Arguments for tcpwatch; without any it is `--port 11111`, with demo traffic
    #[arg(last = true, value_name = "ARGS")]
    tcpwatch: Vec<OsString>,
}

impl Args {
    fn wants_demo(&self) -> bool {
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
pub(crate) fn command(args: &Args) -> Result<ExitCode> {
    // First of all, so that a taken port is told before the build and not after it.
    let demo = args.wants_demo().then(Reserved::take).transpose()?;
    setup::ensure()?;
    let mut command = Privilege::of_this_process()
        .command(cargo::release()?, "watch every connection of this machine")?;
    command.args(args.for_tcpwatch());
    let banner = if demo.is_some() { Banner::Awaited } else { Banner::Ignored };
    let status = follow(&watched::start(command, banner)?, demo)?;
    Ok(exit_code(status))
}

/// Plays the demo from the banner on, or from `LATEST_START` on, until tcpwatch ends.
fn follow(events: &Receiver<Event>, mut demo: Option<Reserved>) -> Result<ExitStatus> {
    let mut traffic = None;
    let latest_start = Instant::now() + LATEST_START;
    loop {
        let event = if demo.is_some() {
            events.recv_timeout(latest_start.saturating_duration_since(Instant::now()))
        } else {
            events.recv().map_err(RecvTimeoutError::from)
        };
        match event {
            Ok(Event::Ready) | Err(RecvTimeoutError::Timeout) => {
                if let Some(reserved) = demo.take() {
                    traffic = Some(reserved.start()?);
                }
            }
            Ok(Event::Ended(status)) => {
                traffic.map(Traffic::stop).unwrap_or_default();
                return status.context("cannot wait for tcpwatch");
            }
            Err(RecvTimeoutError::Disconnected) => bail!("lost sight of tcpwatch"),
        }
    }
}

/// As a shell tells it: 128 and the signal's number for a process that a signal ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &str) -> (bool, String) {
        let words = std::iter::once("run").chain(line.split_whitespace());
        let args = Line::parse_from(words).args;
        let words = args.for_tcpwatch();
        (args.wants_demo(), words.join(" ".as_ref()).into_string().expect("UTF-8"))
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
