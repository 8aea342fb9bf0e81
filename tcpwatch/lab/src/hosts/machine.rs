//! One host, from the laboratory's side: its process, which executes commands, and its network namespace, which lasts
//! as long as this value.

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
use tcpwatch_kernel::{clock, netns, probe::filters::FamilyFilter, source::snapshot::namespaces};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

use super::{
    channel::{HostCommand, HostMessage},
    error::HostsError,
    janitor::Janitor,
    orphans::{self, PARENT, PEER},
    spawner::Spawner,
    witness::HostSockDiag,
};
use crate::{
    host::Host,
    scenario::{Call, CallKind, Signal},
    story::{MomentKind, StoryEvent},
};

/// Polling interval for a process that is about to stop or to end.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The state of a host's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProcessState {
    Running,
    Stopped,
    /// It has ended, by itself or by a signal; its network namespace is still there.
    Ended,
}

/// A running host. Dropping it ends its process.
#[derive(Debug)]
pub struct Machine {
    host: Host,
    child: Child,
    handle: OwnedFd,
    condition: ProcessState,
    orders: OwnedWriteHalf,
    number: u64,
    answers: mpsc::UnboundedReceiver<(u64, Result<(), String>)>,
    moments: mpsc::UnboundedSender<StoryEvent>,
    netns_file: File,
    netns: Netns,
    ifindex: u32,
    witness: Option<HostSockDiag>,
    janitor: Janitor,
}

impl Machine {
    /// Starts its process and waits until that is in a network namespace of its own.
    pub(super) async fn start(
        host: Host,
        family: FamilyFilter,
        program: &Path,
        spawner: &Spawner,
        cpu: u32,
        moments: mpsc::UnboundedSender<StoryEvent>,
    ) -> Result<Self, HostsError> {
        let cannot_start = |source| HostsError::Start { host, program: program.to_owned(), source };
        let (ours, theirs) = Pair::pair().map_err(cannot_start)?;
        let mut command = Command::new(program);
        command
            .arg0(orphans::name(host))
            .args([PEER, host.name(), PARENT, &process::id().to_string()])
            .args(["--cpu", &cpu.to_string()])
            .args((family == FamilyFilter::V6).then_some("-6"))
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = spawner.spawn(command).await.map_err(cannot_start)?;
        let mut child = EndedOnDrop(Some(child));
        let handle = child.open().map_err(cannot_start)?;
        ours.set_nonblocking(true).map_err(cannot_start)?;
        let (messages, orders) = UnixStream::from_std(ours).map_err(cannot_start)?.into_split();
        let mut messages = BufReader::new(messages);
        let set_up = |why| HostsError::SetUp { host, why };
        match read_message(&mut messages).await.map_err(set_up)? {
            Some(HostMessage::Ready) => {}
            Some(HostMessage::NotReady(why)) => return Err(set_up(why)),
            other => return Err(set_up(format!("its first message was {other:?}"))),
        }
        let way = format!("/proc/{}/ns/net", child.id());
        let cannot_enter = |source| HostsError::Enter { host, source };
        let netns_file =
            File::open(way).map_err(namespaces::EnterError::Open).map_err(cannot_enter)?;
        let netns = netns_file.metadata().and_then(|about| namespaces::inode(&about));
        let netns = netns.map_err(namespaces::EnterError::Open).map_err(cannot_enter)?;
        let (answer, answers) = mpsc::unbounded_channel();
        tokio::spawn(pass_on(host, messages, answer, moments.clone()));
        let child = child.take().map_err(cannot_start)?;
        let janitor = spawner.janitor.clone();
        janitor.charge(child.id());
        Ok(Self {
            host,
            child,
            handle,
            condition: ProcessState::Running,
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

    /// Runs `work` in a thread inside its network namespace, while the calling thread continues with other runs: the
    /// kernel lets only one thread at a time set up network devices.
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

    pub(super) fn equip(&mut self, ifindex: u32, witness: HostSockDiag) {
        self.ifindex = ifindex;
        self.witness = Some(witness);
    }

    /// Which host it is.
    #[must_use]
    pub const fn host(&self) -> Host {
        self.host
    }

    /// The process id of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its network namespace.
    #[must_use]
    pub const fn netns(&self) -> Netns {
        self.netns
    }

    /// A descriptor of its network namespace, for `setns`.
    #[must_use]
    pub fn netns_fd(&self) -> BorrowedFd<'_> {
        self.netns_file.as_fd()
    }

    /// The index of its interface, which no other interface of this process's hosts has.
    #[must_use]
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Makes system calls. Returns when they have returned; `connect`, `accept`, `recv` and other blocking calls only
    /// have to have begun and to sleep in the kernel.
    ///
    /// The calls arrive as moments before this returns. A call that is reported once has the time when it began, so
    /// that it precedes its effects; a call that is reported twice has both times.
    ///
    /// # Errors
    /// If the process cannot do that in its present state, or has ended. A failed system call is an error only if the
    /// step is pointless without it (`socket`, `bind`, `read_message`, `setsockopt`); otherwise it is a result like any
    /// other.
    pub async fn call(&mut self, call: &Call) -> Result<(), HostsError> {
        let host = self.host;
        match self.condition {
            ProcessState::Running => {}
            ProcessState::Stopped => {
                let why = "its process is stopped and calls nothing until it continues".to_owned();
                return Err(HostsError::Impossible { host, why });
            }
            ProcessState::Ended => {
                let why = "its process has ended".to_owned();
                return Err(HostsError::Impossible { host, why });
            }
        }
        self.number += 1;
        let order = HostCommand { number: self.number, call: call.clone() };
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
                Some(_) => {} // of a call that is no longer waited for
                None => return Err(silent("it has ended unexpectedly".to_owned())),
            }
        }
    }

