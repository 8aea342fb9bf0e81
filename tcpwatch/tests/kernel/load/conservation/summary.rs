//! The totals that tcpwatch prints at its end, in JSON or in text.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The totals.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Summary {
    /// Lines about connections.
    pub(super) changes: u64,
    pub(super) inferred: u64,
    /// In JSON only.
    pub(super) attempted: Option<u64>,
    /// In JSON only.
    pub(super) received: Option<u64>,
    pub(super) lost: BTreeMap<String, u64>,
    pub(super) open: u64,
}

impl Summary {
    /// `None` if it is not JSON.
    pub(super) fn json(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// `9 changes (1 inferred) in 3 s · 2 lost, 1 missed · 4 connections seen, 0 open`, and a line for
    /// each cause: `  2 ring_full: ...`.
    pub(super) fn text(said: &str) -> Self {
        let mut lines = said.lines().skip_while(|line| !line.contains(" connections seen"));
        let first = lines.next().unwrap_or_else(|| panic!("no summary: {said}"));
        let before = |word: &str| {
            let part = first.split(word).next().unwrap();
            part.rsplit([' ', '(']).next().unwrap().parse().unwrap()
        };
        let cause = |line: &str| {
            let (count, word) = line.trim().split_once(' ')?;
            Some((word.split_once(':')?.0.to_owned(), count.parse().ok()?))
        };
        Self {
            changes: before(" changes"),
            inferred: if first.contains(" inferred)") { before(" inferred)") } else { 0 },
            attempted: None,
            received: None,
            lost: lines.filter_map(cause).collect(),
            open: before(" open"),
        }
    }

    /// Losses by one cause.
    pub(super) fn lost(&self, cause: &str) -> u64 {
        self.lost.get(cause).copied().unwrap_or_default()
    }
}
