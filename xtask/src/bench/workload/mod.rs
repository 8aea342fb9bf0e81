//! Makes TCP state changes on one CPU for a given time, and measures what each took.

mod churn;
mod lap;
mod listen_close;
mod troubles;

use std::{
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::private_net;
pub(crate) use churn::{ConnectionChurn, TRANSITIONS as CHURN_TRANSITIONS};
pub(crate) use lap::TimedWork;

/// What makes the state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// socket, bind, listen, close: two changes, no packets.
    ListenClose,
    /// connect, accept, close, close over loopback: ten changes.
    Churn,
}

/// Triggers every hook.
pub(crate) fn troubles() -> Result<()> {
    begin(|| {
        private_net::enter()?;
        troubles::run()
    })?
    .end()
}

impl Workload {
    /// Runs in a thread of its own on the last CPU that is available; another one remains for a tool's reader.
    pub(crate) fn run(self, length: Duration) -> Result<TimedWork> {
        let last = cpus()?.last().copied().context("no CPU is available to this process")?;
        self.begin(last, length)?.end()
    }

    /// The same on this CPU, without waiting for the end.
    pub(crate) fn begin(self, cpu: usize, length: Duration) -> Result<Working<TimedWork>> {
        begin(move || {
            pin(cpu)?;
            match self {
                Self::ListenClose => listen_close::run(length),
                Self::Churn => {
                    private_net::enter()?;
                    ConnectionChurn::new(0)?.run(length)
                }
            }
        })
    }
}

/// A working thread.
#[derive(Debug)]
pub(crate) struct Working<T>(JoinHandle<Result<T>>);

impl<T> Working<T> {
    /// Waits for the work to be done.
    pub(crate) fn end(self) -> Result<T> {
        self.0.join().map_err(|_panic| anyhow!("the workload's thread panicked"))?
    }
}

/// Starts work in a new thread, which begins in the network namespace of the caller.
pub(crate) fn begin<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<Working<T>> {
    let thread = thread::Builder::new()
        .name("bench-workload".into())
        .spawn(work)
        .context("cannot start a thread for the workload")?;
    Ok(Working(thread))
}

/// The CPUs that this process may use.
pub(crate) fn cpus() -> Result<Vec<usize>> {
    let allowed =
        sched_getaffinity(None).context("cannot read the CPU affinity of this process")?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect())
}

/// Keeps the calling thread on one CPU.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one).context("cannot pin the thread to one CPU")
}