    /// Sends a signal. Returns when the process is stopped, or is continued, or has ended and the kernel has closed its
    /// sockets. The moment's time is when the signal was sent.
    ///
    /// # Errors
    /// If the process has ended before.
    pub async fn signal(&mut self, signal: Signal) -> Result<(), HostsError> {
        let host = self.host;
        if self.condition == ProcessState::Ended {
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
                self.condition = ProcessState::Stopped;
            }
            Signal::Continue => self.condition = ProcessState::Running,
            Signal::Kill => self.wait_for_end().await?,
        }
        // An error means that the run no longer reads its moments.
        drop(self.moments.send(StoryEvent { at, host, what: MomentKind::Signal(signal) }));
        Ok(())
    }

    /// Its sockets as `sock_diag` lists them now, including listeners, half-open connections and mini-sockets; this is
    /// independent of every hook.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn list(&mut self) -> Result<Vec<KnownSocket>, HostsError> {
        let host = self.host;
        match self.witness.as_mut() {
            Some(witness) => witness.list().map_err(|source| HostsError::Look { host, source }),
            None => Ok(Vec::new()),
        }
    }

    async fn wait_for_end(&mut self) -> Result<(), HostsError> {
        self.wait_for(WaitIdOptions::EXITED).await?;
        self.condition = ProcessState::Ended;
        // Its last messages.
        while self.answers.recv().await.is_some() {}
        Ok(())
    }

    async fn wait_for(&self, what: WaitIdOptions) -> Result<(), HostsError> {
        let options = what | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::PidFd(self.handle.as_fd()), options) {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => tokio::time::sleep(POLL_INTERVAL).await,
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
        // A socket that the process leaves to the kernel holds the network namespace for as long as it retransmits.
        // Where it cannot be destroyed, it ends when its retries are used up.
        if let Some(witness) = self.witness.as_mut() {
            drop(witness.clear());
        }
        self.janitor.discharge(self.pid());
    }
}

fn end(child: &mut Child) {
    // An error means that it has ended and been waited for.
    if child.kill().is_ok() {
        // It was this process's child, so waiting cannot fail for a reason that could be mended here.
        drop(child.wait());
    }
}

/// A process without an owner yet.
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

/// Reads one message; `None` at the end.
async fn read_message(
    messages: &mut BufReader<OwnedReadHalf>,
) -> Result<Option<HostMessage>, String> {
    let mut line = String::new();
    match messages.read_line(&mut line).await {
        Ok(0) => Ok(None),
        Ok(_) => serde_json::from_str(&line).map(Some).map_err(|error| format!("{error}: {line}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Passes on the messages of the process until it ends.
async fn pass_on(
    host: Host,
    mut messages: BufReader<OwnedReadHalf>,
    answers: mpsc::UnboundedSender<(u64, Result<(), String>)>,
    moments: mpsc::UnboundedSender<StoryEvent>,
) {
    loop {
        let (at, what) = match read_message(&mut messages).await {
            Ok(Some(HostMessage::Called(at, call))) => (at, MomentKind::Called(call)),
            Ok(Some(HostMessage::Returned(at, call))) => (at, MomentKind::Returned(call)),
            Ok(Some(HostMessage::Done(number, done))) => {
                if answers.send((number, done)).is_err() {
                    return;
                }
                continue;
            }
            Ok(Some(HostMessage::Ready | HostMessage::NotReady(_))) => continue,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!("the {host}'s process sent an invalid message: {error}");
                return;
            }
        };
        // An error means that the run no longer reads its moments.
        drop(moments.send(StoryEvent { at, host, what }));
    }
}
