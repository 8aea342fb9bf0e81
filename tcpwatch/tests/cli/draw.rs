//! `tcpwatch lab draw`: good and bad reports, and places that cannot be written.

use std::{fs, io::Write as _, path::Path, process::Command};

use tempfile::{NamedTempFile, TempDir};

use super::program::{Answer, tcpwatch};

fn report() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lab/report.json");
    fs::read_to_string(file).expect("it is there")
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("writable");
    file
}

fn draw(report: &Path, to: &[(&str, &Path)]) -> Command {
    let mut command = tcpwatch(&["lab", "draw"]);
    command.arg(report);
    for (option, path) in to {
        command.arg(option).arg(path);
    }
    command
}

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_report_becomes_a_page_and_a_picture_of_each_run_and_again_the_same() {
    let (folder, report) = (TempDir::new().expect("a folder"), file(&report()));
    let (page, pictures) = (folder.path().join("atlas.html"), folder.path().join("a/b"));
    let mut before = None;
    // The second time everything is there already.
    for _ in 0..2 {
        let to = [("--html", page.as_path()), ("--svg", pictures.as_path())];
        let answer = Answer::of(&mut draw(report.path(), &to));
        assert_eq!((answer.status, &*answer.stderr), (Some(0), ""), "{answer:?}");
        assert_eq!(
            names(&pictures),
            [
                "closing-v4-schedule.svg",
                "closing-v4.svg",
                "fin-wait-2-v4.svg",
                "reset-by-the-client-v4.svg",
                "simultaneous-open-v6-schedule.svg",
                "simultaneous-open-v6.svg",
                "syn-sent-v4-schedule.svg",
                "syn-sent-v4.svg"
            ]
        );
        let written = fs::read(&page).expect("the page");
        assert!(written.starts_with(b"<!DOCTYPE html>"));
        assert!(before.replace(written.clone()).is_none_or(|before| before == written));
        assert_eq!(names(folder.path()), ["a", "atlas.html"], "no other file is left");
    }
}

#[test]
fn a_report_becomes_a_capture_of_each_host_of_each_run() {
    let (folder, report) = (TempDir::new().expect("a folder"), file(&report()));
    let answer = Answer::of(&mut draw(report.path(), &[("--pcapng", folder.path())]));
    assert_eq!((answer.status, &*answer.stderr), (Some(0), ""), "{answer:?}");
    let names = names(folder.path());
    assert_eq!(names.len(), 10, "{names:?}");
    assert!(names.contains(&"syn-sent-v4-client.pcapng".to_owned()), "{names:?}");
    for name in names {
        let file = fs::read(folder.path().join(name)).expect("a capture");
        assert!(file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
    }
}

#[test]
fn what_is_no_report_is_refused_with_what_it_lacks() {
    let good = report();
    for (text, words) in [
        (good.replacen("\"schema\":1", "\"schema\":2", 1), &["version 2", "reads version 1"][..]),
        (good.split_at(good.len() / 2).0.to_owned(), &["line 1 column", "is the file complete"]),
        (String::new(), &["is the file complete"]),
        ("{\"schema\":1,\"tcpwatch\":\"0\"}".to_owned(), &["missing field `kernel`"]),
        (
            good.replacen("\"to\":\"SYN_SENT\"", "\"to\":\"SYN_SNT\"", 1),
            &["run 1, event 7: the state \"SYN_SNT\" is not known"],
        ),
        (good.replacen("\"in_state_s\":0.", "\"in_state_s\":-0.", 1), &["run 1", "seconds"]),
    ] {
        let (folder, bad) = (TempDir::new().expect("a folder"), file(&text));
        let page = folder.path().join("atlas.html");
        let answer = Answer::of(&mut draw(bad.path(), &[("--html", &page)]));
        answer.refuses(1, words);
        answer.refuses(1, &["cannot read the report", bad.path().to_str().expect("UTF-8")]);
        assert_eq!(names(folder.path()), [""; 0], "nothing is written");
    }
    let answer = Answer::of(&mut draw(Path::new("/no/such"), &[("--html", Path::new("/x"))]));
    answer.refuses(1, &["cannot read the report /no/such", "No such file"]);
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_nothing_is_left_there() {
    let (folder, report) = (TempDir::new().expect("a folder"), file(&report()));
    for (option, place, words) in [
        ("--html", Path::new("/dev/full"), &["/dev/full", "No space left on device"][..]),
        ("--html", Path::new("/no/such/atlas.html"), &["cannot write /no/such/atlas.html"]),
        ("--html", folder.path(), &["cannot write", "directory"]),
        ("--svg", report.path(), &["cannot make the directory", "exists"]),
        ("--pcapng", Path::new("/proc/x"), &["cannot make the directory /proc/x"]),
    ] {
        let answer = Answer::of(&mut draw(report.path(), &[(option, place)]));
        answer.refuses(1, words);
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn the_name_of_a_scenario_cannot_lead_out_of_the_directory() {
    let folder = TempDir::new().expect("a folder");
    let hostile = report().replace("\"syn-sent\"", "\"../../etc/\\u0000</script>\"");
    let report = file(&hostile);
    let pictures = folder.path().join("pictures");
    let answer = Answer::of(&mut draw(report.path(), &[("--svg", &pictures)]));
    assert_eq!(answer.status, Some(0), "{answer:?}");
    assert_eq!(names(folder.path()), ["pictures"]);
    assert!(names(&pictures).contains(&"..-..-etc----script--v4.svg".to_owned()));
}

#[test]
fn texts_are_in_the_language_that_is_asked_for_or_that_of_the_locale() {
    let listed = |args: &[&str], locale: &str| {
        let mut command = tcpwatch(&["lab", "list"]);
        command.args(args).env_remove("LC_MESSAGES").env("LANG", "C").env("LC_ALL", locale);
        let answer = Answer::of(&mut command);
        assert_eq!(answer.status, Some(0), "{answer:?}");
        answer.stdout
    };
    let (english, japanese) = ("the peer never closes", "\u{76f8}\u{624b}\u{304c}");
    assert!(listed(&[], "C").contains(english));
    assert!(listed(&[], "ja_JP.UTF-8").contains(japanese));
    assert!(listed(&["--lang", "ja"], "C").contains(japanese));
    assert!(listed(&["--lang", "en"], "ja_JP.UTF-8").contains(english));
    let answer = Answer::of(&mut tcpwatch(&["lab", "show", "listen", "--lang", "xx"]));
    answer.refuses(2, &["--lang", "[possible values: en, ja, zh]"]);
}

#[test]
fn drawing_nothing_or_to_nowhere_is_wrong_usage() {
    Answer::of(&mut tcpwatch(&["lab", "draw", "--html", "x"])).refuses(2, &["<REPORT.json>"]);
    Answer::of(&mut tcpwatch(&["lab", "draw", "r.json"])).refuses(2, &["--html", "Usage"]);
}
