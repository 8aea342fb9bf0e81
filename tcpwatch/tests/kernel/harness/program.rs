//! The program under test, and what the kernel knows of it while it runs: its programs, its switches.

use std::{collections::BTreeSet, fs, process::Command};

use crate::carried;

/// tcpwatch, without its arguments.
pub(crate) fn tcpwatch() -> Command {
    Command::new(carried::program())
}

/// Numbers of the kernel programs that the process holds.
pub(crate) fn programs_of(pid: u32) -> BTreeSet<u32> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    files
        .filter_map(|file| fs::read_to_string(file.unwrap().path()).ok())
        .filter_map(|text| field(&text, "prog_id:"))
        .map(|id| u32::try_from(id).unwrap())
        .collect()
}

/// Numbers of all kernel programs that are loaded.
pub(crate) fn loaded_programs() -> BTreeSet<u32> {
    aya::programs::loaded_programs().filter_map(|info| info.ok().map(|info| info.id())).collect()
}

/// How often the process has gone to sleep by itself, all its threads together.
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
