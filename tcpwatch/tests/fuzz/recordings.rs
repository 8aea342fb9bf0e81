//! Corrupted recordings.

use std::{
    io::{BufReader, Read},
    sync::LazyLock,
};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;
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
    "{\"waiter\":null}\n",
    "{\"others\":{\"count\":0}}\n",
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
        which in 0..GOOD.len(),
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
        which in 0..GOOD.len(),
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

/// Text that is unexpected in a name: what JSON has to escape, control characters of terminals, text that looks like a
/// part of a line.
const HOSTILE: &[&str] = &[
    "\u{0}",
    "\n{\"schema\":1}\n",
    "\u{1b}[2J",
    "\u{1b}]0;title\u{7}",
    "\u{9b}31m",
    "\"",
    "\\",
    "\u{7f}",
    "\u{202e}",
    "\u{2028}",
    "\u{e9}",
    "\u{10ffff}",
    "",
];

/// Puts hostile text into every string below this value that `chosen` selects.
fn spoil_text(value: &mut Value, chosen: &mut impl FnMut() -> Option<&'static str>) {
    match value {
        Value::String(text) => {
            if let Some(hostile) = chosen() {
                let half = text.len() / 2;
                if text.is_char_boundary(half) {
                    text.insert_str(half, hostile);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| spoil_text(item, chosen)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| spoil_text(member, chosen));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The names of processes and the reasons in a recording, and nothing else: refused parts are not shown.
fn names(line: &mut Value) -> Vec<&mut Value> {
    let mut names = Vec::new();
    let Value::Object(members) = line else { return names };
    for (key, member) in members {
        match key.as_str() {
            "reset_reasons" | "comm" => names.push(member),
            _ => names.extend(self::names(member)),
        }
    }
    names
}

/// Puts hostile bytes over the names of processes in a record.
fn spoil_comm(record: &mut Value, hostile: &str) {
    let Some(digits) = record.get("record").and_then(Value::as_str) else { return };
    let mut bytes = hex::decode(digits).expect("hexadecimal");
    for name in [b"client\0".as_slice(), b"server\0"] {
        if let Some(at) = bytes.windows(name.len()).position(|window| window == name) {
            let length = hostile.len().min(15);
            bytes[at..at + length].copy_from_slice(&hostile.as_bytes()[..length]);
        }
    }
    record["record"] = Value::from(hex::encode(bytes));
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn hostile_names_are_shown_and_no_terminal_obeys_them(
        which in 0..GOOD.len(),
        words in vec(select(HOSTILE), 1..5),
        everywhere: bool,
    ) {
        let text = String::from_utf8(GOOD[which].1.clone()).expect("text");
        let mut next = words.iter().copied().cycle();
        let mut spoiled = String::new();
        for line in text.lines() {
            let mut line: Value = serde_json::from_str(line).expect("a line of JSON");
            let mut chosen = || next.next();
            if everywhere && line.get("record").is_none() {
                spoil_text(&mut line, &mut chosen);
            } else {
                for name in names(&mut line) {
                    spoil_text(name, &mut chosen);
                }
                spoil_comm(&mut line, next.next().expect("it goes round"));
            }
            spoiled.push_str(&line.to_string());
            spoiled.push('\n');
        }
        match play_all(spoiled.as_bytes()).and_then(|played| played.summary) {
            Ok(summary) => prop_assert!(summary.received > 0),
            Err(words) => prop_assert!(everywhere && words.contains("recording"), "{words}"),
        }
    }
}

/// Bytes without end, and the number of bytes that were read.
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
