//! One host, from the laboratory's side: its process, which does what it is told, and its network
//! namespace, which lasts as long as this does.

use std::{
    fs::File,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{net::UnixStream as Pair, process::CommandExt as _},
    },
    path::Path,
    process::{self, Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{
    Pid, PidfdFlags, Signal as KernelSignal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal,
    waitid,
};
use tcpwatch_core::event::{KnownSocket, Netns};
use tcpwatch_kernel::{clock, netns, probe::filters::Family, source::snapshot::namespaces};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

use super::{
    channel::{Order, Told},
    error::HostsError,
    janitor::Janitor,
    orphans::{self, PARENT, PEER},
    spawner::Spawner,
    witness::Witness,
};
use crate::{
    host::Host,
    scenario::{Call, CallKind, Signal},
    story::{Moment, What},
};

/// How often a process is looked at that is about to stop or to end.
const GLANCE: Duration = Duration::from_millis(1);

/// What a process is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Running,
    Stopped,
    /// It has ended, by itself or by a signal; its network namespace is still there.
    Ended,
}

/// A host that exists. Ends with its process when it is dropped.
#[derive(Debug)]
pub struct Machine {
    host: Host,
    child: Child,
    handle: OwnedFd,
    condition: Condition,
    orders: OwnedWriteHalf,
    number: u64,
    answers: mpsc::UnboundedReceiver<(u64, Result<(), String>)>,
    moments: mpsc::UnboundedSender<Moment>,
    netns_file: File,
    netns: Netns,
    ifindex: u32,
    witness: Option<Witness>,
    janitor: Janitor,
}

impl Machine {
    /// Starts its process and waits until that is in a network namespace of its own.
    pub(super) async fn start(
        host: Host,
        family: Family,
        program: &Path,
        spawner: &Spawner,
        cpu: u32,
        moments: mpsc::UnboundedSender<Moment>,
    ) -> Result<Self, HostsError> {
        let cannot_start = |source| HostsError::Start { host, program: program.to_owned(), source };
        let (ours, theirs) = Pair::pair().map_err(cannot_start)?;
        let mut command = Command::new(program);
        command
            .arg0(orphans::name(host))
            .args([PEER, host.name(), PARENT, &process::id().to_string()])
            .args(["--cpu", &cpu.to_string()])
            .args((family == Family::V6).then_some("-6"))
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = spawner.spawn(command).await.map_err(cannot_start)?;
        let mut child = EndedOnDrop(Some(child));
        let handle = child.open().map_err(cannot_start)?;
        ours.set_nonblocking(true).map_err(cannot_start)?;
        let (told, orders) = UnixStream::from_std(ours).map_err(cannot_start)?.into_split();
        let mut told = BufReader::new(told);
        let set_up = |why| HostsError::SetUp { host, why };
        match listen(&mut told).await.map_err(set_up)? {
            Some(Told::Ready) => {}
            Some(Told::NotReady(why)) => return Err(set_up(why)),
            other => return Err(set_up(format!("its first word was {other:?}"))),
        }
        let way = format!("/proc/{}/ns/net", child.id());
        let cannot_enter = |source| HostsError::Enter { host, source };
        let netns_file =
            File::open(way).map_err(namespaces::EnterError::Open).map_err(cannot_enter)?;
        let netns = netns_file.metadata().and_then(|about| namespaces::inode(&about));
        let netns = netns.map_err(namespaces::EnterError::Open).map_err(cannot_enter)?;
        let (answer, answers) = mpsc::unbounded_channel();
        tokio::spawn(pass_on(host, told, answer, moments.clone()));
        let child = child.take().map_err(cannot_start)?;
        let janitor = spawner.janitor.clone();
        janitor.charge(child.id());
        Ok(Self {
            host,
            child,
            handle,
            condition: Condition::Running,
            orders,
            number: 0,
            answers,
            moments,
            netns_file,
            netns,
            ifindex: 0,
            witness: None,
            janitor,
        })
    }

