//! Corrupts good bytes.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*, sample::Index};

/// One kind of corruption.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    /// A bit is flipped.
    Flip(Index, u8),
    /// A byte becomes another.
    Set(Index, u8),
    /// Eight bytes become a number at the limit of a type.
    Edge(Index, u64),
    /// Everything from here on is missing.
    Cut(Index),
    /// A part is missing.
    Remove(Index, usize),
    /// A part is repeated.
    Repeat(Index, usize),
    /// Something is inserted.
    Insert(Index, Vec<u8>),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    let edge = prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(1 << 63), any::<u64>()];
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        2 => (at(), edge).prop_map(|(at, number)| Damage::Edge(at, number)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), 1..64_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        1 => (at(), 1..64_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        2 => (at(), vec(any::<u8>(), 1..16)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ]
}

/// Several of them.
pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    vec(damage(), 0..6)
}

/// Inserts words of the input's own language, which random bytes would hardly ever contain.
pub(crate) fn with_words(words: &'static [&'static str]) -> impl Strategy<Value = Vec<Damage>> {
    let word = (any::<Index>(), proptest::sample::select(words))
        .prop_map(|(at, word)| Damage::Insert(at, word.as_bytes().to_vec()));
    vec(prop_oneof![damage(), word], 0..6)
}

pub(crate) fn spoil(bytes: &mut Vec<u8>, damages: &[Damage]) {
    for damage in damages.iter().cloned() {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        let within = |from: usize, many: usize| from..length.min(from + many);
        match damage {
            Damage::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Damage::Set(at, byte) => bytes[at.index(length)] = byte,
            Damage::Edge(at, number) => {
                let place = within(at.index(length), 8);
                let part = place.len();
                bytes[place].copy_from_slice(&number.to_ne_bytes()[..part]);
            }
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Remove(at, many) => drop(bytes.drain(within(at.index(length), many))),
            Damage::Repeat(at, many) => bytes.extend_from_within(within(at.index(length), many)),
            Damage::Insert(at, more) => {
                let at = at.index(length);
                drop(bytes.splice(at..at, more));
            }
        }
    }
}

/// Every recording of `tests/data`, by name.
pub(crate) fn recordings() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut found: Vec<_> = fs::read_dir(folder)
        .expect("the data")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a recording")))
        .collect();
    found.sort();
    assert!(found.len() > 10, "{} recordings", found.len());
    found
}
