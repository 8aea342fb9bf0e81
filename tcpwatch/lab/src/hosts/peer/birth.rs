//! Turns a process into a host: it ends with its parent, has a descriptive name, has only the socket to its parent
//! open, and leaves the parent's network namespace.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::close,
};
use rustix::{
    io::fcntl_dupfd_cloexec,
    process::{Signal, set_parent_process_death_signal, setpriority_process},
    stdio::dup2_stdin,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity, set_name},
};

use crate::{host::Host, hosts::orphans};

/// The process's own descriptors are not below this number, so that its sockets are numbered from 3, as in any program
/// that has opened nothing yet.
const OUT_OF_THE_WAY: i32 = 100;

/// Ties the process to its parent; returns the socket to it, which is passed as standard input.
pub(super) fn control(host: Host, parent: i32) -> io::Result<UnixStream> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // If the parent ended before that, no signal would come.
    if orphans::is_left_alone(parent) {
        return Err(io::Error::other("the parent has ended"));
    }
    set_name(&CString::new(orphans::name(host))?)?;
    let control = out_of_the_way(&io::stdin())?.into();
    dup2_stdin(File::open("/dev/null")?)?;
    close_the_rest()?;
    Ok(control)
}

/// Moves the process into a new network namespace.
pub(super) fn leave_network() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| io::Error::other(format!("unshare with CLONE_NEWNET: {error}")))
}

/// Both hosts' processes run on one processor, and so do the softirqs of their links: a segment that one sends has
/// reached the other before the system call returns, in the same order in every run.
pub(super) fn share_one_cpu(number: u32) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let cpus = || (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let number = usize::try_from(number).unwrap_or_default();
    let Some(cpu) = number.checked_rem(cpus().count()).and_then(|place| cpus().nth(place)) else {
        return Ok(());
    };
    let mut one = CpuSet::new();
    one.set(cpu);
    Ok(sched_setaffinity(None, &one)?)
}

/// Raises the priority of a host's process, which does little, so that a busy machine does not delay the second of two
/// system calls that belong together. Without the privilege it keeps its priority.
pub(super) fn go_first() {
    setpriority_process(None, -20).unwrap_or_default();
}

pub(super) fn out_of_the_way(file: &dyn AsFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(file, OUT_OF_THE_WAY)?)
}

/// Closes the descriptors that the parent, or its parent, left open by mistake.
fn close_the_rest() -> io::Result<()> {
    let names = fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name()));
    let names: Vec<_> = names.collect::<io::Result<_>>()?;
    for number in names.iter().filter_map(|name| name.to_str()?.parse::<i32>().ok()) {
        if (3..OUT_OF_THE_WAY).contains(&number) {
            // The list itself is among them, and already closed.
            close(number).unwrap_or_default();
        }
    }
    Ok(())
}
