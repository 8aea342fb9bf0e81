//! What every kind of record can do: become an event.

use tcpwatch_common::Record;

use super::{ResetReasons, Symbols};

/// Words for the kernel's numbers in records.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Functions.
    pub symbols: Symbols,
    /// Reasons for resets.
    pub reset_reasons: ResetReasons,
}

/// A record that becomes an event.
pub(crate) trait Decode: Record {
    /// Which event.
    type Event;

    /// The event; `names` has the words for the numbers in the record.
    fn decode(&self, names: &Names) -> Result<Self::Event, DecodeError>;
}

/// A record that cannot be decoded. It is counted and skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The length fits no record of this kind.
    #[error("a record of kind {kind} is {bytes} bytes long")]
    Length {
        /// The tag.
        kind: u8,
        /// The length.
        bytes: usize,
    },
    /// The tag is not known.
    #[error("a record has the unknown kind {kind}")]
    Kind {
        /// The tag.
        kind: u8,
    },
    /// It belongs to no network namespace, or to no socket.
    #[error("a record of kind {kind} names no {what}")]
    Nobody {
        /// The tag.
        kind: u8,
        /// What it does not name.
        what: &'static str,
    },
    /// A field holds a number that is not known.
    #[error("a record of kind {kind} holds the unknown value {value}")]
    Value {
        /// The tag.
        kind: u8,
        /// The number.
        value: u8,
    },
}
