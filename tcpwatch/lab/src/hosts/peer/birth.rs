//! How a process becomes a host: it ends with its parent, carries a telling name, has nothing open
//! but the way to its parent, and leaves the parent's network.

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

/// What the process needs for itself is not below, so that its sockets are numbered from 3, as in
/// any program that has opened nothing yet.
const OUT_OF_THE_WAY: i32 = 100;

/// Ties the process to its parent; returns the way to it, which came as standard input.
pub(super) fn control(host: Host, parent: i32) -> io::Result<UnixStream> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that went before that would never be noticed.
    if orphans::is_left_alone(parent) {
        return Err(io::Error::other("the parent has gone"));
    }
    set_name(&CString::new(orphans::name(host))?)?;
    let control = out_of_the_way(&io::stdin())?.into();
    dup2_stdin(File::open("/dev/null")?)?;
    close_the_rest()?;
    Ok(control)
}

/// A process in a network namespace of its own is a host.
pub(super) fn leave_network() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| io::Error::other(format!("unshare with CLONE_NEWNET: {error}")))
}

/// Both hosts' processes run on one processor, and with them the softirqs of their links: what one
/// sends, the other has before the system call returns, in the same order in every run.
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

/// A host's process does little and goes first, so that a busy machine does not come between two
/// system calls that belong together. Without the privilege it waits for its turn as others do.
pub(super) fn go_first() {
    let _goes_first = setpriority_process(None, -20).is_ok();
}

pub(super) fn out_of_the_way(file: &dyn AsFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(file, OUT_OF_THE_WAY)?)
}

/// Closes what the parent, or whoever started that, left open by mistake.
fn close_the_rest() -> io::Result<()> {
    let names = fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name()));
    let names: Vec<_> = names.collect::<io::Result<_>>()?;
    for number in names.iter().filter_map(|name| name.to_str()?.parse::<i32>().ok()) {
        if (3..OUT_OF_THE_WAY).contains(&number) {
            // The list itself is among them, and closed already.
            let _closed = close(number).is_ok();
        }
    }
    Ok(())
}
