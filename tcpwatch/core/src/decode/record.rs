//! Bytes become a record of the border: the one `read_unaligned`.

#![expect(unsafe_code, reason = "the one place where bytes become a type")]

use tcpwatch_common::{
    ListenerQueue, MiniSocket, MiniSocketCancel, Owner, RecordHead, RequestStart, Reset,
    Retransmit, Segment, SocketError, StateChange, StateChangeLast, TimedRetransmit,
};

use super::DecodeError;

mod sealed {
    /// Types of which any bytes are a value.
    pub trait AnyBytes: Copy {}
}
use sealed::AnyBytes;

impl AnyBytes for RecordHead {}
impl<const WORDS: usize> AnyBytes for StateChange<WORDS> {}
impl<const WORDS: usize> AnyBytes for StateChangeLast<WORDS> {}
impl<const WORDS: usize> AnyBytes for MiniSocket<WORDS> {}
impl<const WORDS: usize> AnyBytes for MiniSocketCancel<WORDS> {}
impl<const WORDS: usize> AnyBytes for Retransmit<WORDS> {}
impl<const WORDS: usize> AnyBytes for TimedRetransmit<WORDS> {}
impl<const WORDS: usize> AnyBytes for Reset<WORDS> {}
impl<const WORDS: usize> AnyBytes for SocketError<WORDS> {}
impl<const WORDS: usize> AnyBytes for Segment<WORDS> {}
impl<const WORDS: usize> AnyBytes for Owner<WORDS> {}
impl<const WORDS: usize> AnyBytes for RequestStart<WORDS> {}
impl<const WORDS: usize> AnyBytes for ListenerQueue<WORDS> {}

/// The head of a record of any kind.
pub(super) fn head(bytes: &[u8]) -> Result<RecordHead, DecodeError> {
    prefix(bytes).ok_or(DecodeError::Length { kind: 0, bytes: bytes.len() })
}

/// A whole record, if it is as long as `R`.
pub(super) fn whole<R: AnyBytes>(bytes: &[u8]) -> Option<R> {
    if bytes.len() == size_of::<R>() { prefix(bytes) } else { None }
}

fn prefix<R: AnyBytes>(bytes: &[u8]) -> Option<R> {
    if bytes.len() < size_of::<R>() {
        return None;
    }
    // SAFETY: the length was just checked, and `R` is `repr(C)` without padding, made of integers
    // only, so that any bytes are a value; read_unaligned asks nothing of the address.
    Some(unsafe { bytes.as_ptr().cast::<R>().read_unaligned() })
}
