//! Runs a command in the foreground and reports what happens to it as events.
//!
//! The terminal sends Ctrl-C to this process and to the child alike. This process stays to clean up, and intervenes
//! only if the child does not end by itself.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::fd::OwnedFd,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// tcpwatch's first line on stderr begins with this; by then it is attached.
const BANNER: &str = "tcpwatch ";
/// Time for the child to end by itself after Ctrl-C.
const GRACE: Duration = Duration::from_secs(2);

/// What happened to the child.
#[derive(Debug)]
pub(crate) enum ChildEvent {
    /// It has written its banner.
    Ready,
    /// It has ended.
    Ended(io::Result<ExitStatus>),
}

/// Whether the child's stderr is read for its banner on the way to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Banner {
    Awaited,
    Ignored,
}

/// Starts `command` with the stdin and stdout of this process.
pub(crate) fn start(mut command: Command, banner: Banner) -> Result<mpsc::Receiver<ChildEvent>> {
    let name = command.get_program().display().to_string();
    // Before the child starts, so that no Ctrl-C is missed.
    let signals = Signals::new([SIGINT, SIGTERM]).context("cannot catch Ctrl-C")?;
    if banner == Banner::Awaited {
        command.stderr(Stdio::piped());
    }
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let pidfd = open(&child).with_context(|| format!("cannot open a pidfd of {name}"))?;
    let (sender, events) = mpsc::channel();
    let stderr = child.stderr.take();
    let forwarder = stderr.map(|stderr| {
        let ready = sender.clone();
        thread::spawn(move || forward(stderr, || report(&ready, ChildEvent::Ready)))
    });
    thread::spawn(move || pass_on(signals, &pidfd));
    thread::spawn(move || {
        let status = child.wait();
        // Its last lines are shown before its end is reported.
        if let Some(Err(_)) = forwarder.map(thread::JoinHandle::join) {
            eprintln!("the thread that shows the messages of tcpwatch panicked");
        }
        report(&sender, ChildEvent::Ended(status));
    });
    Ok(events)
}

fn open(child: &Child) -> io::Result<Arc<OwnedFd>> {
    let pid = Pid::from_child(child);
    Ok(Arc::new(pidfd_open(pid, PidfdFlags::empty())?))
}

/// The receiver is gone when `run` is about to return: then the event has no use.
fn report(events: &mpsc::Sender<ChildEvent>, event: ChildEvent) {
    drop(events.send(event));
}

/// Copies lines to stderr; calls `ready` at the banner.
fn forward(stderr: ChildStderr, ready: impl Fn()) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        if io::stderr().write_all(&line).is_err() {
            return;
        }
        if line.starts_with(BANNER.as_bytes()) {
            ready();
        }
        line.clear();
    }
}

/// Sends SIGTERM to the child at once. Ctrl-C has already reached it, unless it was sent to this process only.
fn pass_on(mut signals: Signals, child: &OwnedFd) {
    for signal in signals.forever() {
        if signal == SIGINT {
            thread::sleep(GRACE);
        }
        if let Err(error) = pidfd_send_signal(child, Signal::TERM) {
            eprintln!("cannot end tcpwatch: {error}");
        }
    }
}
