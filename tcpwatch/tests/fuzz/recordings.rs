//! Recordings that are none, or no longer.

use std::{
    io::{BufReader, Read},
    sync::LazyLock,
};

use proptest::{collection::vec, prelude::*, sample::select};
use tcpwatch_kernel::source::recording::Recording;

use super::{
    cases::cases,
    players::play_all,
    spoiled::{recordings, spoil, with_words},
};

static GOOD: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(recordings);

const WORDS: &[&str] = &[
    "18446744073709551615",
    "-1",
    "0",
    "1e999",
    "null",
    "\"\"",
    "\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\\u0000",
    "\\ud800",
    "\"rate\":0",
    "\"nanos\":4294967295",
    "{\"answer\":null}\n",
    "{\"record\":\"00\"}\n",
];

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn any_bytes_are_played_or_refused_in_words(bytes in vec(any::<u8>(), 0..400)) {
        if let Err(words) = play_all(&bytes) {
            prop_assert!(words.contains("recording"), "{words}");
        }
    }

    #[test]
    fn a_spoiled_recording_is_played_up_to_what_is_wrong(
        which in 0..12_usize,
        damages in with_words(WORDS),
    ) {
        let mut bytes = GOOD[which].1.clone();
        spoil(&mut bytes, &damages);
        match play_all(&bytes).and_then(|played| played.summary) {
            Ok(summary) => prop_assert!(summary.received <= summary.attempted),
            Err(words) => prop_assert!(words.contains("recording"), "{words}"),
        }
    }

    #[test]
    fn numbers_in_the_first_line_and_of_known_sockets_may_be_any(
        which in 0..12_usize,
        places in vec((any::<proptest::sample::Index>(), select(vec![
            "0", "1", "255", "4294967295", "999999999", "9223372036854775807", "18446744073709551615",
            "-9223372036854775808",
        ])), 1..6),
    ) {
        let text = String::from_utf8(GOOD[which].1.clone()).expect("text");
        let mut parts: Vec<String> = text
            .split_inclusive(|c: char| ":,[]{}".contains(c))
            .map(str::to_owned)
            .collect();
        let is_number = |part: &String| part.starts_with(|c: char| c.is_ascii_digit());
        let numbers: Vec<usize> =
            (0..parts.len()).filter(|at| is_number(&parts[*at])).collect();
        for (place, number) in places {
            let part = &mut parts[numbers[place.index(numbers.len())]];
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
            *part = format!("{number}{rest}");
        }
        match play_all(parts.concat().as_bytes()).and_then(|played| played.summary) {
            Ok(summary) => prop_assert!(summary.received <= summary.attempted),
            Err(words) => prop_assert!(words.contains("recording"), "{words}"),
        }
    }
}

/// Bytes without end, and how many of them were taken.
struct Endless<'t> {
    taken: &'t mut usize,
}

impl Read for Endless<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        *self.taken += into.len();
        assert!(*self.taken < 64 << 20, "a line without end is not read for ever");
        into.fill(b'[');
        Ok(into.len())
    }
}

#[test]
fn a_line_without_end_is_refused_before_memory_runs_out() {
    let mut taken = 0;
    let first = Recording::open(BufReader::new(Endless { taken: &mut taken }));
    let words = first.err().expect("it is refused").to_string();
    assert!(words.contains("line 1 of the recording"), "{words}");

    let (head, _) =
        GOOD[0].1.split_at(GOOD[0].1.iter().position(|b| *b == b'\n').expect("a line") + 1);
    let mut taken = 0;
    let rest = BufReader::new(head.chain(Endless { taken: &mut taken }));
    let words = Recording::open(rest).err().expect("it is refused").to_string();
    assert!(words.contains("line 2 of the recording"), "{words}");
}
