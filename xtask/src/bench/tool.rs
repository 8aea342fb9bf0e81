//! Runs a tool until it is ended, and collects its output.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    losses::LossReport,
    proc_files::{self, ProcessUsage},
};
use crate::command::die_with_this_thread;

/// How a tool is started.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) ready: Ready,
    pub(crate) loss_report: LossReport,
}

/// How to detect that a tool is attached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    /// It writes a line to stderr that begins with this text.
    Banner(&'static str),
    /// It has loaded a program and is idle.
    Programs,
}

/// Where a tool's stdout goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// To `/dev/null`.
    Discarded,
    /// To the bench: lines are counted, those about losses are kept.
    Read,
}

/// A running tool.
#[derive(Debug)]
pub(crate) struct Tool {
    child: Child,
    stderr: JoinHandle<io::Result<ToolOutput>>,
    stdout: Option<JoinHandle<io::Result<ToolOutput>>>,
    loss_report: LossReport,
    /// Time from its start until it was attached, as far as that is detected.
    pub(crate) attached_after: Duration,
}

/// What is known of a tool after its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolEnd {
    /// Lost, as the tool itself reports.
    pub(crate) lost: Option<u64>,
    /// Lines on stdout, if they were read.
    pub(crate) lines: u64,
}

/// What is kept of an output stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolOutput {
    /// Lines with the word `lost`, which are few.
    pub(crate) about_losses: Vec<String>,
    pub(crate) last: String,
    pub(crate) lines: u64,
}

/// Time limit for a tool to be attached, or to end. Exceeding it is a failure.
const DEADLINE: Duration = Duration::from_secs(20);
/// A tool that uses less than a hundredth of a CPU for this long is idle.
const REST: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(10);

impl Tool {
    /// Starts a tool; returns when it is attached and idle.
    pub(crate) fn start(spec: &Spec, stdout: Stdout) -> Result<Self> {
        let name = spec.program.display();
        let mut command = Command::new(&spec.program);
        command.args(&spec.args).stdin(Stdio::null()).stderr(Stdio::piped());
        command.stdout(match stdout {
            Stdout::Read => Stdio::piped(),
            Stdout::Discarded => Stdio::null(),
        });
        die_with_this_thread(&mut command);
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stderr = child.stderr.take().context("no stderr")?;
        let stdout = child.stdout.take();
        if let Some(pipe) = &stdout {
            // The largest size that is allowed without privilege, so that reading disturbs little.
            rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20).context("cannot enlarge a pipe")?;
        }
        let (announce, banner) = std::sync::mpsc::channel();
        let ready = spec.ready;
        let mut tool = Self {
            child,
            stderr: thread::spawn(move || {
                read_stream(stderr, |line| {
                    if matches!(ready, Ready::Banner(start) if line.starts_with(start.as_bytes())) {
                        // Nothing waits for a second one any more.
                        announce.send(()).unwrap_or_default();
                    }
                })
            }),
            stdout: stdout.map(|stdout| thread::spawn(move || read_stream(stdout, |_| {}))),
            loss_report: spec.loss_report,
            attached_after: Duration::ZERO,
        };
        let attached = match ready {
            Ready::Banner(_) => banner.recv_timeout(DEADLINE).map_err(Into::into),
            Ready::Programs => tool.await_programs(),
        };
        if let Err(error) = attached {
            tool.child.kill().context("cannot end the tool")?;
            let output = join_reader(tool.stderr)?.last;
            return Err(error.context(format!("{name} is not attached; its last line: {output}")));
        }
        tool.attached_after = started.elapsed();
        tool.settle()?;
        Ok(tool)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn usage(&self) -> Result<ProcessUsage> {
        proc_files::usage(self.pid())
    }

