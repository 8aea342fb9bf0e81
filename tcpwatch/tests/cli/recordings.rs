//! Files given to `replay`: recordings in unusual forms are replayed, other files are recognized.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::program::{Answer, recording, tcpwatch};

const JSON: &[&str] = &["replay", "--format", "json", "--summary"];

fn good() -> Vec<u8> {
    fs::read(recording()).expect("it is there")
}

fn much_goes_wrong() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/much_goes_wrong.jsonl")
}

fn replayed(bytes: &[u8]) -> Answer {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("writable");
    Answer::of(tcpwatch(JSON).arg(file.path()))
}

/// It is replayed like the good recording, with nothing on stderr.
#[track_caller]
fn assert_whole(answer: &Answer) {
    let whole = Answer::of(tcpwatch(JSON).arg(recording()));
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""));
    assert!(answer.stdout == whole.stdout, "{} bytes", answer.stdout.len());
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).expect("memory");
    packer.finish().expect("memory")
}

#[test]
fn a_recording_packed_by_gzip_is_replayed() {
    assert_whole(&replayed(&packed(&good())));
}

#[test]
fn a_recording_after_a_byte_order_mark_is_replayed() {
    assert_whole(&replayed(&[b"\xef\xbb\xbf", good().as_slice()].concat()));
}

#[test]
fn a_recording_without_its_last_end_of_line_is_replayed() {
    let good = good();
    assert_whole(&replayed(good.strip_suffix(b"\n").expect("it ends with a line")));
}

#[test]
fn a_recording_is_replayed_from_standard_input() {
    for bytes in [good(), packed(&good())] {
        let mut child = tcpwatch(JSON)
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpwatch starts");
        child.stdin.take().expect("a pipe").write_all(&bytes).expect("it reads all");
        let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let (stdout, stderr) = (text(stdout), text(stderr));
        assert_whole(&Answer { status: status.code(), stdout, stderr });
    }
}

#[test]
fn standard_input_that_is_no_recording_is_called_that() {
    Answer::of(tcpwatch(JSON).arg("-")).refuses(1, &["standard input: the recording is empty"]);
}

/// The number of lines that were printed, and what was lost by cause.
fn counted(answer: &Answer) -> (usize, Value) {
    let last = answer.stdout.lines().last().expect("a summary");
    let summary: Value = serde_json::from_str(last).expect("JSON");
    (answer.stdout.lines().count(), summary["lost"].clone())
}

#[test]
fn a_recording_that_ends_within_a_line_is_replayed_up_to_there_and_what_is_missing_is_counted() {
    let good = good();
    let lines = good.split_inclusive(|byte| *byte == b'\n').count();
    let (whole, none) = counted(&replayed(&good));
    assert_eq!(none, serde_json::json!({}));
    let zeros = [&good[..good.len() - 20], &[0; 300]].concat();
    for cut in [&good[..good.len() - 20], &good[..good.len() - 3], &zeros] {
        let answer = replayed(cut);
        assert_eq!(answer.status, Some(0), "{answer:?}");
        let said = format!("the recording ends within line {lines}, which is left out and counted");
        assert!(answer.stderr.contains(&said), "{answer:?}");
        let (shown, lost) = counted(&answer);
        assert_eq!(lost, serde_json::json!({ "undecodable": 1 }));
        // One more about the loss; the change and the connection of the record may be missing.
        assert!((whole - 1..=whole + 1).contains(&shown), "{shown} of {whole} lines");
    }
}

#[test]
fn a_packed_recording_that_breaks_off_is_replayed_up_to_there() {
    let packed = packed(&good());
    let answer = replayed(&packed[..packed.len() - 60]);
    assert_eq!(answer.status, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("the recording ends within line"), "{answer:?}");
    assert!(counted(&answer).0 > 5, "{answer:?}");
}

#[test]
fn a_recording_that_ends_within_its_first_line_cannot_be_replayed() {
    replayed(&good()[..100]).refuses(1, &["the recording ends within its first line"]);
}

#[test]
fn a_file_of_another_kind_is_named_with_what_to_do() {
    let json = Answer::of(tcpwatch(&["replay", "--format", "json"]).arg(recording())).stdout;
    let text = Answer::of(tcpwatch(&["replay"]).arg(recording())).stdout;
    let lives = Answer::of(tcpwatch(&["replay", "--lives"]).arg(much_goes_wrong())).stdout;
    let utf16 = good().into_iter().flat_map(|byte| [byte, 0]);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16).collect();
    for (bytes, words) in [
        (&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], ["packet capture (pcap)", "tcpdump -r"]),
        (&[0xa1, 0xb2, 0x3c, 0x4d, 0, 2], ["packet capture (pcap)", "tcpwatch --record FILE"]),
        (&[0x0a, 0x0d, 0x0d, 0x0a, 28, 0], ["packet capture (pcapng)", "tcpdump -r"]),
        (json.as_bytes(), ["output of `tcpwatch --format json`", "tcpwatch --record FILE"]),
        (text.as_bytes(), ["the text output of tcpwatch", "tcpwatch --record FILE"]),
        (lives.as_bytes(), ["the text output of tcpwatch", "tcpwatch --record FILE"]),
        (b"{\"schema\":1,\"tcpwatch\":\"0\"}\n", ["a report of the laboratory", "--record FILE"]),
        (&[0x28, 0xb5, 0x2f, 0xfd, 0], ["compressed by zstd", "zstd -dc FILE | tcpwatch replay -"]),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], ["compressed by xz", "xz -dc FILE"]),
        (&utf16, ["text in UTF-16", "iconv"]),
        (b"\x7fELF\x02\x01", ["it is no recording", "tcpwatch --record FILE"]),
    ] {
        let answer = replayed(bytes);
        answer.refuses(1, &words);
        for word in ["expected value", "missing field", "invalid utf-8", "line 1 column"] {
            assert!(!answer.stderr.contains(word), "no words of the parser: {answer:?}");
        }
    }
    replayed(&packed(&[0xd4, 0xc3, 0xb2, 0xa1])).refuses(1, &["packet capture (pcap)"]);
}

#[test]
fn a_damaged_packed_file_is_refused() {
    let mut packed = packed(&good());
    packed[10..60].fill(0xff);
    replayed(&packed).refuses(1, &["cannot read the recording"]);
}

#[test]
fn a_recording_is_not_written_to_standard_output() {
    let words = ["--record", "standard output has the log", "a named pipe"];
    Answer::of(&mut tcpwatch(&["--record", "-"])).refuses(2, &words);
}

#[test]
fn a_reason_of_a_hostile_recording_is_harmless_in_every_form_of_output() {
    let text = fs::read_to_string(much_goes_wrong()).expect("it is there");
    let hostile = text.replacen("tcp_abort_on_close", "tcp_ab\\u0000ort\\u001b[2J\\n\\\"x", 1);
    assert_ne!(text, hostile, "the reason is in it");
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(hostile.as_bytes()).expect("writable");
    let show = |args: &[&str]| -> String {
        let mut command: Command = tcpwatch(&["replay"]);
        let answer = Answer::of(command.args(args).arg(file.path()));
        assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""));
        answer.stdout
    };
    let json = show(&["--format", "json"]);
    let whys: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"))
        .filter(|line| line["why"].as_str().is_some_and(|why| why.starts_with("tcp_ab")))
        .collect();
    let [reset] = whys.as_slice() else { panic!("one reset: {whys:?}") };
    assert_eq!(reset["why"], "tcp_ab?ort??2???x");
    assert_eq!(reset.get("meaning"), None);
    for args in [["--color", "never"], ["--lives", "--color=never"]] {
        let text = show(&args);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}
