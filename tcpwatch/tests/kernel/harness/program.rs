//! The program under test, and the kernel's information about it: its programs, its switches.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead as _, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::poll;
use crate::carried;

/// tcpwatch, without its arguments.
pub(crate) fn tcpwatch() -> Command {
    Command::new(carried::program())
}

/// Starts it without input, so that its messages can be read.
pub(crate) fn spawn(command: &mut Command, stdout: impl Into<Stdio>) -> Child {
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
}

/// The same; returns when it has reported that nothing is missed any more.
pub(crate) fn started(
    command: &mut Command,
    stdout: impl Into<Stdio>,
) -> (Child, BufReader<ChildStderr>) {
    let mut child = spawn(command, stdout);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("Ctrl-C to stop") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    (child, stderr)
}

/// Stops a process while `act` runs.
pub(crate) fn while_stopped(pid: u32, act: impl FnOnce()) {
    signal(pid, Signal::STOP);
    poll("it stops", || {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        status.rsplit(')').next().unwrap().trim_start().starts_with('T').then_some(())
    });
    act();
    signal(pid, Signal::CONT);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Ids of the BPF programs that the process holds.
pub(crate) fn programs_of(pid: u32) -> BTreeSet<u32> {
    ids_of(pid, "prog_id:")
}

/// The same of every readable process.
pub(crate) fn held_programs() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let pids = names.filter_map(|name| name.parse().ok());
    pids.flat_map(|pid| held_by(pid, "prog_id:").unwrap_or_default()).collect()
}

/// The ids that its open files have under this key: `prog_id:`, `map_id:`, `link_id:`.
pub(crate) fn ids_of(pid: u32, key: &str) -> BTreeSet<u32> {
    held_by(pid, key).unwrap()
}

fn held_by(pid: u32, key: &str) -> io::Result<BTreeSet<u32>> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo"))?;
    let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    let ids = texts.filter_map(|text| field(&text, key));
    Ok(ids.map(|id| u32::try_from(id).unwrap()).collect())
}

/// Ids of all loaded BPF programs.
pub(crate) fn loaded_programs() -> BTreeSet<u32> {
    aya::programs::loaded_programs().filter_map(|info| info.ok().map(|info| info.id())).collect()
}

/// Voluntary context switches of all threads of the process.
pub(crate) fn sleeps(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap())
        .map(|status| field(&status, "voluntary_ctxt_switches:").unwrap())
        .sum()
}

fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().parse().ok()
}
