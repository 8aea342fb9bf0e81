//! Widths of the columns. They start wide enough for IPv4 and grow, never shrink, when a longer
//! address comes.

use std::fmt::Write as _;

use crate::event::Endpoints;

/// `255.255.255.255:65535`
const IPV4_WIDTH: usize = 21;

/// Widths of the two endpoints.
#[derive(Debug)]
pub(super) struct Columns {
    local: usize,
    remote: usize,
    local_text: String,
    remote_text: String,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            local: IPV4_WIDTH,
            remote: IPV4_WIDTH,
            local_text: String::new(),
            remote_text: String::new(),
        }
    }
}

impl Columns {
    /// Takes in the endpoints of the next line; true if a column had to grow.
    pub(super) fn fit(&mut self, ends: &Endpoints) -> bool {
        self.local_text.clear();
        self.remote_text.clear();
        let written = write!(self.local_text, "{}", ends.local)
            .and_then(|()| write!(self.remote_text, "{}", ends.remote));
        let (local, remote) = (self.local_text.len(), self.remote_text.len());
        let grown = written.is_ok() && (local > self.local || remote > self.remote);
        self.local = self.local.max(local);
        self.remote = self.remote.max(remote);
        grown
    }

    /// Appends the endpoints taken in last.
    pub(super) fn ends(&self, arrow: char, line: &mut String) {
        let (local, remote) = (self.local, self.remote);
        let _written =
            write!(line, " {:<local$} {arrow} {:<remote$} ", self.local_text, self.remote_text)
                .is_ok();
    }

    /// Appends the titles.
    pub(super) fn header(&self, line: &mut String) {
        let (local, remote) = (self.local, self.remote);
        let _written = write!(
            line,
            "{:<13} {:<local$}   {:<remote$} {:<25} {:>7}  PROCESS",
            "TIME", "LOCAL", "REMOTE", "CHANGE", "AFTER"
        )
        .is_ok();
    }
}