    /// Does `work` in a thread inside its network namespace, while the calling thread goes on with
    /// other runs: the kernel lets only one at a time set up network devices.
    pub(super) async fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HostsError> {
        let cannot = |source| HostsError::Enter { host: self.host, source };
        let netns = self.netns_file.try_clone().map_err(namespaces::EnterError::Open);
        let netns = netns.map_err(cannot)?;
        let entered = tokio::task::spawn_blocking(move || netns::enter(&netns, work)).await;
        let panicked = |error| namespaces::EnterError::Thread(std::io::Error::other(error));
        entered.map_err(panicked).map_err(cannot)?.map_err(cannot)
    }

    pub(super) fn equip(&mut self, ifindex: u32, witness: Witness) {
        self.ifindex = ifindex;
        self.witness = Some(witness);
    }

    /// Which one it is.
    #[must_use]
    pub const fn host(&self) -> Host {
        self.host
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its network namespace.
    #[must_use]
    pub const fn netns(&self) -> Netns {
        self.netns
    }

    /// A way into its network namespace, for `setns`.
    #[must_use]
    pub fn netns_fd(&self) -> BorrowedFd<'_> {
        self.netns_file.as_fd()
    }

    /// The number of its link, which no other link of this process's hosts has.
    #[must_use]
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Makes system calls. Returns when they have returned; `connect`, `accept`, `recv` and whatever
    /// else blocks only have to be on their way: begun, and asleep in the kernel.
    ///
    /// What was called arrives as moments before this returns. A call that is told once has the time
    /// when it began, so that it comes before its effects; a call that is told twice has both times.
    ///
    /// # Errors
    /// If the process cannot do that as things are, or has ended. That a system call failed is an
    /// error only if the step makes no sense without it (`socket`, `bind`, `listen`, `setsockopt`);
    /// otherwise it is what happened.
    pub async fn call(&mut self, call: &Call) -> Result<(), HostsError> {
        let host = self.host;
        match self.condition {
            Condition::Running => {}
            Condition::Stopped => {
                let why = "its process is stopped and calls nothing until it continues".to_owned();
                return Err(HostsError::Impossible { host, why });
            }
            Condition::Ended => {
                let why = "its process has ended".to_owned();
                return Err(HostsError::Impossible { host, why });
            }
        }
        self.number += 1;
        let order = Order { number: self.number, call: call.clone() };
        let silent = |why: String| HostsError::Silent { host, why };
        let mut line = serde_json::to_vec(&order).map_err(|error| silent(error.to_string()))?;
        line.push(b'\n');
        self.orders.write_all(&line).await.map_err(|error| silent(error.to_string()))?;
        if call.kind == CallKind::Exit {
            return self.wait_for_end().await;
        }
        loop {
            match self.answers.recv().await {
                Some((number, done)) if number == self.number => {
                    return done.map_err(|why| HostsError::Impossible { host, why });
                }
                Some(_) => {} // of a call that nobody waits for any more
                None => return Err(silent("it has ended unexpectedly".to_owned())),
            }
        }
    }

    /// Sends a signal. Returns when the process is stopped, or has been told to go on, or has ended
    /// and the kernel has closed its sockets. The moment's time is when the signal was sent.
    ///
    /// # Errors
    /// If the process has ended before.
    pub async fn signal(&mut self, signal: Signal) -> Result<(), HostsError> {
        let host = self.host;
        if self.condition == Condition::Ended {
            let why = "its process has ended already".to_owned();
            return Err(HostsError::Impossible { host, why });
        }
        let number = match signal {
            Signal::Stop => KernelSignal::STOP,
            Signal::Continue => KernelSignal::CONT,
            Signal::Kill => KernelSignal::KILL,
        };
        let at = clock::now();
        let cannot = |source| HostsError::Signal { host, source };
        pidfd_send_signal(&self.handle, number).map_err(|error| cannot(error.into()))?;
        match signal {
            Signal::Stop => {
                self.wait_for(WaitIdOptions::STOPPED | WaitIdOptions::EXITED).await?;
                self.condition = Condition::Stopped;
            }
            Signal::Continue => self.condition = Condition::Running,
            Signal::Kill => self.wait_for_end().await?,
        }
        // Without a listener there is nobody to tell.
        let _told = self.moments.send(Moment { at, host, what: What::Signal(signal) }).is_ok();
        Ok(())
    }