    fn await_programs(&self) -> Result<()> {
        let start = Instant::now();
        while proc_files::programs(self.pid())?.is_empty() {
            if start.elapsed() > DEADLINE {
                bail!("no program is loaded");
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// Waits until it has processed its backlog.
    pub(crate) fn settle(&self) -> Result<()> {
        let start = Instant::now();
        let mut before = self.usage()?.cpu;
        let mut quiet_since = start;
        while quiet_since.elapsed() < REST {
            if start.elapsed() > DEADLINE {
                bail!("the tool does not become idle");
            }
            sleep(LOOK);
            let now = self.usage()?.cpu;
            if now.saturating_sub(before) > REST / 100 {
                (before, quiet_since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Ends it with SIGINT, as Ctrl-C does; returns its losses and the number of its lines.
    pub(crate) fn end(mut self) -> Result<ToolEnd> {
        kill_process(Pid::from_child(&self.child), Signal::INT).context("cannot end the tool")?;
        let start = Instant::now();
        while self.child.try_wait().context("cannot wait for the tool")?.is_none() {
            if start.elapsed() > DEADLINE {
                self.child.kill().context("cannot kill the tool")?;
                bail!("the tool does not end on SIGINT");
            }
            sleep(LOOK);
        }
        let stderr = join_reader(self.stderr)?;
        let stdout = self.stdout.map(join_reader).transpose()?.unwrap_or_default();
        Ok(ToolEnd { lost: self.loss_report.lost(&stderr, &stdout), lines: stdout.lines })
    }
}

fn join_reader(thread: JoinHandle<io::Result<ToolOutput>>) -> Result<ToolOutput> {
    let output =
        thread.join().map_err(|_panic| anyhow!("the thread that reads a tool panicked"))?;
    output.context("cannot read the tool's output")
}

/// Reads to the end of the stream, fast enough for a hundred thousand lines per second.
fn read_stream(stream: impl Read, mut on_line: impl FnMut(&[u8])) -> io::Result<ToolOutput> {
    let mut stream = BufReader::with_capacity(1 << 18, stream);
    let (mut output, mut line, mut last) = (ToolOutput::default(), Vec::new(), Vec::new());
    while stream.read_until(b'\n', &mut line)? > 0 {
        on_line(&line);
        output.lines += 1;
        if is_about_losses(&line) {
            output.about_losses.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        std::mem::swap(&mut line, &mut last);
        line.clear();
    }
    String::from_utf8_lossy(&last).trim_end().clone_into(&mut output.last);
    Ok(output)
}

/// `Lost 3 events`, `lost 3 events on CPU #0!`, `3 packets dropped by kernel`, and tcpwatch's totals.
fn is_about_losses(line: &[u8]) -> bool {
    let starts = [b"Lost ".as_slice(), b"lost "];
    let words = [b" missed".as_slice(), b" dropped by kernel"];
    starts.iter().any(|start| line.starts_with(start))
        || !line.starts_with(b"{")
            && words.iter().any(|word| line.windows(word.len()).any(|part| part == *word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_those_about_losses_and_the_last_are_kept() {
        let text = "1 2 3 4\nLost 5 events\n7 10 0 0\n{\"event\":\"summary\"}\n";
        let mut calls = 0;
        let output = read_stream(text.as_bytes(), |_| calls += 1).expect("memory can be read");
        let expected = ToolOutput {
            about_losses: vec!["Lost 5 events".into()],
            last: "{\"event\":\"summary\"}".into(),
            lines: 4,
        };
        assert_eq!(output, expected, "one about losses, the last, four in all");
        assert_eq!(calls, 4, "`on_line` was called for each");
    }

    #[test]
    fn a_tool_that_loads_nothing_is_told_from_one_that_is_slow() {
        let spec = Spec {
            program: "true".into(),
            args: Vec::new(),
            ready: Ready::Banner("tcpwatch "),
            loss_report: LossReport::Nothing,
        };
        let error = Tool::start(&spec, Stdout::Discarded).expect_err("`true` attaches nothing");
        assert!(error.to_string().contains("true is not attached"), "{error:#}");
    }
}
