//! A kernel and its file system come in, QEMU runs them, the lines that the machine says go out as a
//! report.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    guest::{Job, Test},
    report::{Report, Said},
};

/// How long a machine may run: much longer than it works, because others may work beside it. A single test
/// that hangs is cut by the machine's own clock.
const LIMIT: Duration = Duration::from_mins(40);
/// How long a machine may be silent: more than any test takes on a busy machine.
const SILENCE: Duration = Duration::from_mins(10);
/// What costs an emulated processor most and says nothing about TCP: guards against flaws of real ones (each
/// system call would empty its table of addresses), and memory cleared in advance.
const CHEAP: &str = "mitigations=off init_on_alloc=0 apparmor=0";
/// Lines of the kernel's own that are shown when a machine breaks.
const LAST_WORDS: usize = 20;

/// Runs the machine to its end; what each test did is shown as it ends.
pub(crate) fn run(qemu: &Path, job: &Job<'_>, image: &Path) -> Result<Report> {
    let console = image.with_extension(format!("{}.console", job.name));
    let mut machine = start(qemu, job, image, &console)?;
    let lines = machine.stdout.take().context("QEMU has no standard output")?;
    let mut report = Report::new(&job.kernel.name, job.tests.iter().map(Test::path));
    let cut = follow(&follower(lines), &mut report);
    // An error means that it has ended already.
    drop(machine.kill());
    machine.wait().context("cannot wait for QEMU")?;
    report.close(cut, || last_words(&console));
    Ok(report)
}

fn start(qemu: &Path, job: &Job<'_>, image: &Path, console: &Path) -> Result<Child> {
    let Job { kernel, way, name, .. } = job;
    let mut serial = std::ffi::OsString::from("file:");
    serial.push(console);
    Command::new(qemu)
        // Without KVM, so that it runs wherever a compiler does. The plainest processor is emulated
        // soonest. It has a source of random numbers: nothing else happens by chance in such a machine,
        // and who asks the kernel for good ones would wait for ever.
        .args(["-accel", "tcg,thread=single", "-cpu", "qemu64,+rdrand", "-m", "1G", "-smp", "1"])
        // Its clock advances by a nanosecond with each instruction, and jumps when its processor
        // waits: nothing in it is late because this machine is slow or busy, and no wait takes time.
        // A second processor would stand still while the first one works.
        .args(["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        // The first process finds `JOB` in its environment.
        .arg("-append")
        .arg(format!(
            "console=ttyS0 quiet oops=panic panic=-1 {CHEAP} JOB={name} {}",
            way.command_line
        ))
        .arg("-kernel")
        .arg(&kernel.vmlinuz)
        .arg("-initrd")
        .arg(image)
        .arg("-serial")
        .arg(serial)
        .args(["-serial", "stdio"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", qemu.display()))
}

fn follower(lines: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(lines);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            // Nobody listens once the time is up.
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// Reads until the machine is done, or gone, or out of time: then tells after how long.
fn follow(lines: &Receiver<String>, report: &mut Report) -> Option<Duration> {
    let start = Instant::now();
    loop {
        match lines.recv_timeout(SILENCE.min(LIMIT.saturating_sub(start.elapsed()))) {
            Ok(line) => match report.hear(&line) {
                Said::Result(line) => eprintln!("{line}"),
                Said::Done => return None,
                Said::Nothing => {}
            },
            Err(mpsc::RecvTimeoutError::Timeout) => return Some(start.elapsed()),
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
        }
    }
}

fn last_words(console: &PathBuf) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(LAST_WORDS);
    lines.get(from..).unwrap_or_default().join("\n")
}
