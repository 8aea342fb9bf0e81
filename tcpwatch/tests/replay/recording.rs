//! A recording to replay: unchanged, or with records removed, added or moved.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::NamedTempFile;

/// The directory of recordings and expected output.
pub(super) fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

/// `tcpwatch replay FILE ARGS`, which must succeed without messages.
pub(super) fn replay(file: &Path, args: &[&str]) -> String {
    let output = run(file, args);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), complaint.as_ref()), (Some(0), ""), "{}", file.display());
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

pub(super) fn run(file: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwatch"));
    command.arg("replay").arg(file).args(args);
    command.env("TZ", "Asia/Tokyo").env_remove("NO_COLOR").output().expect("tcpwatch starts")
}

/// One record, as it is in the file.
#[derive(Clone, Debug)]
pub(super) struct Record(Vec<u8>);

/// Offsets in a record, as `tcpwatch-common` lays it out.
const KIND: usize = 20;
const LOCAL_PORT: usize = 22;
const CGROUP: usize = 28;
const OLD: usize = 32;
const NEW: usize = 33;

impl Record {
    pub(super) fn at_ns(&self) -> u64 {
        u64::from_ne_bytes(self.0[..8].try_into().expect("eight bytes"))
    }

    /// Whether this is a full socket's change between these states, in the kernel's numbers.
    pub(super) fn is_change(&self, old: u8, new: u8) -> bool {
        (self.0[KIND], self.0[OLD], self.0[NEW]) == (1, old, new)
    }

    pub(super) fn local_port(&self) -> u16 {
        u16::from_ne_bytes([self.0[LOCAL_PORT], self.0[LOCAL_PORT + 1]])
    }

    /// From now on of a socket in this cgroup.
    pub(super) fn put_into(&mut self, cgroup: u32) {
        self.0[CGROUP..CGROUP + 4].copy_from_slice(&cgroup.to_ne_bytes());
    }

    /// The same with another tag.
    pub(super) fn of_kind(mut self, kind: u8) -> Self {
        self.0[KIND] = kind;
        self
    }

    /// The same, cut.
    pub(super) fn cut_to(mut self, bytes: usize) -> Self {
        self.0.truncate(bytes);
        self
    }
}

/// A recording in memory.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    /// The lines before the records.
    pub(super) head: Vec<String>,
    pub(super) records: Vec<Record>,
    /// `sock_diag` was queried in between: the records alone are not the whole story.
    has_answers: bool,
}

impl Recording {
    pub(super) fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(data(&format!("{name}.jsonl"))).expect("it is there");
        let mut recording = Self { head: Vec::new(), records: Vec::new(), has_answers: false };
        for line in text.lines() {
            let frame: Value = serde_json::from_str(line).expect("a line of JSON");
            match frame.get("record").and_then(Value::as_str) {
                Some(bytes) => {
                    recording.records.push(Record(hex::decode(bytes).expect("hexadecimal")));
                }
                None if frame.get("answer").is_some() => recording.has_answers = true,
                None => recording.head.push(line.to_owned()),
            }
        }
        recording
    }

    pub(super) fn position(&self, what: impl Fn(&Record) -> bool) -> usize {
        self.records.iter().position(what).expect("the recording has such a record")
    }

    /// Replays it; `--format json --summary`.
    pub(super) fn play(&self) -> Played {
        Played::of(self.file().path(), &[])
    }

    /// As a file.
    pub(super) fn file(&self) -> NamedTempFile {
        assert!(!self.has_answers, "answers would get out of place");
        let mut file = NamedTempFile::new().expect("a temporary file");
        for line in &self.head {
            writeln!(file, "{line}").expect("writable");
        }
        for Record(bytes) in &self.records {
            writeln!(file, "{{\"record\":\"{}\"}}", hex::encode(bytes)).expect("writable");
        }
        file
    }
}

/// The lines of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Played {
    /// About sockets.
    pub(super) lines: Vec<Value>,
    /// About losses.
    pub(super) losses: Vec<Value>,
    pub(super) summary: Value,
}

impl Played {
    /// Replays a file with `--format json --summary` and these arguments.
    pub(super) fn of(file: &Path, args: &[&str]) -> Self {
        let text = replay(file, &[&["--format", "json", "--summary"], args].concat());
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let summary = lines.pop().expect("a last line");
        assert_eq!(summary["event"], "summary", "totals come last");
        let (losses, lines) = lines.into_iter().partition(|line| line["event"] == "loss");
        Self { lines, losses, summary }
    }

    /// Replays a recording of `data/`.
    pub(super) fn named(name: &str, args: &[&str]) -> Self {
        Self::of(&data(&format!("{name}.jsonl")), args)
    }

    /// `FROM -> TO` of every change.
    pub(super) fn changes(&self) -> Vec<String> {
        let word = |value: &Value| value.as_str().expect("a state").to_owned();
        let changes = self.lines.iter().filter(|line| line["event"] == "state");
        changes.map(|line| format!("{} -> {}", word(&line["from"]), word(&line["to"]))).collect()
    }
}
