//! Bytes of the ring become events: length checks, one copy, names for numbers.

mod record;
mod state_change;

use tcpwatch_common::RecordKind;

use crate::event::Event;

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
}

/// Decodes one record.
///
/// # Errors
/// If its length or tag is not known.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let head = record::head(bytes)?;
    if head.kind == RecordKind::STATE_CHANGE {
        return state_change::decode(bytes, &head).map(Event::State);
    }
    Err(DecodeError::Kind { kind: head.kind })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ignored: Result<Event, DecodeError> = decode(&bytes);
        }

        #[test]
        fn any_bytes_with_a_known_tag_decode_or_are_refused(
            mut bytes in proptest::collection::vec(any::<u8>(), 64..=88),
        ) {
            bytes[20] = RecordKind::STATE_CHANGE;
            let _ignored: Result<Event, DecodeError> = decode(&bytes);
        }
    }

    #[test]
    fn an_unknown_tag_is_refused_by_name() {
        let mut bytes = [0; 64];
        bytes[20] = 99;
        assert_eq!(decode(&bytes), Err(DecodeError::Kind { kind: 99 }));
    }
}
