//! Records that the kernel would never send, one by one and through the whole pipeline.

use std::{fmt::Write as _, mem::offset_of, sync::LazyLock};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;
use tcpwatch_common::{MiniSocket, RecordHead, RecordKind, StateChange};
use tcpwatch_core::decode::{Names, decode};

use super::{
    cases::cases,
    players::play_all,
    spoiled::{Damage, damages, recordings, spoil},
};

/// The first line of a good recording, and all good records.
struct Good {
    heads: Vec<String>,
    records: Vec<Vec<u8>>,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let mut good = Good { heads: Vec::new(), records: Vec::new() };
    for (_, bytes) in recordings() {
        let text = String::from_utf8(bytes).expect("a recording is text");
        let (head, rest) = text.split_once('\n').expect("several lines");
        good.heads.push(head.to_owned());
        for line in rest.lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            if let Some(bytes) = line.get("record").and_then(Value::as_str) {
                good.records.push(hex::decode(bytes).expect("hexadecimal"));
            }
        }
    }
    good
});

/// Times that are close to each other, in any order, and those at both ends of the range.
fn moments() -> impl Strategy<Value = u64> {
    const STARTED: u64 = 4_864_455_678_569;
    prop_oneof![
        8 => (0..100_u64).prop_map(|step| STARTED + step * 700_000),
        2 => (0..100_u64).prop_map(|step| STARTED + step * 1_000_000_000),
        1 => select(vec![0, 1, u64::MAX, u64::MAX - 1, 1 << 63, 4_102_444_800_000_000_000]),
        1 => any::<u64>(),
    ]
}

/// A record with a known kind and length whose fields have few different values, so that records concern the same
/// sockets.
fn made_up() -> impl Strategy<Value = Vec<u8>> {
    let number = || {
        prop_oneof![
            6 => 0..13_u64,
            1 => Just(u64::MAX),
            1 => Just(1 << 31),
            1 => any::<u64>(),
        ]
    };
    let head = (moments(), 0..5_u64, 0..2_u32, any::<u16>(), (0..3_u16, 0..3_u16));
    let body = vec(number(), 27);
    (select(RecordKind::ALL), any::<bool>(), head, body, 0..8_u64).prop_map(
        |(kind, ipv6, (at, cookie, netns, flags, (local, remote)), body, state)| {
            let mut bytes: Vec<u8> = body.iter().flat_map(|number| number.to_ne_bytes()).collect();
            let mut set = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
            set(offset_of!(RecordHead, at_ns), &at.to_ne_bytes());
            set(offset_of!(RecordHead, cookie), &cookie.to_ne_bytes());
            set(offset_of!(RecordHead, netns), &netns.to_ne_bytes());
            set(offset_of!(RecordHead, kind), &[kind.tag(), if ipv6 { 6 } else { 4 }]);
            set(offset_of!(RecordHead, local_port), &local.to_ne_bytes());
            set(offset_of!(RecordHead, remote_port), &remote.to_ne_bytes());
            set(offset_of!(RecordHead, flags), &flags.to_ne_bytes());
            let small = |at: usize| u8::try_from(body[at] % 13).expect("small");
            match kind {
                RecordKind::MiniSocket
                | RecordKind::MiniSocketCancel
                | RecordKind::RequestStart => {
                    let event = offset_of!(MiniSocket<1>, event);
                    set(event, &[small(5) % 4, small(6) % 3, small(7)]);
                }
                RecordKind::StateChange | RecordKind::StateChangeLast => {
                    set(offset_of!(StateChange<1>, old), &[small(5), small(6)]);
                }
                RecordKind::Owner => set(offset_of!(RecordHead, flags), &[small(5), 0]),
                _ => {}
            }
            let length = kind.lengths()[usize::from(ipv6)];
            // Addresses come last: mostly the same.
            let addresses = if ipv6 { 32 } else { 8 };
            if state > 0
                && ![RecordKind::MiniSocketCancel, RecordKind::RequestStart].contains(&kind)
            {
                bytes[length - addresses..length].fill(1);
            }
            bytes.truncate(length);
            bytes
        },
    )
}

/// Arbitrary bytes, generated records, and records of real connections, some of them corrupted.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let real = (0..GOOD.records.len(), damages(), proptest::option::weighted(0.3, moments()))
        .prop_map(|(which, damages, at)| {
            let mut bytes = GOOD.records[which].clone();
            if let Some(at) = at {
                bytes[..8].copy_from_slice(&at.to_ne_bytes());
            }
            // Few of them, so that most can still be decoded.
            let damages: Vec<Damage> = damages.into_iter().take(1).collect();
            spoil(&mut bytes, &damages);
            bytes
        });
    prop_oneof![1 => vec(any::<u8>(), 0..256), 8 => made_up(), 4 => real]
}

/// A recording with these records.
fn recording(head: &str, records: &[Vec<u8>]) -> Vec<u8> {
    let mut text = format!("{head}\n");
    for record in records {
        writeln!(text, "{{\"record\":\"{}\"}}", hex::encode(record)).expect("memory");
    }
    text.into_bytes()
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_record_is_understood_or_refused(record in records()) {
        let names = Names::default();
        let (one, other) = (decode(&record, &names), decode(&record, &names));
        prop_assert_eq!(one, other, "and always in the same way");
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn records_in_any_order_become_lines_that_keep_to_the_schema_and_what_is_refused_is_counted(
        records in vec(records(), 0..80),
        head in 0..GOOD.heads.len(),
    ) {
        let names = Names::default();
        let refused = records.iter().filter(|record| decode(record, &names).is_err()).count();
        let played = play_all(&recording(&GOOD.heads[head], &records)).expect("a good first line");
        let summary = played.summary.expect("a good recording");
        let lost = summary.lost.values().sum::<u64>();
        prop_assert_eq!(lost, u64::try_from(refused).expect("few"), "{:?}", &summary.lost);
        prop_assert_eq!(summary.attempted, u64::try_from(records.len()).expect("few"));
        prop_assert_eq!(summary.received, summary.attempted - lost);
    }
}
