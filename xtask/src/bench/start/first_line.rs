//! The time from a tool's start to its first line about a change, while one thread makes changes as fast as it can.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    bench::{
        tool::Spec,
        workload::{self, Working, Workload},
    },
    command::die_with_this_thread,
};

/// Sockets that begin to listen and are closed.
#[derive(Debug)]
pub(super) struct ListenTraffic {
    stop: Arc<AtomicBool>,
    working: Working<()>,
}

impl ListenTraffic {
    /// Runs on the last CPU, so that the tool has another one.
    pub(super) fn start() -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let working = workload::begin(move || {
            while !stopped.load(Ordering::Relaxed) {
                Workload::ListenClose.run(Duration::from_millis(50))?;
            }
            Ok(())
        })?;
        Ok(Self { stop, working })
    }

    pub(super) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.working.end()
    }
}

/// From the start of the tool until its first line about a change was read.
pub(super) fn first_line(spec: &Spec) -> Result<Duration> {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    die_with_this_thread(&mut command);
    let start = Instant::now();
    let mut child = command.spawn().context("cannot start the tool")?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?);
    let (mut line, mut after) = (Vec::new(), None);
    while after.is_none()
        && lines.read_until(b'\n', &mut line).context("cannot read the tool's output")? > 0
    {
        after = is_about_a_change(&line).then(|| start.elapsed());
        line.clear();
    }
    // The measurement is complete; the kernel releases what the child holds.
    child.kill().context("cannot end the tool")?;
    child.wait().context("cannot wait for the tool")?;
    match after {
        Some(after) => Ok(after),
        None => bail!("the tool has ended without a line about a change"),
    }
}

/// A line with the state, or with the kernel's numbers for CLOSED and LISTEN.
fn is_about_a_change(line: &[u8]) -> bool {
    line.starts_with(b"7 10 ")
        || line.starts_with(b"10 7 ")
        || line.windows(6).any(|word| word == b"LISTEN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_no_change() {
        for line in
            ["TIME  LOCAL  REMOTE  CHANGE", "Attaching 1 probe...", "SKADDR OLDSTATE -> NEWSTATE"]
        {
            assert!(!is_about_a_change(line.as_bytes()), "{line}");
        }
        for line in ["12:00:00.0000 127.0.0.1:1 * CLOSED \u{2192} LISTEN", "7 10 0 0", "10 7 80 0"]
        {
            assert!(is_about_a_change(line.as_bytes()), "{line}");
        }
    }
}
