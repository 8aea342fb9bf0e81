//! Bytes become a record of the border: the only `read_unaligned`s.

#![expect(unsafe_code, reason = "the one place where bytes become a type")]

use tcpwatch_common::{Record, RecordHead};

use super::DecodeError;

/// The head of a record of any kind.
pub(super) fn head(bytes: &[u8]) -> Result<RecordHead, DecodeError> {
    if bytes.len() < size_of::<RecordHead>() {
        return Err(DecodeError::Length { kind: 0, bytes: bytes.len() });
    }
    // SAFETY: the length was just checked; the head is `repr(C)` without padding, made of integers only, so
    // that any bytes are a value; read_unaligned asks nothing of the address.
    Ok(unsafe { bytes.as_ptr().cast::<RecordHead>().read_unaligned() })
}

/// A whole record, if it is as long as `R`.
pub(super) fn whole<R: Record>(bytes: &[u8]) -> Option<R> {
    if bytes.len() != size_of::<R>() {
        return None;
    }
    // SAFETY: the length was just checked, and any bytes are a value of a `Record`; read_unaligned asks
    // nothing of the address.
    Some(unsafe { bytes.as_ptr().cast::<R>().read_unaligned() })
}
