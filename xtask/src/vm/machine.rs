//! Runs a kernel and its file system in QEMU, and turns the machine's output into a report.

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
    guest::{GuestTest, MachineJob},
    report::{LineMeaning, MachineReport},
};
use crate::command::die_with_this_thread;

/// Time limit for a machine: much longer than it works, because others may run beside it. The init script ends a single
/// test that hangs, by the machine's own clock.
const LIMIT: Duration = Duration::from_mins(40);
/// Time limit for the next line of output: longer than any test takes on a busy host.
const SILENCE: Duration = Duration::from_mins(10);
/// Turns off what costs an emulated processor most and does not affect TCP: mitigations of flaws of real processors
/// (each system call would flush the TLB), and clearing of memory in advance.
const CHEAP: &str = "mitigations=off init_on_alloc=0 apparmor=0";
/// Number of the kernel's own lines that are shown when a machine breaks.
const LAST_LINES: usize = 20;

/// Runs the machine to its end; prints each test's result as the test ends.
pub(crate) fn run(qemu: &Path, job: &MachineJob<'_>, image: &Path) -> Result<MachineReport> {
    let console = image.with_extension(format!("{}.console", job.name));
    let mut machine = start(qemu, job, image, &console)?;
    let lines = machine.stdout.take().context("QEMU has no stdout")?;
    let mut report = MachineReport::new(&job.kernel.name, job.tests.iter().map(GuestTest::path));
    let cut = follow(&follower(lines), &mut report);
    // An error means that it has already ended.
    drop(machine.kill());
    machine.wait().context("cannot wait for QEMU")?;
    report.close(cut, || last_lines(&console));
    Ok(report)
}

fn start(qemu: &Path, job: &MachineJob<'_>, image: &Path, console: &Path) -> Result<Child> {
    let MachineJob { kernel, way, name, .. } = job;
    let mut serial = std::ffi::OsString::from("file:");
    serial.push(console);
    let mut command = Command::new(qemu);
    command
        // Without KVM, so that it runs on any host. The simplest processor is the fastest to emulate. It has a source
        // of random numbers: nothing else in such a machine is random, and a program that asks the kernel for good
        // random numbers would block for ever.
        .args(["-accel", "tcg,thread=single", "-cpu", "qemu64,+rdrand", "-m", "1G", "-smp", "1"])
        // The machine's clock advances by a nanosecond with each instruction, and jumps when the processor idles:
        // nothing is late because the host is slow or busy, and no wait takes time. A second processor would stand
        // still while the first one works.
        .args(["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        // The init script finds `JOB` in its environment.
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
        .stdout(Stdio::piped());
    die_with_this_thread(&mut command);
    command.spawn().with_context(|| format!("cannot start {}", qemu.display()))
}

fn follower(lines: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(lines);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            // The receiver is gone after the time limit.
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// Reads until the machine is done, has ended, or exceeds its time limit, which is then returned.
fn follow(lines: &Receiver<String>, report: &mut MachineReport) -> Option<Duration> {
    let start = Instant::now();
    loop {
        match lines.recv_timeout(SILENCE.min(LIMIT.saturating_sub(start.elapsed()))) {
            Ok(line) => match report.read_line(&line) {
                LineMeaning::Result(line) => eprintln!("{line}"),
                LineMeaning::Done => return None,
                LineMeaning::Nothing => {}
            },
            Err(mpsc::RecvTimeoutError::Timeout) => return Some(start.elapsed()),
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
        }
    }
}

fn last_lines(console: &PathBuf) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(LAST_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}
