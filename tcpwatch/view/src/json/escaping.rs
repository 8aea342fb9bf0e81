//! Which text is escaped, and how.

use std::io::Write as _;

/// Is there nothing to escape? Eight bytes are looked at in one step.
#[inline]
pub(super) fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    words.iter().chain([&last]).all(|word| has_only_plain(u64::from_ne_bytes(*word)))
}

/// Of eight bytes, is each printable ASCII, and neither a quotation mark nor a backslash?
const fn has_only_plain(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    // The highest bit of a byte is set where the byte is less than that of `than`, of bytes below 128.
    const fn less(word: u64, than: u64) -> u64 {
        word.wrapping_sub(than) & !word & HIGH
    }
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let quotes = less(word ^ all(b'"'), ONES);
    let backslashes = less(word ^ all(b'\\'), ONES);
    let deletes = less(word ^ all(0x7f), ONES);
    (word & HIGH) | less(word, all(b' ')) | quotes | backslashes | deletes == 0
}

/// Appends text as JSON has it, in quotation marks, and in it nothing that a terminal obeys: beside the
/// control characters of ASCII, which JSON has to escape, those after it and those that turn the direction
/// of the text.
pub(super) fn escape(text: &str, out: &mut Vec<u8>) {
    let Ok(quoted) = serde_json::to_string(text) else {
        out.extend_from_slice(b"null");
        return;
    };
    for part in quoted.split_inclusive(is_obeyed) {
        let obeyed = part.chars().next_back().filter(|last| is_obeyed(*last));
        let kept = part.len() - obeyed.map_or(0, char::len_utf8);
        out.extend_from_slice(part.as_bytes().get(..kept).unwrap_or_default());
        if let Some(obeyed) = obeyed {
            // Writing to a vector cannot fail.
            let _written = write!(out, "\\u{:04x}", u32::from(obeyed)).is_ok();
        }
    }
}

/// Of what JSON lets stand: `\u{7f}` to `\u{9f}`, and the embeddings, overrides and isolates of Unicode's
/// bidirectional algorithm. All are in its first plane, as `\uXXXX` has it.
const fn is_obeyed(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
