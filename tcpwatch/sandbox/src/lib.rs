//! Gives up what a process no longer needs once everything that takes a privilege is open: capabilities, root's user
//! id, new privileges by `execve`, files (Landlock) and system calls (seccomp).
//!
//! Capabilities, user ids, `no_new_privs` and Landlock (below ABI 8) belong to a thread. [`enter`] therefore runs while
//! the process has only one; the threads that are started later inherit everything, which [`InForce::verify`] checks.
//!
//! The order matters: the bounding set takes `CAP_SETPCAP`, a change of user ids takes `CAP_SETUID`, so both come before
//! the capabilities; Landlock and seccomp take `no_new_privs`, and seccomp comes last because it forbids the rest.

#![deny(unsafe_code)]

mod calls;
mod credentials;
mod files;
mod in_force;
mod passwd;
mod threads;

use std::{io, path::PathBuf};

pub use in_force::InForce;
pub use rustix::thread::CapabilitySet;

/// Whether it is entered, and what follows from a layer that this machine does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// As much as there is; what is missing is in [`InForce`].
    #[default]
    Auto,
    /// Everything, or [`SandboxError::Missing`].
    Strict,
    /// Nothing is given up.
    Off,
}

/// What the process still has to do.
#[derive(Clone, Debug)]
pub struct SandboxNeeds {
    /// Capabilities that stay, of those that it has.
    pub(crate) capabilities: CapabilitySet,
    /// Files and directories that stay readable while all others are not; `None` leaves files to the user id.
    pub(crate) readable: Option<Vec<PathBuf>>,
    /// System calls that stay.
    pub(crate) calls: calls::CallGroup,
}

/// What metrics are made of besides: cgroups, and the processors, whose number says how long a value of a per-CPU map
/// is.
const MEASURED: [&str; 2] = ["/sys/fs/cgroup", "/sys/devices/system/cpu"];
/// What every process here reads: counters, sysctls and its own state, and what local time is made of.
const ALWAYS: [&str; 3] = ["/proc", "/etc/localtime", "/usr/share/zoneinfo"];

impl SandboxNeeds {
    /// Of a process that listens: it keeps no capability, and reads its sources and what is below `configuration`.
    #[must_use]
    pub fn listening(configuration: impl IntoIterator<Item = PathBuf>) -> Self {
        let sources = MEASURED.into_iter().chain(ALWAYS).map(PathBuf::from);
        Self {
            capabilities: CapabilitySet::empty(),
            readable: Some(sources.chain(configuration).collect()),
            calls: calls::CallGroup::Maps,
        }
    }

    /// Of the log: it keeps what looking into other processes and other network namespaces takes. No Landlock, which
    /// hides `/proc/PID/ns` and `/proc/PID/fd` of others even from root (`hook_ptrace_access_check`,
    /// security/landlock/task.c).
    #[must_use]
    pub fn looking() -> Self {
        Self {
            capabilities: CapabilitySet::SYS_ADMIN
                | CapabilitySet::SYS_PTRACE
                | CapabilitySet::DAC_READ_SEARCH,
            readable: None,
            calls: calls::CallGroup::Namespaces,
        }
    }

    /// Of a process that reads what is open already, such as a recording.
    #[must_use]
    pub fn reading() -> Self {
        Self {
            capabilities: CapabilitySet::empty(),
            readable: Some(ALWAYS.map(PathBuf::from).into()),
            calls: calls::CallGroup::Files,
        }
    }
}

/// The process cannot give up what it should.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A layer is missing where all are demanded.
    #[error(
        "--sandbox strict is not possible here: {}; --sandbox auto goes without what is missing",
        missing.join("; ")
    )]
    Missing {
        /// What is missing, and why.
        missing: Vec<String>,
    },
    /// The process has other threads, which would keep everything.
    #[error("privileges can be given up by a single thread, and this process has {}", names.join(", "))]
    Threads {
        /// The names of all threads.
        names: Vec<String>,
    },
    /// The state of the process cannot be read.
    #[error("cannot read {path}: {source}; is /proc mounted?")]
    Unreadable {
        /// The file.
        path: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel refuses something that it allows every process.
    #[error("cannot give up privileges: {what}: {source}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// A thread has more than was said.
    #[error("thread {thread} has {found}, and {expected} is expected")]
    Thread {
        /// Its number.
        thread: String,
        /// The line of its status.
        found: String,
        /// The line as it should be.
        expected: String,
    },
}

/// Gives up everything but `needs`. `still_reads` tries, without the capabilities that go, what the process will need
/// of `bpf(2)`: kernels before 5.19 refuse even reads of open maps without `CAP_BPF`
/// (commit c8644cd0efe7, Linux 5.19, `__sys_bpf` in kernel/bpf/syscall.c); if it is refused, `CAP_BPF` stays.
///
/// # Errors
/// If the process has other threads, or a layer is missing and [`Demand::Strict`] was asked for. Some privileges may be
/// gone then: the process has to end.
pub fn enter(
    demand: Demand,
    needs: &SandboxNeeds,
    still_reads: impl FnOnce() -> bool,
) -> Result<InForce, SandboxError> {
    if demand == Demand::Off {
        return InForce::nothing();
    }
    threads::demand_single()?;
    let mut missing = Vec::new();
    let kept = credentials::that_stay(needs.capabilities, still_reads)?;
    if kept.contains(CapabilitySet::BPF) && !needs.capabilities.contains(CapabilitySet::BPF) {
        missing.push("this kernel reads no BPF map without CAP_BPF, which stays".to_owned());
    }
    missing.extend(credentials::give_up(kept)?);
    let mut in_force = InForce::of_credentials()?;
    if let Some(readable) = &needs.readable {
        match files::restrict(readable) {
            Ok(abi) => in_force.landlock = Some(abi),
            Err(why) => missing.push(why),
        }
    }
    match calls::restrict(needs.calls) {
        Ok(()) => in_force.seccomp = true,
        Err(why) => missing.push(why),
    }
    if demand == Demand::Strict && !missing.is_empty() {
        return Err(SandboxError::Missing { missing });
    }
    in_force.missing = missing;
    in_force.verify()?;
    Ok(in_force)
}
