//! Widths of the columns. They begin narrow and grow, never shrink, when a longer address comes.

use tcpwatch_core::event::Endpoints;

use super::cell;

/// `127.0.0.1:40000`; most IPv4 endpoints are a little longer.
const FIRST_WIDTH: usize = 15;
/// Columns between the endpoints and the last cell: change, duration, spaces.
const MIDDLE: usize = CHANGE + 1 + 7 + 2;
/// Columns of the cell that says what happened: two states and an arrow.
pub(super) const CHANGE: usize = 25;

/// Of a line about a whole connection: how long it lasted.
pub(super) const LASTED: usize = 7;
/// How long its handshake took.
pub(super) const HANDSHAKE: usize = 9;
/// Bytes sent, and bytes received.
pub(super) const BYTES: usize = 8;
/// Retransmissions.
pub(super) const RETRIES: usize = 7;
/// Which end closed it.
pub(super) const CLOSED_BY: usize = 9;
/// Whose it is.
pub(super) const OWNER: usize = 28;

/// What the lines tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Titles {
    /// Changes, retries, resets.
    Changes,
    /// Whole connections.
    Lives,
}

/// Widths of the two endpoints.
#[derive(Debug)]
pub(super) struct Columns {
    local: usize,
    remote: usize,
    local_text: Vec<u8>,
    remote_text: Vec<u8>,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            local: FIRST_WIDTH,
            remote: FIRST_WIDTH,
            local_text: Vec::new(),
            remote_text: Vec::new(),
        }
    }
}

impl Columns {
    /// Takes in the endpoints of the next line; true if a column had to grow.
    pub(super) fn fit(&mut self, ends: &Endpoints) -> bool {
        self.local_text.clear();
        self.remote_text.clear();
        cell::endpoint(&ends.local, &mut self.local_text);
        cell::endpoint(&ends.remote, &mut self.remote_text);
        let (local, remote) = (self.local_text.len(), self.remote_text.len());
        let grown = local > self.local || remote > self.remote;
        self.local = self.local.max(local);
        self.remote = self.remote.max(remote);
        grown
    }

    /// Appends the endpoints taken in last.
    pub(super) fn ends(&self, arrow: &str, out: &mut Vec<u8>) {
        out.push(b' ');
        let start = out.len();
        out.extend_from_slice(&self.local_text);
        cell::pad(start, self.local, out);
        out.extend_from_slice(arrow.as_bytes());
        let start = out.len();
        out.extend_from_slice(&self.remote_text);
        cell::pad(start, self.remote, out);
        out.push(b' ');
    }

    /// Where the last cell begins.
    pub(super) const fn last_cell(&self) -> usize {
        "23:59:59.9999 ".len() + self.local + 3 + self.remote + 1 + MIDDLE
    }

    /// The titles.
    pub(super) fn header(&self, titles: Titles) -> String {
        let (local, remote) = (self.local, self.remote);
        match titles {
            Titles::Changes => format!(
                "{:<13} {:<local$}   {:<remote$} {:<CHANGE$} {:>7}  PROCESS",
                "TIME", "LOCAL", "REMOTE", "CHANGE", "AFTER"
            ),
            Titles::Lives => format!(
                "{:<13} {:<local$}   {:<remote$} {:>LASTED$} {:>HANDSHAKE$} {:>BYTES$} {:>BYTES$} \
                 {:>RETRIES$} {:<CLOSED_BY$} {:<OWNER$} END",
                "OPENED",
                "LOCAL",
                "REMOTE",
                "LASTED",
                "HANDSHAKE",
                "SENT",
                "RECEIVED",
                "RETRIES",
                "CLOSED BY",
                "PROCESS"
            ),
        }
    }
}
