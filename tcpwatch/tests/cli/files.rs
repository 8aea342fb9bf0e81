//! Recordings that cannot be read, output that cannot be written.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::NamedTempFile;

use super::program::{Answer, recording, tcpwatch};

fn replay(file: &Path) -> Command {
    let mut command = tcpwatch(&["replay", "--format", "json"]);
    command.arg(file);
    command
}

fn file(text: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_ref()).expect("writable");
    file
}

/// The first line of a good recording, and the rest.
fn good() -> (String, String) {
    let text = fs::read_to_string(recording()).expect("it is there");
    let (head, rest) = text.split_once('\n').expect("several lines");
    (head.to_owned(), rest.to_owned())
}

#[test]
fn a_recording_that_does_not_exist_is_named() {
    let answer = Answer::of(&mut replay(Path::new("/no/such/recording")));
    answer.refuses(1, &["cannot open /no/such/recording", "No such file"]);
}

#[test]
fn a_folder_is_no_recording() {
    Answer::of(&mut replay(Path::new("/"))).refuses(1, &["Is a directory"]);
}

#[test]
fn an_empty_recording_is_called_empty() {
    Answer::of(&mut replay(file("").path())).refuses(1, &["the recording is empty"]);
}

#[test]
fn garbage_is_refused() {
    for garbage in ["hello\n", "{}\n", "[1,2]\n", "\n", "\0\0\0"] {
        let answer = Answer::of(&mut replay(file(garbage).path()));
        answer
            .refuses(1, &["it is no recording", "a recording is made by `tcpwatch --record FILE`"]);
    }
    let bad = file("{\"tcpwatch_recording\":\"one\"}\n");
    Answer::of(&mut replay(bad.path())).refuses(1, &["line 1 of the recording is damaged"]);
}

#[test]
fn a_bad_line_in_a_recording_is_refused_with_its_number() {
    let (head, rest) = good();
    for bad in ["{\"record\":\"xyz\"}", "{\"record\":\"123\"}", "{\"recrod\":\"00\"}", "", "null"] {
        let answer = Answer::of(&mut replay(file(format!("{head}\n{bad}\n{rest}")).path()));
        answer.refuses(1, &["line 2 of the recording is damaged"]);
        for word in ["expected", "missing field", "unknown variant"] {
            assert!(!answer.stderr.contains(word), "no words of the parser: {answer:?}");
        }
    }
}

#[test]
fn a_recording_of_another_version_is_refused_with_both_versions() {
    let (head, rest) = good();
    let later = head.replace("\"tcpwatch_recording\":1", "\"tcpwatch_recording\":7");
    assert_ne!(head, later, "the version is in the first line");
    let answer = Answer::of(&mut replay(file(format!("{later}\n{rest}")).path()));
    answer.refuses(1, &["version 7", "reads versions 1 and 2"]);
}

#[test]
fn a_recording_of_another_form_is_refused_for_its_version() {
    let answer = Answer::of(&mut replay(file("{\"tcpwatch_recording\":7,\"form\":2}\n").path()));
    answer.refuses(1, &["version 7", "reads versions 1 and 2"]);
}

#[test]
fn a_file_that_cannot_be_recorded_to_is_named() {
    let answer = Answer::of(&mut tcpwatch(&["--record", "/no/such/folder/file"]));
    answer.refuses(1, &["cannot create /no/such/folder/file", "No such file"]);
}

#[test]
fn a_reader_that_has_gone_is_a_normal_end() {
    for format in ["json", "text"] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut command = tcpwatch(&["replay", "--format", format]);
        let output = command.arg(recording()).stdout(writer).output().expect("tcpwatch starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_a_normal_end() {
    let (head, rest) = good();
    let mut long = head + "\n";
    for _ in 0..200 {
        write!(long, "{rest}").expect("memory");
    }
    let long = file(long);
    let mut child = replay(long.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpwatch starts");
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    reader.read_line(&mut first).expect("a line");
    drop(reader);
    assert!(first.starts_with("{\"schema\":1,"), "{first}");
    let stderr = io::read_to_string(child.stderr.take().expect("a pipe")).expect("UTF-8");
    assert_eq!(stderr, "", "no error");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_help_and_the_check_may_be_cut_short_too() {
    for args in ["--help", "check"] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let output = tcpwatch(&[args]).stdout(writer).output().expect("tcpwatch starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""), "{args}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = replay(&recording()).stdout(full).output().expect("tcpwatch starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("No space left on device"), "{stderr}");
}
