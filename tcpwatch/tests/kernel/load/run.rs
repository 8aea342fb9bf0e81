//! tcpwatch with its output in a file, for any number of lines, and its use of memory.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    process::{Child, ChildStderr, Command, ExitStatus},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::harness::{line::Summary, poll_within, program};

/// A running tcpwatch.
pub(super) struct Run {
    child: Child,
    stderr: BufReader<ChildStderr>,
    stdout: NamedTempFile,
    /// From its start to its banner.
    pub(super) started_in: Duration,
}

/// What it leaves.
pub(super) struct Ended {
    pub(super) text: String,
    pub(super) summary: Summary,
    /// Kibibytes of its own memory, its peak.
    pub(super) most_kib: u64,
}

impl Run {
    /// Writes JSON and a summary, with these arguments; returns when it has reported that nothing is missed any more.
    pub(super) fn start(args: &[&str]) -> Self {
        let mut command = program::tcpwatch();
        command.args(["--format", "json", "--summary"]).args(args);
        Self::command(command)
    }

    /// The same with a command that executes tcpwatch.
    pub(super) fn command(mut command: Command) -> Self {
        let stdout = NamedTempFile::new().unwrap();
        let begun = Instant::now();
        let file = File::create(stdout.path()).unwrap();
        let (child, stderr) = program::started(&mut command, file);
        Self { child, stderr, stdout, started_in: begun.elapsed() }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub(super) fn text(&self) -> String {
        fs::read_to_string(self.stdout.path()).unwrap()
    }

    /// Waits until its output contains this many lines with these words.
    pub(super) fn wait_count(&self, span: Duration, words: &str, count: usize) {
        poll_within(span, words, || (occurrences(&self.text(), words) >= count).then_some(()));
    }

    /// Ends it with Ctrl-C, however much it still has to write.
    pub(super) fn stop(mut self) -> Ended {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let mut most_kib = 0;
        let status: ExitStatus = poll_within(Duration::from_mins(3), "its end", || {
            most_kib = most_kib.max(own_kib(self.child.id()).unwrap_or(0));
            self.child.try_wait().unwrap()
        });
        let mut said = String::new();
        while self.stderr.read_line(&mut said).unwrap() > 0 {}
        assert!(status.success(), "{status}: {said}");
        let text = self.text();
        let summary: Summary = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        summary.balance();
        Ended { text, summary, most_kib }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // An error means that it has already ended.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// The number of lines with these words.
pub(super) fn occurrences(text: &str, words: &str) -> usize {
    text.lines().filter(|line| line.contains(words)).count()
}

/// Kibibytes of memory that are a process's own: without its program and without the ring that it shares with the
/// kernel. `None` if it has ended.
pub(super) fn own_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Descriptors that a process has open.
pub(super) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}
