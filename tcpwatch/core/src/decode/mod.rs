//! Bytes of the ring become events: length checks, one copy, names for numbers. Which records there are
//! is in the table [`tcpwatch_common::records!`].

pub(crate) mod address;
mod decoded;
mod listener_queue;
mod mini_socket;
mod owner;
mod record;
mod reset;
mod reset_reasons;
mod retransmit;
mod segment;
mod state_change;
mod symbols;

use tcpwatch_common::RecordKind;

use crate::event::Event;
pub(crate) use decoded::Decode;
pub use decoded::{DecodeError, Names};
pub use reset_reasons::ResetReasons;
pub use symbols::{Function, Symbols};

/// Decodes one record; `names` has the words for the numbers in it.
///
/// # Errors
/// If its length, its tag or one of its numbers is not known.
pub fn decode(bytes: &[u8], names: &Names) -> Result<Event, DecodeError> {
    let head = record::head(bytes)?;
    let kind = RecordKind::from_tag(head.kind).ok_or(DecodeError::Kind { kind: head.kind })?;
    let event = of_kind(kind, bytes, names)?;
    if head.netns == 0 {
        return Err(DecodeError::Nobody { kind: head.kind, what: "network namespace" });
    }
    Ok(event)
}

macro_rules! dispatch {
    ($($(#[$what:meta])* $record:ident = $tag:literal,)*) => {
        fn of_kind(kind: RecordKind, bytes: &[u8], names: &Names) -> Result<Event, DecodeError> {
            match kind {
                $(RecordKind::$record => {
                    of_either::<tcpwatch_common::$record<1>, tcpwatch_common::$record<4>, _>(bytes, names)
                })*
            }
        }
    };
}
tcpwatch_common::records!(dispatch);

/// The event of a record with addresses of either family: its length says which.
fn of_either<V4, V6, E>(bytes: &[u8], names: &Names) -> Result<Event, DecodeError>
where
    V4: Decode<Event = E>,
    V6: Decode<Event = E>,
    E: Into<Event>,
{
    if let Some(record) = record::whole::<V4>(bytes) {
        return record.decode(names).map(Into::into);
    }
    if let Some(record) = record::whole::<V6>(bytes) {
        return record.decode(names).map(Into::into);
    }
    Err(DecodeError::Length { kind: V4::KIND.tag(), bytes: bytes.len() })
}

#[cfg(test)]
mod tests;
