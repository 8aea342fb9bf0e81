//! Recordings in blocks: replayed like those in lines, readable up to wherever they are cut, and refused in words where
//! they are damaged.

use std::{
    io::{Seek as _, Write as _},
    sync::LazyLock,
};

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;
use tcpwatch_core::event::KernelTime;
use tcpwatch_kernel::{
    probe::Filters,
    source::{
        packed::{
            VERSION,
            block::HEAD,
            chunk::{EntryKind, RecordingChunk},
            writer::PackedWriter,
        },
        recording::Recording,
        recording_input::{self, OpenedRecording, RecordingInput},
    },
};
use tcpwatch_stream::{log::Log, plan::Plan, replay::Replay};
use tcpwatch_view::json_lines::JsonLines;

use super::{
    cases::cases,
    players::play_all,
    spoiled::{damages, recordings, spoil},
};

/// Adds an entry as it was recorded.
fn push(chunk: &mut RecordingChunk, kind: EntryKind, entry: &[u8]) {
    match kind {
        EntryKind::Record => chunk.record(entry),
        EntryKind::LastingLine => chunk.lasting_line(entry),
        EntryKind::Line => chunk.line(time(entry), entry),
    }
}

/// When what a line is about happened.
fn time(line: &[u8]) -> KernelTime {
    let value: Value = serde_json::from_slice(line).unwrap_or_default();
    let inner = value.as_object().and_then(|object| object.values().next()).unwrap_or(&value);
    let known = inner.get("known").unwrap_or(inner);
    let at = inner.get("at").or_else(|| known.get("seen")).and_then(Value::as_u64);
    KernelTime(at.unwrap_or_default())
}

/// Recordings in lines, and their entries.
static GOOD: LazyLock<Vec<Good>> = LazyLock::new(|| {
    recordings().into_iter().map(|(name, lines)| Good::read(name, lines)).collect()
});

struct Good {
    name: String,
    lines: Vec<u8>,
    header: Vec<u8>,
    entries: Vec<(EntryKind, Vec<u8>)>,
}

impl Good {
    fn read(name: String, lines: Vec<u8>) -> Self {
        let text = std::str::from_utf8(&lines).expect("text");
        let (first, rest) = text.split_once('\n').expect("a header");
        let mut header: Value = serde_json::from_str(first).expect("JSON");
        header["tcpwatch_recording"] = VERSION.into();
        let entries = rest.lines().map(|line| {
            let value: Value = serde_json::from_str(line).expect("JSON");
            if let Some(digits) = value.get("record").and_then(Value::as_str) {
                return (EntryKind::Record, hex::decode(digits).expect("hexadecimal"));
            }
            let lasts = value.get("cgroup").or_else(|| value.get("sysctls")).is_some();
            let kind = if lasts { EntryKind::LastingLine } else { EntryKind::Line };
            (kind, line.as_bytes().to_vec())
        });
        let entries = entries.collect();
        Self { name, header: header.to_string().into_bytes(), entries, lines }
    }

    /// In blocks of so many entries, with the length after each of them; ended in order.
    fn blocks(&self, each: usize) -> (Vec<u8>, Vec<usize>) {
        let mut writer = PackedWriter::begin(Vec::new(), &self.header).expect("memory");
        let place = |writer: &PackedWriter<_>| usize::try_from(writer.written()).expect("it fits");
        let mut ends = vec![place(&writer)];
        for entries in self.entries.chunks(each) {
            let mut chunk = RecordingChunk::default();
            for (kind, entry) in entries {
                push(&mut chunk, *kind, entry);
            }
            writer.add(&chunk).expect("memory");
            writer.flush().expect("memory");
            ends.push(place(&writer));
        }
        (writer.finish().expect("memory"), ends)
    }

    /// In lines, so many entries of it.
    fn lines(&self, entries: usize) -> Vec<u8> {
        let lines = self.lines.split_inclusive(|byte| *byte == b'\n').take(1 + entries);
        lines.collect::<Vec<_>>().concat()
    }
}

#[test]
fn a_recording_in_blocks_is_replayed_as_in_lines() {
    for good in GOOD.iter() {
        let expected = play_all(&good.lines).expect("it is replayed");
        for each in [1, 7, usize::MAX] {
            let played = play_all(&good.blocks(each).0).expect("it is replayed");
            assert!(played.text == expected.text, "{} in blocks of {each}", good.name);
        }
    }
}

