//! A process that outlives a killed laboratory by moments. The kernel ends the hosts' processes with
//! the laboratory, but a socket that still tries to reach its peer would hold its network namespace
//! until its retries are used up, which can take minutes; whoever holds the namespace can end it.

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
use tcpwatch_kernel::{netns, probe::filters::Family, source::snapshot::namespaces};

use super::witness::Witness;

/// The command that makes tcpwatch a janitor.
const COMMAND: &str = "lab-janitor";

/// A process that is being ended may leave sockets while others are cleared away.
const MOST_TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// The laboratory's side. When it is gone, whatever ended it, the pipe to the process closes.
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

    /// From now on the network namespace of this process is its charge.
    pub(super) fn charge(&self, pid: u32) {
        self.tell(&format!("+{pid}\n"));
    }

    /// The laboratory takes care of it.
    pub(super) fn discharge(&self, pid: u32) {
        self.tell(&format!("-{pid}\n"));
    }

    fn tell(&self, line: &str) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a janitor the kernel clears away, later.
        let _told =
            child.stdin.as_mut().is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok());
    }
}

/// Is a janitor until the laboratory has gone, and clears what it left.
#[must_use]
pub fn run() -> ExitCode {
    // What ends the laboratory's group of processes does not end this one.
    let _own_session = setsid().is_ok();
    let _named = set_name(c"lab-janitor").is_ok();
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

/// Ends all sockets in there. Where the kernel cannot do that they end with their retries.
fn clear(netns: &File) {
    let Ok(number) = netns.metadata().and_then(|about| namespaces::inode(&about)) else { return };
    let _cleared = netns::enter(netns, || {
        for family in [Family::V4, Family::V6] {
            let Ok(mut witness) = Witness::new(number, family) else { continue };
            for _ in 0..MOST_TRIES {
                if witness.clear().is_err() || witness.look().is_ok_and(|left| left.is_empty()) {
                    break;
                }
                thread::sleep(PAUSE);
            }
        }
    })
    .is_ok();
}
