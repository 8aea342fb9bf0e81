//! Runs the binary's `lab` and captures its status, stdout and stderr.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;
use tempfile::{Builder, NamedTempFile};

use crate::{carried, judged};

/// The results of a run.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output();
        let Output { status, stdout, stderr } =
            output.unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
        let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
        let answer = Self { status: status.code(), stdout: text(stdout), stderr: text(stderr) };
        assert!(!answer.stderr.contains("panicked"), "{}", answer.stderr);
        answer
    }

    /// It ended with this status, and stderr contains all these words.
    pub(crate) fn refuses(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no \"{word}\" in\n{}", self.stderr);
        }
    }
}

/// `tcpwatch lab` with these arguments.
pub(crate) fn lab(args: &[&str]) -> Command {
    let mut command = Command::new(carried::program());
    command.arg("lab").args(args);
    command
}

/// The results of all of them, which run side by side.
pub(crate) fn answers<const N: usize>(commands: [Command; N]) -> [Answer; N] {
    thread::scope(|scope| {
        let threads = commands.map(|mut command| scope.spawn(move || Answer::of(&mut command)));
        threads.map(|thread| thread.join().unwrap())
    })
}

/// A scenario of the test's own.
pub(crate) fn file(text: &str) -> NamedTempFile {
    let mut file = Builder::new().prefix("mine-").suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Its path as an argument.
pub(crate) fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

/// A file of `tests/data/lab`.
pub(crate) fn data(name: &str) -> PathBuf {
    carried::file("tests/data/lab").join(name)
}

/// Runs, and reads the report, too. A run that tcpwatch repeated had a reason.
pub(crate) fn reported(args: &[&str]) -> (Answer, Value) {
    let (answer, report, _) = judged::made(args);
    (answer, report)
}

/// The same, whatever was repeated.
pub(crate) fn written(args: &[&str]) -> (Answer, Value) {
    let report = Builder::new().suffix(".json").tempfile().unwrap();
    let mut command = lab(&["run"]);
    let answer = Answer::of(command.args(args).arg("--report").arg(report.path()));
    let text = std::fs::read_to_string(report.path()).unwrap();
    let report = serde_json::from_str(&text);
    let report = report.unwrap_or_else(|error| panic!("no report: {error}: {answer:?}"));
    (answer, report)
}

/// The list under this key.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is a list: {value}"))
}

/// The text under this key.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is text: {value}"))
}
