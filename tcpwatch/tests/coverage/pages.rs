//! Parses pages of ftrace's ring buffer, as read from `trace_pipe_raw` (`Documentation/trace/ring-buffer-map` and
//! `include/linux/ring_buffer.h`). Pure.

/// Bits of a page's second word that hold its length.
const LENGTH: u64 = (1 << 27) - 1;
/// Bytes before the first event: the time and the length.
const HEAD: usize = 16;

/// Kinds of entries that are not events: padding, a time extension, an absolute time.
const PADDING: u32 = 0x1d;
const TIME_EXTEND: u32 = 0x1e;
const TIME_STAMP: u32 = 0x1f;

/// Time and bytes of every event of a page; the bytes begin with the event's number.
pub(super) fn events(page: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    let Some((mut time, commit)) = long(page, 0).zip(long(page, 8)) else { return found };
    let end = (HEAD + usize::try_from(commit & LENGTH).unwrap()).min(page.len());
    let mut at = HEAD;
    while let Some(head) = word(page, at).filter(|_| at < end) {
        let (kind, delta) = (head & 31, u64::from(head >> 5));
        let next = word(page, at + 4);
        let length = |word: Option<u32>| usize::try_from(word.unwrap_or(u32::MAX)).unwrap();
        match kind {
            // The rest of the page, or a discarded event.
            PADDING if delta == 0 => break,
            PADDING => at = at.saturating_add(4 + length(next)),
            TIME_EXTEND => {
                time += (u64::from(next.unwrap_or_default()) << 27) + delta;
                at += 8;
            }
            TIME_STAMP => {
                time = (u64::from(next.unwrap_or_default()) << 27) + delta;
                at += 8;
            }
            // The length follows, including its own four bytes.
            0 => {
                time += delta;
                let whole = at.saturating_add(4 + length(next));
                found.extend(page.get(at + 8..whole).map(|bytes| (time, bytes)));
                at = whole;
            }
            words => {
                time += delta;
                let whole = at + 4 + 4 * length(Some(words));
                found.extend(page.get(at + 4..whole).map(|bytes| (time, bytes)));
                at = whole;
            }
        }
    }
    found
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(words: &[u32]) -> Vec<u8> {
        let length = u64::try_from(4 * words.len()).unwrap();
        let head = [1000_u64, length].map(u64::to_ne_bytes).concat();
        let mut page = [head, words.iter().flat_map(|word| word.to_ne_bytes()).collect()].concat();
        page.resize(4096, 0xff);
        page
    }

    #[test]
    fn events_have_their_times_and_bytes() {
        let page = page(&[
            5 << 5 | 1,
            7, // 5 ns later, one word
            1 << 5 | PADDING,
            4, // taken back
            3 << 5 | TIME_EXTEND,
            2, // 2 << 27 and 3 ns later
            1 << 5,
            12,
            8,
            9, // 1 ns later, two words
        ]);
        let two = [8_u32, 9].map(u32::to_ne_bytes).concat();
        let later = 1005 + (2 << 27) + 3 + 1;
        assert_eq!(events(&page), [(1005, &7_u32.to_ne_bytes()[..]), (later, &two[..])]);
    }

    #[test]
    fn a_page_that_is_cut_has_the_events_before() {
        let page = page(&[5 << 5 | 1, 7, 5 << 5 | 0x1c]);
        assert_eq!(events(&page[..HEAD + 12]).len(), 1);
        assert_eq!(events(&page[..10]), []);
    }
}
