//! The thread that starts every host's process. It lives as long as tcpwatch does, because the kernel kills a process
//! with the *thread* that started it (`PR_SET_PDEATHSIG`, prctl(2)); and it is in a network namespace of its own,
//! because a new namespace takes the size of its table of connections from the namespace of the process that makes it.

use std::{
    fs, io,
    path::Path,
    process::{Child, Command},
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::oneshot;

use super::{error::HostsError, janitor::Janitor};

/// Buckets of a host's own table of connections. A dump of all of a host's sockets takes time in proportion to it
/// (`inet_diag_dump_icsk`, `net/ipv4/inet_diag.c`), and hosts have few connections.
const BUCKETS: &str = "64";

/// These shrink with the table (`tcp_set_hashinfo`, `net/ipv4/tcp_ipv4.c`) and must not.
const DEPENDENT: [&str; 2] = ["tcp_max_syn_backlog", "tcp_max_tw_buckets"];

type Work = (Command, oneshot::Sender<io::Result<Child>>);

static SPAWNER: Mutex<Option<Spawner>> = Mutex::new(None);

/// The other end of the channel to the thread.
#[derive(Clone)]
pub(super) struct Spawner {
    work: mpsc::Sender<Work>,
    /// Sysctls that a new namespace would inherit with wrong values, and the right ones.
    pub(super) inherited: Vec<(&'static str, String)>,
    pub(super) janitor: Janitor,
}

impl Spawner {
    /// The spawner of this process, started if it is not running; `program` is tcpwatch.
    pub(super) fn get(program: &Path) -> Result<Self, HostsError> {
        let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = spawner.as_ref() {
            return Ok(running.clone());
        }
        let started = Self::start(program)?;
        Ok(spawner.insert(started).clone())
    }

    fn start(program: &Path) -> Result<Self, HostsError> {
        raise_open_files();
        let (work, orders) = mpsc::channel::<Work>();
        let (sender, receiver) = mpsc::channel();
        let run = move || {
            let ready = unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
            let is_ready = ready.is_ok();
            let sent = sender.send(ready.map(|()| prepare()));
            if !is_ready || sent.is_err() {
                return;
            }
            for (mut command, answer) in orders {
                if let Err(Ok(mut unwanted)) = answer.send(command.spawn()) {
                    // The receiver has gone: its end of the channel is closed, and the process ends.
                    drop(unwanted.wait());
                }
            }
        };
        thread::Builder::new()
            .name("lab-spawner".to_owned())
            .spawn(run)
            .map_err(HostsError::Thread)?;
        let ended = |_| HostsError::Thread(io::Error::other("it ended at once"));
        let inherited = receiver.recv().map_err(ended)?.map_err(HostsError::Namespace)?;
        let janitor = Janitor::start(program).map_err(HostsError::Janitor)?;
        Ok(Self { work, inherited, janitor })
    }

    /// Starts a process.
    pub(super) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, answered) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.work.send((command, answer)).map_err(|_unsent| gone())?;
        answered.await.map_err(|_never| gone())?
    }
}

/// Makes the tables of new namespaces small, if the kernel can (6.1 and newer; older ones share one table among all);
/// returns the sysctls to be corrected in them.
fn prepare() -> Vec<(&'static str, String)> {
    let directory = Path::new("/proc/sys/net/ipv4");
    if fs::write(directory.join("tcp_child_ehash_entries"), BUCKETS).is_err() {
        return Vec::new();
    }
    let value = |name: &'static str| {
        let text = fs::read_to_string(directory.join(name)).ok()?;
        Some((name, text.trim().to_owned()))
    };
    DEPENDENT.into_iter().filter_map(value).collect()
}

/// Every host takes some open files, and many runs may be in progress. If the limit stays, a run beyond it reports
/// that.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap_or_default();
}
