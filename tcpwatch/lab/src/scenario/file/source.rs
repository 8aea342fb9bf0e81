//! A scenario's file, and its errors: line, key, and what to do.

use std::{fmt, ops::Range};

/// A file: its name for error messages, and its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
}

/// Why a scenario's file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError(Box<ErrorDetails>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct ErrorDetails {
    file: String,
    line: usize,
    /// The line's text, and the range of its characters to mark.
    shown: String,
    marked: Range<usize>,
    key: String,
    problem: String,
    fix: String,
}

impl Source<'_> {
    /// An error at some bytes of the text. An empty key is not shown.
    pub(super) fn error(
        &self,
        span: Range<usize>,
        key: &str,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> FileError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.split(['\n', '\r']).next().unwrap_or_default();
        let characters = |from: usize, to: usize| {
            self.text.get(from..to.max(from)).unwrap_or_default().chars().count()
        };
        let first = characters(start, span.start);
        let end = span.end.min(start + line.len());
        let marked = first..first + characters(span.start, end).max(1);
        let shown = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        FileError(Box::new(ErrorDetails {
            file: self.name.to_owned(),
            line: self.line(span.start),
            shown,
            marked,
            key: key.to_owned(),
            problem: problem.into(),
            fix: fix.into(),
        }))
    }

    /// The line of a byte, from 1.
    pub(super) fn line(&self, byte: usize) -> usize {
        let before = self.text.get(..byte).unwrap_or(self.text);
        1 + before.bytes().filter(|byte| *byte == b'\n').count()
    }
}

impl FileError {
    /// Its line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.0.line
    }
}

impl std::error::Error for FileError {}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorDetails { file, line, shown, marked, key, problem, fix } = &*self.0;
        let key = if key.is_empty() { String::new() } else { format!("`{key}`: ") };
        let (before, length) = (" ".repeat(marked.start), marked.len());
        write!(
            f,
            "{file}, line {line}: {key}{problem}\n{line:>5} | {shown}\n      | {before}{}\n{fix}",
            "^".repeat(length)
        )
    }
}
