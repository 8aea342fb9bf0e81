//! Bytes of the ring become events: length checks, one copy, names for numbers.

mod address;
mod listener_queue;
mod mini_socket;
mod owner;
mod record;
mod reset;
mod reset_reasons;
mod retransmit;
mod segment;
mod socket_error;
mod state_change;
mod symbols;

use tcpwatch_common::RecordKind;

use crate::event::Event;
pub use reset_reasons::ResetReasons;
pub use symbols::{Function, Symbols};

/// Words for the kernel's numbers in records.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Functions.
    pub symbols: Symbols,
    /// Reasons for resets.
    pub reset_reasons: ResetReasons,
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

/// Decodes one record; `names` has the words for the numbers in it.
///
/// # Errors
/// If its length, its tag or one of its numbers is not known.
pub fn decode(bytes: &[u8], names: &Names) -> Result<Event, DecodeError> {
    let head = record::head(bytes)?;
    let event = match RecordKind::from_tag(head.kind) {
        Some(RecordKind::StateChange) => state_change::decode(bytes, &head).map(Event::State),
        Some(RecordKind::MiniSocket) => mini_socket::decode(bytes, &head).map(Event::Mini),
        Some(RecordKind::MiniSocketCancel) => {
            mini_socket::decode_cancel(bytes, &head, &names.symbols).map(Event::Mini)
        }
        Some(RecordKind::StateChangeLast) => {
            state_change::decode_last(bytes, &head).map(Event::State)
        }
        Some(RecordKind::Retransmit) => retransmit::decode(bytes, &head).map(Event::Retransmit),
        Some(RecordKind::TimedRetransmit) => {
            retransmit::decode_timed(bytes, &head).map(Event::Retransmit)
        }
        Some(RecordKind::Reset) => {
            reset::decode(bytes, &head, &names.reset_reasons).map(Event::Reset)
        }
        Some(RecordKind::SocketError) => socket_error::decode(bytes, &head).map(Event::Error),
        Some(RecordKind::Segment) => segment::decode(bytes, &head).map(Event::Segment),
        Some(RecordKind::Owner) => owner::decode(bytes, &head).map(Event::Owner),
        Some(RecordKind::RequestStart) => mini_socket::decode_start(bytes, &head).map(Event::Mini),
        Some(RecordKind::ListenerQueue) => listener_queue::decode(bytes, &head).map(Event::Queue),
        None => Err(DecodeError::Kind { kind: head.kind }),
    }?;
    let nobody = |what| DecodeError::Nobody { kind: head.kind, what };
    // A full socket is known by its cookie, and without one would be taken for another.
    if matches!(event, Event::State(_) | Event::Error(_) | Event::Owner(_)) && head.cookie == 0 {
        return Err(nobody("socket"));
    }
    if head.netns == 0 {
        return Err(nobody("network namespace"));
    }
    Ok(event)
}

#[cfg(test)]
mod lengths;
#[cfg(test)]
mod tests;