    /// Its sockets as `sock_diag` tells them now, listeners, half-open connections and mini-sockets
    /// included; a question to the kernel that is independent of every hook.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn look(&mut self) -> Result<Vec<KnownSocket>, HostsError> {
        let host = self.host;
        match self.witness.as_mut() {
            Some(witness) => witness.look().map_err(|source| HostsError::Look { host, source }),
            None => Ok(Vec::new()),
        }
    }

    async fn wait_for_end(&mut self) -> Result<(), HostsError> {
        self.wait_for(WaitIdOptions::EXITED).await?;
        self.condition = Condition::Ended;
        // Its last words.
        while self.answers.recv().await.is_some() {}
        Ok(())
    }

    async fn wait_for(&self, what: WaitIdOptions) -> Result<(), HostsError> {
        let options = what | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::PidFd(self.handle.as_fd()), options) {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => tokio::time::sleep(GLANCE).await,
                Err(error) => {
                    return Err(HostsError::Signal { host: self.host, source: error.into() });
                }
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        end(&mut self.child);
        // What the process leaves to the kernel holds the network namespace for as long as it tries
        // to reach the peer. Where it cannot be ended it ends by itself, with its retries.
        if let Some(witness) = self.witness.as_mut() {
            let _cleared = witness.clear().is_ok();
        }
        self.janitor.discharge(self.pid());
    }
}

fn end(child: &mut Child) {
    // An error means that it has ended and been waited for.
    if child.kill().is_ok() {
        let _ended = child.wait().is_ok();
    }
}

/// A process that nobody has taken charge of yet.
struct EndedOnDrop(Option<Child>);

impl EndedOnDrop {
    fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    fn open(&mut self) -> std::io::Result<OwnedFd> {
        let gone = || std::io::Error::other("it has no process id");
        let pid = self.0.as_ref().map(Pid::from_child).ok_or_else(gone)?;
        Ok(pidfd_open(pid, PidfdFlags::empty())?)
    }

    fn take(mut self) -> std::io::Result<Child> {
        self.0.take().ok_or_else(|| std::io::Error::other("it was taken"))
    }
}

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        if let Some(child) = self.0.as_mut() {
            end(child);
        }
    }
}

/// One line; nothing at the end.
async fn listen(told: &mut BufReader<OwnedReadHalf>) -> Result<Option<Told>, String> {
    let mut line = String::new();
    match told.read_line(&mut line).await {
        Ok(0) => Ok(None),
        Ok(_) => serde_json::from_str(&line).map(Some).map_err(|error| format!("{error}: {line}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Passes on what the process tells, until it ends.
async fn pass_on(
    host: Host,
    mut told: BufReader<OwnedReadHalf>,
    answers: mpsc::UnboundedSender<(u64, Result<(), String>)>,
    moments: mpsc::UnboundedSender<Moment>,
) {
    loop {
        let (at, what) = match listen(&mut told).await {
            Ok(Some(Told::Called(at, call))) => (at, What::Called(call)),
            Ok(Some(Told::Returned(at, call))) => (at, What::Returned(call)),
            Ok(Some(Told::Done(number, done))) => {
                if answers.send((number, done)).is_err() {
                    return;
                }
                continue;
            }
            Ok(Some(Told::Ready | Told::NotReady(_))) => continue,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!("the {host}'s process said something odd: {error}");
                return;
            }
        };
        // Without a listener there is nobody to tell.
        let _told = moments.send(Moment { at, host, what }).is_ok();
    }
}
