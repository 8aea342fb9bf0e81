//! Why something did not reach the output, and how much of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why something did not reach the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The ring was full: the reader was too slow or stopped.
    RingFull,
    /// The output was too slow: what waited for it was passed over.
    OutputSlow,
    /// The kernel skipped a program because an interrupt hit while it ran (`recursion_misses`).
    Recursion,
    /// The kernel side could not make sense of a socket.
    Unreadable,
    /// A record had a length or a tag that this version does not know.
    Undecodable,
    /// The table of sockets was full: changes are shown, but without durations and owners.
    TableFull,
    /// Too many connection attempts waited for their local port to become known.
    Undecided,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::RingFull,
        Self::OutputSlow,
        Self::Recursion,
        Self::Unreadable,
        Self::Undecodable,
        Self::TableFull,
        Self::Undecided,
    ];

    /// Is it counted by the kernel and its side of tcpwatch?
    #[must_use]
    pub const fn is_of_kernel_side(self) -> bool {
        !matches!(self, Self::OutputSlow | Self::Undecodable | Self::TableFull)
    }

    /// The word used in output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::OutputSlow => "output_slow",
            Self::Recursion => "recursion",
            Self::Unreadable => "unreadable",
            Self::Undecodable => "undecodable",
            Self::TableFull => "table_full",
            Self::Undecided => "undecided",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::RingFull => {
                "the ring was full: the reader got no processor in time, or --buffer is too small"
            }
            Self::OutputSlow => "output is slow: records waited for it until there was no room",
            Self::Recursion => "the kernel skipped the program inside an interrupt",
            Self::Unreadable => "a socket could not be read",
            Self::Undecodable => "a record could not be decoded",
            Self::TableFull => "the table of sockets is full: no durations, no owners",
            Self::Undecided => "too many connects waited for their local port to be known",
        }
    }
}

/// Totals since the kernel side was attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LossTotals {
    /// Records the kernel side wanted to emit.
    pub attempted: u64,
    /// Losses by cause; causes without a loss are absent.
    pub lost: BTreeMap<Cause, u64>,
}
