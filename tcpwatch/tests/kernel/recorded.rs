//! The recording that `--record` leaves, however the run ends, and the kernel's words in it.

use std::{
    fs::{self, File},
    io::BufReader,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tcpwatch_core::event::reset_reason;
use tcpwatch_kernel::source::recording::Recording;
use tempfile::TempDir;

use crate::{
    carried,
    harness::{
        kernel::RESETS_EXPLAINED,
        netns::Netns,
        poll,
        sockets::{Pair, V4},
        watch::Watch,
    },
};

/// A recording that is being made.
struct Recorded {
    netns: Netns,
    watch: Watch,
    path: PathBuf,
    _folder: TempDir,
}

impl Recorded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        let netns = Netns::new();
        let watch = Watch::with(&netns, &["--record", path.to_str().unwrap()]);
        Self { netns, watch, path, _folder: folder }
    }
}

/// The states that a replay shows as entered.
fn entered(recording: &Path) -> Vec<String> {
    let mut command = Command::new(carried::program());
    let output = command.args(["replay", "--format", "json"]).arg(recording).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let line = |line| serde_json::from_str::<Value>(line).unwrap();
    lines.lines().map(line).filter_map(|line| line["to"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_recording_that_is_made_has_what_the_log_has_and_keeps_it_when_tcpwatch_is_killed() {
    needs_root!();
    let recorded = Recorded::new();
    let _pair = recorded.netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    // Both ends of the handshake, by the records' own lines: only events make it write.
    recorded.watch.wait_count(2, "both ends", |line| line.to == "ESTABLISHED");
    poll("both ends are in the file", || {
        // Nothing is, until the first block is written.
        fs::metadata(&recorded.path).is_ok_and(|file| file.len() > 0).then_some(())?;
        let entered = entered(&recorded.path);
        (entered.iter().filter(|state| *state == "ESTABLISHED").count() == 2).then_some(())
    });
    recorded.watch.kill();
    assert_eq!(entered(&recorded.path).iter().filter(|state| *state == "ESTABLISHED").count(), 2);
}

#[test]
fn a_limited_recording_is_made_without_the_privileges_that_are_gone() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let netns = Netns::new();
    let args = ["--record", path.to_str().unwrap(), "--record-max", "1M"];
    let watch = Watch::with(&netns, &args);
    let _pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    watch.wait_count(2, "both ends", |line| line.to == "ESTABLISHED");
    watch.stop();
    assert_eq!(entered(&path).iter().filter(|state| *state == "ESTABLISHED").count(), 2);
}

#[test]
fn every_reason_for_a_reset_that_this_kernel_has_is_explained() {
    needs_root!();
    let recorded = Recorded::new();
    recorded.watch.stop();
    let file = BufReader::new(File::open(&recorded.path).unwrap());
    let header = serde_json::to_value(Recording::open(file).unwrap().header).unwrap();
    let reasons = header["reset_reasons"].as_object().unwrap();
    if reasons.is_empty() {
        RESETS_EXPLAINED.is_lacking();
    }
    let words = reasons.values().filter_map(Value::as_str);
    let unknown: Vec<&str> = words.filter(|word| reset_reason::meaning(word).is_none()).collect();
    assert_eq!(unknown, [""; 0], "`reset_reason.rs` has to say what they mean");
}
