//! `/proc/PID/task/TID/status` of every thread.

use std::{fs, process::Stdio};

use super::connect_once;
use crate::harness::{
    exporter::Exporter,
    netns::Netns,
    poll,
    program::{spawn, tcpwatch},
    watch::Watch,
};

const SERVE: [&str; 3] = ["serve", "--web.listen-address", "127.0.0.1:0"];
const SETS: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];

/// `CAP_DAC_READ_SEARCH`, `CAP_SYS_PTRACE` and `CAP_SYS_ADMIN` (include/uapi/linux/capability.h).
const LOOKING: u64 = 1 << 2 | 1 << 19 | 1 << 21;

/// What a thread has.
struct Thread {
    name: String,
    status: String,
}

impl Thread {
    /// All of a process.
    fn all_of(pid: u32) -> Vec<Self> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.map(|task| Self::at(&task.unwrap().path().join("status"))).collect()
    }

    fn at(path: &std::path::Path) -> Self {
        let status = fs::read_to_string(path).unwrap();
        let mut thread = Self { name: String::new(), status };
        thread.name = thread.field("Name:").to_owned();
        thread
    }

    fn field(&self, name: &str) -> &str {
        self.status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim()
    }

    fn capabilities(&self, set: &str) -> u64 {
        u64::from_str_radix(self.field(set), 16).unwrap()
    }

    /// Not root, nothing new by `execve`, filtered system calls; these capabilities and no others.
    #[track_caller]
    fn has_only(&self, kept: u64) {
        let name = &self.name;
        for ids in ["Uid:", "Gid:", "Groups:"] {
            assert!(
                self.field(ids).split_whitespace().all(|id| id != "0"),
                "{name}: {}",
                self.status
            );
        }
        assert_eq!((self.field("NoNewPrivs:"), self.field("Seccomp:")), ("1", "2"), "{name}");
        for set in SETS {
            let wanted = if matches!(set, "CapPrm:" | "CapEff:") { kept } else { 0 };
            assert_eq!(self.capabilities(set), wanted, "{set} of {name}");
        }
    }
}

#[test]
fn no_thread_of_an_exporter_keeps_anything() {
    needs_root!();
    let exporter = Exporter::start(&SERVE);
    // The threads that make pages come and go.
    let page = exporter.page();
    assert!(page.contains("tcpwatch_build_info"));
    let threads = Thread::all_of(exporter.pid());
    assert!(threads.len() >= 2, "the first, and one that answers");
    for thread in &threads {
        thread.has_only(0);
    }
    let environment = fs::metadata(format!("/proc/{}/environ", exporter.pid())).unwrap();
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&environment),
        0,
        "no process of that user reads its memory"
    );
}

#[test]
fn a_log_that_listens_keeps_nothing_and_writes_its_recording_all_the_same() {
    needs_root!();
    let netns = Netns::new();
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let file = recording.to_str().unwrap();
    let watch = Watch::with(&netns, &["--web.listen-address", "127.0.0.1:0", "--record", file]);
    watch.metrics();
    connect_once(&netns);
    watch.wait_for("the connection", |lines| (!lines.is_empty()).then_some(()));
    let threads = Thread::all_of(watch.pid());
    assert!(threads.len() >= 3);
    for thread in &threads {
        thread.has_only(0);
    }
    drop(watch.stop());
    assert!(fs::metadata(recording).unwrap().len() > 1_000);
}

#[test]
fn the_log_keeps_what_looking_into_other_processes_takes() {
    needs_root!();
    let netns = Netns::new();
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let watch = Watch::with(&netns, &["--record", recording.to_str().unwrap()]);
    connect_once(&netns);
    watch.wait_for("the connection", |lines| (!lines.is_empty()).then_some(()));
    let threads = poll("the thread of the recording", || {
        let threads = Thread::all_of(watch.pid());
        threads.iter().any(|thread| thread.name == "recording").then_some(threads)
    });
    for thread in &threads {
        thread.has_only(LOOKING);
    }
    drop(watch.stop());
}

#[test]
fn a_replay_has_given_up_everything_before_it_reads() {
    needs_root!();
    let mut command = tcpwatch();
    command.args(["replay", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    // Nothing is there to be read yet.
    poll("it has a filter of system calls", || {
        let threads = Thread::all_of(pid);
        (threads[0].field("Seccomp:") == "2").then(|| threads[0].has_only(0))
    });
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "an empty recording is none");
}

#[test]
fn what_was_started_with_three_capabilities_keeps_none() {
    needs_root!();
    let mut command = std::process::Command::new("setpriv");
    let three = "-all,+bpf,+perfmon,+syslog";
    for option in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        command.args([option, three]);
    }
    command
        .args(["--reuid=1234", "--regid=1234", "--clear-groups", "--"])
        .arg(tcpwatch().get_program());
    let child = spawn(command.args(SERVE), Stdio::null());
    let exporter = Exporter::of(child);
    assert!(exporter.page().contains("tcpwatch_build_info"));
    for thread in Thread::all_of(exporter.pid()) {
        assert_eq!(thread.field("Uid:").split_whitespace().next(), Some("1234"));
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(thread.capabilities(set), 0, "{set} of {}", thread.name);
        }
        assert_eq!((thread.field("NoNewPrivs:"), thread.field("Seccomp:")), ("1", "2"));
    }
}