#[test]
fn a_recording_that_is_cut_anywhere_is_replayed_up_to_the_block_before() {
    const EACH: usize = 9;
    let good = GOOD.iter().min_by_key(|good| good.lines.len()).expect("recordings");
    let (bytes, ends) = good.blocks(EACH);
    let whole: Vec<_> = (0..ends.len())
        .map(|blocks| play_all(&good.lines(blocks * EACH)).expect("it is replayed").summary)
        .map(|summary| summary.expect("it has an end").received)
        .collect();
    for cut in 0..bytes.len() {
        let played = play_all(&bytes[..cut]);
        let Some(blocks) = ends.iter().rposition(|end| *end <= cut) else {
            let words = played.err().expect("nothing can be replayed without its header");
            let expected = if cut == 0 { "is empty" } else { "ends within its header" };
            assert!(words.contains(expected), "{cut}: {words}");
            continue;
        };
        let summary = played.and_then(|played| played.summary).expect("it is replayed");
        assert_eq!(summary.received, whole[blocks], "cut at {cut}");
        let there = cut - ends[blocks];
        let lost = good.entries.chunks(EACH).nth(blocks).map_or(0, |entries| match there {
            0 => 0,
            1..HEAD => 1,
            _ => entries.iter().filter(|(kind, _)| *kind == EntryKind::Record).count(),
        });
        // Of a head of less than five bytes it is not known that it is the index.
        let lost =
            if blocks + 1 == ends.len() { usize::from((1..5).contains(&there)) } else { lost };
        let missing = summary.attempted - summary.received;
        assert_eq!(usize::try_from(missing), Ok(lost), "cut at {cut}, {there} in the block");
    }
}

/// What is replayed of a span, as JSON.
fn span(input: impl RecordingInput, from: u64, to: u64) -> Vec<u8> {
    let recording = Recording::open(input).expect("a recording");
    let span = Some((KernelTime(from), KernelTime(to)));
    let plan = Plan { span, ..Plan::of(Filters::default()) };
    let (mut sink, mut text) = (JsonLines::default(), Vec::new());
    let mut log = Log::new(&mut sink, &mut text, true);
    let mut replay = Replay::open(&plan, recording);
    while let Some(batch) = replay.next_batch().expect("it is replayed") {
        log.write(&batch).expect("memory");
    }
    let summary = log.into_summary();
    assert!(summary.is_some(), "the totals come always");
    text
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn a_span_is_the_same_with_and_without_blocks_to_pass_over_and_an_index_of_them(
        which in 0..GOOD.len(),
        each in 1..20_usize,
        (one, other) in any::<(Index, Index)>(),
        whole: bool,
    ) {
        let good = &GOOD[which];
        let times: Vec<u64> = good.entries.iter()
            .filter(|(kind, _)| *kind == EntryKind::Record)
            .map(|(_, record)| u64::from_ne_bytes(*record.first_chunk().expect("a time")))
            .collect();
        let (one, other) = (times[one.index(times.len())], times[other.index(times.len())]);
        let (from, to) = (one.min(other), one.max(other));
        let (mut bytes, ends) = good.blocks(each);
        if !whole {
            bytes.truncate(*ends.last().expect("an end"));
        }
        let expected = span(good.lines.as_slice(), from, to);
        prop_assert!(expected == span(bytes.as_slice(), from, to), "by heads");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("room");
        file.rewind().expect("a file");
        let input = recording_input::unpacked(OpenedRecording::Files(vec![file]));
        prop_assert!(expected == span(input.expect("readable"), from, to), "by the index");
    }

    #[test]
    fn a_spoiled_recording_in_blocks_is_played_up_to_what_is_wrong(
        which in 0..GOOD.len(),
        each in 1..20_usize,
        damages in damages(),
    ) {
        let (mut bytes, _) = GOOD[which].blocks(each);
        spoil(&mut bytes, &damages);
        match play_all(&bytes).and_then(|played| played.summary) {
            Ok(summary) => prop_assert!(summary.received <= summary.attempted),
            Err(words) => prop_assert!(words.contains("recording"), "{words}"),
        }
    }

    #[test]
    fn entries_that_tcpwatch_does_not_write_are_refused_in_words(
        which in 0..GOOD.len(),
        at in any::<Index>(),
        lasting: bool,
        entry in vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..40),
    ) {
        let good = &GOOD[which];
        let mut writer = PackedWriter::begin(Vec::new(), &good.header).expect("memory");
        let mut chunk = RecordingChunk::default();
        let at = at.index(good.entries.len());
        for (place, (kind, good)) in good.entries.iter().enumerate() {
            if place == at {
                let kind = if lasting { EntryKind::LastingLine } else { EntryKind::Line };
                push(&mut chunk, kind, &entry);
                push(&mut chunk, EntryKind::Record, &entry);
            }
            push(&mut chunk, *kind, good);
        }
        writer.add(&chunk).expect("memory");
        let bytes = writer.finish().expect("memory");
        match play_all(&bytes).and_then(|played| played.summary) {
            Ok(summary) => prop_assert!(summary.received <= summary.attempted),
            Err(words) => prop_assert!(words.contains("of the recording is damaged"), "{words}"),
        }
    }
}
