//! A length of time comes in, TCP state changes happen on one CPU, and what each took goes out.

mod churn;
mod lap;
mod listen_close;
mod troubles;

use std::{thread, time::Duration};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

pub(crate) use churn::TRANSITIONS as CHURN_TRANSITIONS;
pub(crate) use lap::Work;

/// What makes the state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// socket, bind, listen, close: two changes, no packets.
    ListenClose,
    /// connect, accept, close, close over loopback: ten changes.
    Churn,
}

/// Everything happens that any hook tells of.
pub(crate) fn troubles() -> Result<()> {
    in_thread(troubles::run)
}

impl Workload {
    /// Runs in a thread of its own, on the last CPU that we may use; a tool's reader then finds
    /// another one free.
    pub(crate) fn run(self, length: Duration) -> Result<Work> {
        in_thread(move || {
            pin()?;
            match self {
                Self::ListenClose => listen_close::run(length),
                Self::Churn => churn::run(length),
            }
        })
    }
}

fn in_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let thread = thread::Builder::new()
        .name("bench-workload".into())
        .spawn(work)
        .context("cannot start a thread for the workload")?;
    thread.join().map_err(|_panic| anyhow!("the workload's thread panicked"))?
}

fn pin() -> Result<()> {
    let allowed = sched_getaffinity(None).context("cannot ask which CPUs we may use")?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(last.context("no CPU that we may use")?);
    sched_setaffinity(None, &one).context("cannot stay on one CPU")
}
