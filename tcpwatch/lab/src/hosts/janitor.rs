//! A process that outlives a killed laboratory for a moment. The kernel ends the hosts' processes with the laboratory,
//! but a socket that still retransmits to its peer would hold its network namespace until its retries are used up,
//! which can take minutes. This process holds the namespaces, too, and ends such sockets.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::{process::setsid, thread::set_name};
use tcpwatch_kernel::{netns, probe::filters::FamilyFilter, source::snapshot::namespaces};

use super::witness::HostSockDiag;

/// The command that runs tcpwatch as a janitor.
const COMMAND: &str = "lab-janitor";

/// A process that is being ended may leave sockets while others are destroyed.
const MOST_TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// The laboratory's end. When the laboratory ends, for whatever cause, the pipe to the process closes.
#[derive(Clone, Debug)]
pub(super) struct Janitor(Arc<Mutex<Child>>);

impl Janitor {
    pub(super) fn start(program: &Path) -> io::Result<Self> {
        let child = Command::new(program)
            .arg0(COMMAND)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(Arc::new(Mutex::new(child))))
    }

    /// From now on the janitor cleans up the network namespace of this process.
    pub(super) fn charge(&self, pid: u32) {
        self.send(&format!("+{pid}\n"));
    }

    /// The laboratory itself cleans it up.
    pub(super) fn discharge(&self, pid: u32) {
        self.send(&format!("-{pid}\n"));
    }

    fn send(&self, line: &str) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = child.stdin.as_mut() {
            // Without a janitor the kernel removes the namespace later.
            drop(pipe.write_all(line.as_bytes()));
        }
    }
}

/// Runs as a janitor until the laboratory has ended, then destroys the sockets that it left.
#[must_use]
pub fn run() -> ExitCode {
    // A signal to the laboratory's process group does not end this process.
    if let Err(error) = setsid() {
        tracing::debug!("setsid: {error}");
    }
    // The name is only for people.
    set_name(c"lab-janitor").unwrap_or_default();
    let mut charges = BTreeMap::new();
    for line in io::stdin().lines().map_while(Result::ok) {
        if let Some(pid) = line.strip_prefix('+') {
            if let Ok(netns) = File::open(format!("/proc/{pid}/ns/net")) {
                charges.insert(pid.to_owned(), netns);
            }
        } else if let Some(pid) = line.strip_prefix('-') {
            charges.remove(pid);
        }
    }
    for netns in charges.values() {
        clear(netns);
    }
    ExitCode::SUCCESS
}

/// Destroys all sockets in the namespace. Where the kernel cannot do that, they end when their retries are used up.
fn clear(netns: &File) {
    let Ok(number) = netns.metadata().and_then(|about| namespaces::inode(&about)) else { return };
    let _cleared = netns::enter(netns, || {
        for family in [FamilyFilter::V4, FamilyFilter::V6] {
            let Ok(mut witness) = HostSockDiag::new(number, family) else { continue };
            for _ in 0..MOST_TRIES {
                if witness.clear().is_err() || witness.list().is_ok_and(|left| left.is_empty()) {
                    break;
                }
                thread::sleep(PAUSE);
            }
        }
    })
    .is_ok();
}
