//! Short text with room behind it, so that it is appended by a copy whose length is known when tcpwatch is
//! built: a few instructions, where a copy of any length is a call. What is too much is cut off again.

/// At most `ROOM` bytes of text.
#[derive(Clone, Copy)]
pub struct Padded<const ROOM: usize> {
    pub(super) text: [u8; ROOM],
    pub(super) length: usize,
}

impl<const ROOM: usize> Padded<ROOM> {
    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.length;
        out.extend_from_slice(&self.text);
        out.truncate(end);
    }
}
