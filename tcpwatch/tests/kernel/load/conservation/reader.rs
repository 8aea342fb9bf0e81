//! A tcpwatch whose lines are counted as they arrive and not kept: there are millions of them.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
    str,
    thread::{self, JoinHandle},
};

use rustix::process::Signal;

use super::summary::Summary;
use crate::harness::program::{self, signal, tcpwatch};

/// Lines that are not about connections.
const HEADERS: [&[u8]; 2] = [b"TIME ", b"OPENED "];

/// A running tcpwatch, and the threads that count its lines.
pub(super) struct Reader {
    child: Child,
    stdout: JoinHandle<Printed>,
    stderr: JoinHandle<String>,
}

/// The counts of its output.
#[derive(Clone, Debug, Default)]
pub(super) struct Printed {
    /// Lines about connections, without losses and the summary.
    pub(super) lines: u64,
    /// Changes as written in the line, `FROM","to":"TO`, in JSON; without inferred ones.
    pub(super) changes: BTreeMap<Vec<u8>, u64>,
    /// Lines that are marked as inferred.
    pub(super) inferred: u64,
    /// Losses by their lines.
    pub(super) losses: u64,
    last: Vec<u8>,
}

impl Reader {
    /// Starts it and waits until it misses nothing.
    pub(super) fn start(args: &[&str]) -> Self {
        let mut child = program::spawn(tcpwatch().arg("--summary").args(args), Stdio::piped());
        let stdout = child.stdout.take().unwrap();
        let stdout = thread::spawn(|| Printed::count(stdout));
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut banner = String::new();
        stderr.read_line(&mut banner).unwrap();
        assert!(banner.starts_with("tcpwatch ") && banner.ends_with("to stop\n"), "{banner}");
        let stderr = thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            said
        });
        Self { child, stdout, stderr }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nothing reads the ring while `act` runs.
    pub(super) fn while_stopped(&self, act: impl FnOnce()) {
        program::while_stopped(self.pid(), act);
    }

    /// Ends it with Ctrl-C.
    pub(super) fn stop(mut self) -> (Printed, Summary) {
        signal(self.pid(), Signal::INT);
        let printed = self.stdout.join().unwrap();
        let said = self.stderr.join().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {said}");
        let summary = Summary::json(&printed.last).unwrap_or_else(|| Summary::text(&said));
        (printed, summary)
    }

    /// Waits for the end of one that was killed.
    pub(super) fn wait(mut self) {
        self.stdout.join().unwrap();
        self.stderr.join().unwrap();
        assert!(!self.child.wait().unwrap().success(), "it was killed");
    }
}

impl Printed {
    fn count(stream: impl Read) -> Self {
        let mut printed = Self::default();
        let mut stream = BufReader::with_capacity(1 << 18, stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).unwrap() > 0 {
            if line.starts_with(b"{") {
                printed.json(&line);
            } else {
                printed.text(&line);
            }
            line.clear();
        }
        printed
    }

    fn json(&mut self, line: &[u8]) {
        let event = between(line, "\"event\":\"", "\"").expect("every line has an event");
        match event {
            b"loss" => self.losses += number(between(line, "\"count\":", "}").unwrap()),
            b"summary" => self.last = line.to_owned(),
            _ => self.tracked(line, event),
        }
    }

    fn tracked(&mut self, line: &[u8], event: &[u8]) {
        self.lines += 1;
        if between(line, "\"inferred\":", "}").is_some() {
            self.inferred += 1;
        } else if event == b"state" {
            let change = between(line, "\"from\":\"", "\",\"in_state_s\"").unwrap();
            add_one(&mut self.changes, change);
        }
    }

    fn text(&mut self, line: &[u8]) {
        if HEADERS.iter().any(|header| line.starts_with(header)) {
            return;
        }
        if let Some(count) = between(line, " LOST ", " ") {
            self.losses += number(count);
        } else {
            self.lines += 1;
            self.inferred += u64::from(between(line, " \u{b7} inferred", "").is_some());
        }
    }

    /// Changes like `FIN_WAIT_2>TIME_WAIT`, by their number.
    pub(super) fn changes(&self) -> BTreeMap<String, u64> {
        let changes = self.changes.iter();
        changes
            .map(|(change, count)| {
                (str::from_utf8(change).unwrap().replace("\",\"to\":\"", ">"), *count)
            })
            .collect()
    }
}

/// Copies the key only if it is new.
fn add_one(counts: &mut BTreeMap<Vec<u8>, u64>, key: &[u8]) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => drop(counts.insert(key.to_owned(), 1)),
    }
}

fn number(text: &[u8]) -> u64 {
    str::from_utf8(text).unwrap().parse().unwrap()
}

fn between<'a>(line: &'a [u8], before: &str, after: &str) -> Option<&'a [u8]> {
    let text = str::from_utf8(line).unwrap();
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest.as_bytes()[..rest.find(after)?])
}
