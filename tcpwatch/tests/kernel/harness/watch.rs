//! A running tcpwatch: its lines as they arrive, its end and its totals.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use tcpwatch_kernel::clock;

use super::{
    DEADLINE,
    exporter::PAGE,
    line::{Line, Summary},
    netns::Netns,
    program,
};

/// A running tcpwatch that writes JSON.
pub(crate) struct Watch {
    child: Child,
    heard: Arc<Heard>,
    readers: Vec<JoinHandle<()>>,
}

/// The output of a tcpwatch that has ended.
pub(crate) struct Log {
    pub(crate) lines: Vec<Line>,
    pub(crate) summary: Summary,
}

#[derive(Default)]
struct Heard {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<Line>,
    summary: Option<Summary>,
    banner: bool,
    stderr: VecDeque<String>,
}

impl Watch {
    /// Starts it for one namespace; every change from now on is seen.
    pub(crate) fn on(netns: &Netns) -> Self {
        Self::with(netns, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn with(netns: &Netns, args: &[&str]) -> Self {
        let word = netns.word();
        let args: Vec<&str> = ["--netns", word.as_str()].iter().chain(args).copied().collect();
        Self::start(&args)
    }

    /// Starts it with these arguments and waits for its banner.
    ///
    /// One at a time: loading uses much CPU time, and many at once would all be late.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_by(program::tcpwatch(), args)
    }

    /// The same with a command that becomes tcpwatch.
    pub(crate) fn start_by(mut command: Command, args: &[&str]) -> Self {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        command.args(["--format", "json", "--summary"]).args(args);
        let mut child = program::spawn(&mut command, Stdio::piped());
        let heard = Arc::new(Heard::default());
        let stdout = reader(child.stdout.take().unwrap(), &heard, Said::hear_line);
        let stderr = reader(child.stderr.take().unwrap(), &heard, Said::hear_word);
        let watch = Self { child, heard, readers: vec![stdout, stderr] };
        watch.wait(DEADLINE, "the banner", |said| said.banner.then_some(()));
        watch
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of its metrics, if it was started with one.
    pub(crate) fn metrics(&self) -> SocketAddr {
        self.wait(DEADLINE, "the address of its metrics", |said| {
            let address = said.stderr.iter().find_map(|line| line.strip_prefix(PAGE))?;
            Some(address.trim().strip_suffix("/metrics").unwrap().parse().unwrap())
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until `found` returns a result for the lines so far.
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&[Line]) -> Option<T>) -> T {
        self.wait_within(DEADLINE, what, find)
    }

    /// The same with a longer time limit.
    pub(crate) fn wait_within<T>(
        &self,
        span: Duration,
        what: &str,
        find: impl Fn(&[Line]) -> Option<T>,
    ) -> T {
        self.wait(span, what, |said| find(&said.lines))
    }

    /// Waits for `count` lines that match. Each is looked at once: on a kernel that wakes the waiting thread for
    /// every line, looking at all of them again takes longer than what is waited for.
    pub(crate) fn wait_count(&self, count: usize, what: &str, fits: impl Fn(&Line) -> bool) {
        let (mut seen, mut found) = (0, 0);
        self.wait(DEADLINE, what, |said| {
            found += said.lines[seen..].iter().filter(|line| fits(line)).count();
            seen = said.lines.len();
            (found >= count).then_some(())
        });
    }

    /// Ends it with Ctrl-C; its totals must add up.
    pub(crate) fn stop(self) -> Log {
        self.stop_with(Signal::INT)
    }

    pub(crate) fn stop_with(self, signal: Signal) -> Log {
        self.signal(signal);
        self.ended()
    }

    /// Waits for its own end.
    pub(crate) fn ended(mut self) -> Log {
        for reader in std::mem::take(&mut self.readers) {
            reader.join().unwrap();
        }
        let status = self.child.wait().unwrap();
        let mut said = self.heard.said.lock().unwrap();
        let stderr = said.stderr.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(status.success(), "{status}: {stderr}");
        let lines = std::mem::take(&mut said.lines);
        let summary = said.summary.take().expect("a summary is the last line");
        drop(said);
        summary.balance();
        if !summary.lost.is_empty() {
            println!("measured: lost {:?}", summary.lost);
        }
        Log { lines, summary }
    }

    /// Kills it and waits until it has ended.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn wait<T>(&self, span: Duration, what: &str, mut find: impl FnMut(&Said) -> Option<T>) -> T {
        let deadline = Instant::now() + span;
        let mut said: MutexGuard<'_, Said> = self.heard.said.lock().unwrap();
        loop {
            if let Some(found) = find(&said) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never came: {what}; what came:\n{}", said.transcript());
            said = self.heard.more.wait_timeout(said, left).unwrap().0;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // An error means that it has already ended.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

impl Said {
    fn hear_line(&mut self, text: &str) {
        let read_ns = clock::now().0;
        assert!(self.summary.is_none(), "nothing comes after the summary: {text}");
        if text.contains(r#""event":"summary""#) {
            self.summary = Some(parsed(text));
        } else {
            let line: Line = parsed(text);
            let text = if line.is_state() { String::new() } else { text.to_owned() };
            self.lines.push(Line { read_ns, text, ..line });
        }
    }

    fn hear_word(&mut self, text: &str) {
        self.banner |= text.starts_with("tcpwatch ");
        self.stderr.push_back(text.to_owned());
    }

    fn transcript(&self) -> String {
        const SHOWN: usize = 60;
        let from = self.lines.len().saturating_sub(SHOWN);
        let lines = self.lines[from..].iter().map(|line| format!("  {line}\n"));
        let stderr = self.stderr.iter().map(|line| format!("  {line}\n"));
        stderr.chain(lines).collect()
    }
}

fn parsed<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn reader(
    stream: impl Read + Send + 'static,
    heard: &Arc<Heard>,
    hear: impl Fn(&mut Said, &str) + Send + 'static,
) -> JoinHandle<()> {
    let heard = Arc::clone(heard);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            hear(&mut heard.said.lock().unwrap(), &line);
            heard.more.notify_all();
        }
    })
}
