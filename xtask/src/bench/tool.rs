//! A command comes in; it runs attached until it is ended, and what it said goes out.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use super::{
    losses::Tells,
    proc_files::{self, Usage},
};

/// How a tool is started.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) ready: Ready,
    pub(crate) tells: Tells,
}

/// How one sees that a tool is attached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    /// It writes a line to stderr that starts like this.
    Banner(&'static str),
    /// It has loaded a program and come to rest.
    Programs,
}

/// Where the lines of a tool go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// To `/dev/null`.
    Discarded,
    /// To us: lines are counted, and what it says about losses is kept.
    Read,
}

/// A tool that runs.
#[derive(Debug)]
pub(crate) struct Tool {
    child: Child,
    stderr: JoinHandle<io::Result<Said>>,
    stdout: Option<JoinHandle<io::Result<Said>>>,
    tells: Tells,
    /// From its start until it was attached, as far as that is seen.
    pub(crate) attached_after: Duration,
}

/// What a tool leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Lost by its own account, if it gave one.
    pub(crate) lost: Option<u64>,
    /// Lines on stdout, if they were read.
    pub(crate) lines: u64,
}

/// What is kept of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Lines with the word `lost`, which are few.
    pub(crate) about_losses: Vec<String>,
    pub(crate) last: String,
    pub(crate) lines: u64,
}

/// For a tool to be attached, or to end. Missing it is a failure.
const DEADLINE: Duration = Duration::from_secs(20);
/// A tool that uses less than a hundredth of a CPU for this long has come to rest.
const REST: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(10);

/// Has the kernel end the process when the thread that starts it ends, however that comes.
pub(crate) fn die_with_this_thread(command: &mut Command) {
    let die = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec this makes one system call and nothing else.
    unsafe { command.pre_exec(die) };
}

impl Tool {
    /// Returns when it is attached and has come to rest.
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
            // The largest that is allowed without privilege, so that our reading disturbs little.
            rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20).context("cannot enlarge a pipe")?;
        }
        let (announce, banner) = std::sync::mpsc::channel();
        let ready = spec.ready;
        let mut tool = Self {
            child,
            stderr: thread::spawn(move || {
                listen(stderr, |line| {
                    if matches!(ready, Ready::Banner(start) if line.starts_with(start.as_bytes())) {
                        // Nobody waits any more for a second one.
                        announce.send(()).unwrap_or_default();
                    }
                })
            }),
            stdout: stdout.map(|stdout| thread::spawn(move || listen(stdout, |_| {}))),
            tells: spec.tells,
            attached_after: Duration::ZERO,
        };
        let attached = match ready {
            Ready::Banner(_) => banner.recv_timeout(DEADLINE).map_err(Into::into),
            Ready::Programs => tool.await_programs(),
        };
        if let Err(error) = attached {
            tool.child.kill().context("cannot end it")?;
            let said = heard(tool.stderr)?.last;
            return Err(error.context(format!("{name} is not attached; it said: {said}")));
        }
        tool.attached_after = started.elapsed();
        tool.settle()?;
        Ok(tool)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
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

    /// Waits until it has worked off what it was given.
    pub(crate) fn settle(&self) -> Result<()> {
        let start = Instant::now();
        let mut before = self.usage()?.cpu;
        let mut quiet_since = start;
        while quiet_since.elapsed() < REST {
            if start.elapsed() > DEADLINE {
                bail!("the tool does not come to rest");
            }
            sleep(LOOK);
            let now = self.usage()?.cpu;
            if now.saturating_sub(before) > REST / 100 {
                (before, quiet_since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Ends it as Ctrl-C does; tells what can be read from what it said.
    pub(crate) fn end(mut self) -> Result<Ended> {
        kill_process(Pid::from_child(&self.child), Signal::INT).context("cannot end the tool")?;
        let start = Instant::now();
        while self.child.try_wait().context("cannot wait for the tool")?.is_none() {
            if start.elapsed() > DEADLINE {
                self.child.kill().context("cannot end the tool by force")?;
                bail!("the tool does not end at Ctrl-C");
            }
            sleep(LOOK);
        }
        let stderr = heard(self.stderr)?;
        let stdout = self.stdout.map(heard).transpose()?.unwrap_or_default();
        Ok(Ended { lost: self.tells.lost(&stderr, &stdout), lines: stdout.lines })
    }
}

fn heard(thread: JoinHandle<io::Result<Said>>) -> Result<Said> {
    let said = thread.join().map_err(|_panic| anyhow!("the thread that reads a tool panicked"))?;
    said.context("cannot read what the tool says")
}

/// Reads to the end, fast enough for a hundred thousand lines a second.
fn listen(stream: impl Read, mut hear: impl FnMut(&[u8])) -> io::Result<Said> {
    let mut stream = BufReader::with_capacity(1 << 18, stream);
    let (mut said, mut line, mut last) = (Said::default(), Vec::new(), Vec::new());
    while stream.read_until(b'\n', &mut line)? > 0 {
        hear(&line);
        said.lines += 1;
        if is_about_losses(&line) {
            said.about_losses.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        std::mem::swap(&mut line, &mut last);
        line.clear();
    }
    String::from_utf8_lossy(&last).trim_end().clone_into(&mut said.last);
    Ok(said)
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
        let mut heard = 0;
        let said = listen(text.as_bytes(), |_| heard += 1).expect("memory can be read");
        let expected = Said {
            about_losses: vec!["Lost 5 events".into()],
            last: "{\"event\":\"summary\"}".into(),
            lines: 4,
        };
        assert_eq!(said, expected, "one about losses, the last, four in all");
        assert_eq!(heard, 4, "each was heard");
    }

    #[test]
    fn a_tool_that_loads_nothing_is_told_from_one_that_is_slow() {
        let spec = Spec {
            program: "true".into(),
            args: Vec::new(),
            ready: Ready::Banner("tcpwatch "),
            tells: Tells::Nothing,
        };
        let error = Tool::start(&spec, Stdout::Discarded).expect_err("`true` attaches nothing");
        assert!(error.to_string().contains("true is not attached"), "{error:#}");
    }
}
