//! Output that cannot be written, or that is not read.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::run::{Run, occurrences};
use crate::harness::{
    churn, let_pass,
    line::Summary,
    netns::Netns,
    poll,
    program::{started, tcpwatch},
};

/// A log of this namespace with these arguments, after it has reported that nothing is missed.
fn log(
    netns: &Netns,
    args: &[&str],
    stdout: Stdio,
) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = tcpwatch();
    command.args(["--summary", "--netns", &netns.word()]).args(args);
    started(&mut command, stdout)
}

/// Its exit status and its messages.
fn end(mut child: Child, mut stderr: impl io::Read) -> (ExitStatus, String) {
    let status = poll("its end", || child.try_wait().unwrap());
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    (status, said)
}

#[test]
fn a_full_disk_under_the_log_is_a_failure_in_words() {
    needs_root!();
    for format in ["json", "text"] {
        let netns = Netns::new();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (child, stderr) = log(&netns, &["--format", format], full.into());
        churn::connections(&netns, 1);
        let (status, said) = end(child, stderr);
        assert_eq!(status.code(), Some(1), "{format}: {said}");
        assert!(said.contains("cannot write the output: No space left on device"), "{said}");
    }
}

#[test]
fn a_disk_that_fills_up_under_a_recording_ends_the_run_in_words_and_what_was_recorded_plays() {
    needs_root!();
    let netns = Netns::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.jsonl");
    let output = std::thread::scope(|scope| {
        let there = scope.spawn(|| {
            #[expect(deprecated, reason = "this thread alone gets mounts of its own")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
            let folder = folder.path().display();
            for line in [
                "mount --make-rprivate /".to_owned(),
                format!("mount -t tmpfs -o size=64k none {folder}"),
            ] {
                let words: Vec<_> = line.split(' ').collect();
                assert!(
                    Command::new(words[0]).args(&words[1..]).status().unwrap().success(),
                    "{line}"
                );
            }
            let file = path.to_str().unwrap();
            let stdout = tempfile::NamedTempFile::new().unwrap();
            let (child, stderr) = log(
                &netns,
                &["--format", "json", "--record", file],
                File::create(stdout.path()).unwrap().into(),
            );
            churn::connections(&netns, 200);
            let (status, said) = end(child, stderr);
            let recorded = fs::read(&path).unwrap();
            (status, said, recorded, fs::read_to_string(stdout.path()).unwrap())
        });
        there.join().unwrap()
    });
    let (status, said, recorded, shown) = output;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write the recording: No space left on device"), "{said}");
    let summary: Summary = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
    summary.balance();
    assert!(recorded.len() > 32 << 10, "{} bytes", recorded.len());
    fs::write(&path, recorded).unwrap();
    let played = tcpwatch().args(["replay", "--format", "json"]).arg(&path).output().unwrap();
    let complaint = String::from_utf8_lossy(&played.stderr);
    assert!(
        complaint.is_empty() || complaint.contains("the recording ends within line"),
        "{complaint}"
    );
    let played = String::from_utf8_lossy(&played.stdout);
    assert!(occurrences(&played, r#""event":"state""#) > 100, "what came before is shown");
}

#[test]
fn a_reader_that_leaves_is_a_normal_end() {
    needs_root!();
    for format in ["json", "text"] {
        let netns = Netns::new();
        let (mut child, stderr) = log(&netns, &["--format", format], Stdio::piped());
        churn::connections(&netns, 1);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut String::new()).unwrap();
        drop(lines);
        churn::connections(&netns, 50);
        let (status, said) = end(child, stderr);
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_reader_that_pauses_loses_nothing_that_is_not_counted() {
    needs_root!();
    for format in ["json", "text"] {
        let netns = Netns::new();
        let (mut child, stderr) =
            log(&netns, &["--format", format, "--buffer", "16K"], Stdio::piped());
        // The pipe is not read: it fills up, and then what waits for it, and not the ring.
        churn::connections(&netns, 2000);
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let text = io::read_to_string(child.stdout.take().unwrap()).unwrap();
        let (status, said) = end(child, stderr);
        assert_eq!(status.code(), Some(0), "{format}: {said}");
        if format == "json" {
            let summary: Summary = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            summary.balance();
            println!("measured: {summary:?}");
            assert!(summary.lost["output_slow"] > 0, "{summary:?}");
            let told: u64 = text
                .lines()
                .filter(|line| line.contains(r#""cause":"output_slow""#))
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["count"].as_u64()
                })
                .map(Option::unwrap)
                .sum();
            assert_eq!(told, summary.lost["output_slow"]);
        } else {
            assert!(text.contains("LISTEN"), "{text}");
            assert!(said.contains("lost"), "the totals: {said}");
        }
    }
}

#[test]
fn a_terminal_that_goes_away_ends_it_with_its_account_and_a_whole_recording() {
    needs_root!();
    let netns = Netns::new();
    let recording = tempfile::NamedTempFile::new().unwrap();
    let shown = tempfile::NamedTempFile::new().unwrap();
    let args = ["--format", "json", "--record", recording.path().to_str().unwrap()];
    let (child, stderr) = log(&netns, &args, File::create(shown.path()).unwrap().into());
    churn::connections(&netns, 20);
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    let (status, said) = end(child, stderr);
    assert_eq!((status.code(), status.signal()), (Some(0), None), "{said}");
    let shown = fs::read_to_string(shown.path()).unwrap();
    let summary: Summary = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
    summary.balance();
    let played = tcpwatch().args(["replay", "--format", "json"]).arg(recording.path()).output();
    let played = played.unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    let words = r#""event":"state""#;
    let played = String::from_utf8_lossy(&played.stdout);
    assert_eq!(occurrences(&played, words), occurrences(&shown, words), "all of it");
}

#[test]
fn what_nohup_starts_goes_on_without_a_terminal() {
    needs_root!();
    let netns = Netns::new();
    let mut command = Command::new("nohup");
    command.arg(tcpwatch().get_program());
    command.args(["--format", "json", "--summary", "--netns", &netns.word()]);
    let watch = Run::command(command);
    kill_process(Pid::from_raw(watch.pid().try_into().unwrap()).unwrap(), Signal::HUP).unwrap();
    let_pass(Duration::from_millis(50));
    churn::connections(&netns, 5);
    watch.wait_count(Duration::from_secs(10), r#""to":"TIME_WAIT""#, 5);
    assert_eq!(occurrences(&watch.stop().text, r#""to":"TIME_WAIT""#), 5);
}
