//! `--record-max`: parts of a recording, of which the oldest are removed.

use std::{fs, path::Path};

use tcpwatch_core::{event::WallClock, timing::Sysctls};
use tcpwatch_kernel::source::{
    recorder::{Recorder, RecordingTarget},
    recording::{Header, RecordedItem, Recording},
};
use tempfile::TempDir;

use super::program::{Answer, recording, tcpwatch};

/// Where the state is that a change enters, and LISTEN, in the kernel's number.
const NEW: usize = 33;
const LISTEN: u8 = 10;

/// The header of a good recording, and its first record that is not a listener's.
fn good() -> (Header, Vec<u8>) {
    let text = fs::read(recording()).expect("it is there");
    let mut recording = Recording::open(text.as_slice()).expect("a recording");
    let record =
        std::iter::from_fn(|| recording.next_item().expect("a good line")).find_map(|item| {
            match item {
                RecordedItem::Record(bytes) => (bytes[NEW] != LISTEN).then_some(bytes),
                _ => None,
            }
        });
    (recording.header, record.expect("a record"))
}

/// Writes so many records, a microsecond apart, each of a socket of its own, and as random as what hardly compresses.
fn write(path: &Path, records: u64, most: u64) -> WallClock {
    let (header, record) = good();
    let target = RecordingTarget { path: path.to_owned(), most: Some(most) };
    let mut recorder = Recorder::create(&target, &header).expect("a folder");
    recorder.sysctls(tcpwatch_core::event::Netns(1), Sysctls::default()).expect("words");
    let mut noise = 88_172_645_463_325_252_u64;
    for number in 0..records {
        let mut record = record.clone();
        let at = header.clock.kernel.0 + 1_000 * (number + 1);
        record[..8].copy_from_slice(&at.to_ne_bytes());
        record[8..16].copy_from_slice(&(number + 1).to_ne_bytes());
        for place in (40..56).step_by(8) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            record[place..place + 8].copy_from_slice(&noise.to_ne_bytes());
        }
        recorder.record(&record);
        if number % 4_096 == 0 {
            recorder.flush().expect("room");
        }
    }
    recorder.finish().expect("room");
    header.clock
}

/// Bytes of all files, and how many there are with any.
fn sizes(folder: &TempDir) -> (u64, usize) {
    let files = fs::read_dir(folder.path()).expect("a folder");
    let sizes: Vec<u64> =
        files.map(|file| file.expect("a file").metadata().expect("a file").len()).collect();
    (sizes.iter().sum(), sizes.iter().filter(|size| **size > 0).count())
}

/// Records that a replay had, and what it said.
fn received(path: &Path) -> (u64, String) {
    let answer = Answer::of(tcpwatch(&["replay", "--format", "json", "--summary"]).arg(path));
    assert_eq!(answer.status, Some(0), "{}", answer.stderr);
    let last = answer.stdout.lines().last().expect("totals");
    let totals: serde_json::Value = serde_json::from_str(last).expect("JSON");
    (totals["received"].as_u64().expect("a number"), answer.stderr)
}

#[test]
fn of_a_limited_recording_the_newest_parts_are_left_and_replayed_in_their_order() {
    const MOST: u64 = 1 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording");
    write(&path, 160_000, MOST);
    let (bytes, files) = sizes(&folder);
    // A part is as large as its last block makes it.
    assert!((MOST / 2..2 * MOST).contains(&bytes), "{bytes} bytes");
    assert_eq!(files, 16);
    let (some, said) = received(&path);
    assert_eq!(said, "", "no part is missing, none is cut");
    assert!((10_000..150_000).contains(&some), "{some} records");
    let (fewer, _) = received(&path.with_extension("03"));
    assert!((1..some / 2).contains(&fewer), "a part alone: {fewer} of {some} records");

    fs::remove_file(path.with_extension("03")).expect("it is there");
    let (_, said) = received(&path);
    let newest_is = said.is_empty();
    assert!(newest_is || said.contains("1 part of the recording is missing"), "{said}");
}

#[test]
fn parts_one_behind_the_other_are_a_recording_and_parts_of_different_runs_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording");
    write(&path, 20_000, 1 << 20);
    let parts: Vec<Vec<u8>> = (0..16)
        .map(|number| fs::read(path.with_extension(format!("{number:02}"))).expect("a part"))
        .collect();
    let joined = folder.path().join("joined");
    fs::write(&joined, parts.concat()).expect("room");
    assert_eq!(received(&joined), (20_000, String::new()));
    fs::write(&joined, [parts[0].clone(), parts[0].clone()].concat()).expect("room");
    let answer = Answer::of(tcpwatch(&["replay"]).arg(&joined));
    assert_eq!(answer.status, Some(1));
    assert!(answer.stderr.contains("another recording begins at byte"), "{}", answer.stderr);
}

#[test]
fn a_limit_without_a_recording_is_wrong_usage() {
    Answer::of(&mut tcpwatch(&["--record-max", "1G"])).refuses(2, &["--record <FILE>"]);
    let small = ["--record", "x", "--record-max", "4K"];
    Answer::of(&mut tcpwatch(&small)).refuses(2, &["is no size of a recording", "from 1M on"]);
}
