//! The program under test, and what the kernel knows of it while it runs: its programs, its switches.

use std::{collections::BTreeSet, fs, io, process::Command};

use crate::carried;

/// tcpwatch, without its arguments.
pub(crate) fn tcpwatch() -> Command {
    Command::new(carried::program())
}

/// Numbers of the kernel programs that the process holds.
pub(crate) fn programs_of(pid: u32) -> BTreeSet<u32> {
    ids_of(pid, "prog_id:")
}

/// The same of every process that may be asked.
pub(crate) fn held_programs() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let pids = names.filter_map(|name| name.parse().ok());
    pids.flat_map(|pid| held_by(pid, "prog_id:").unwrap_or_default()).collect()
}

/// The numbers that its open files have under this key: `prog_id:`, `map_id:`, `link_id:`.
pub(crate) fn ids_of(pid: u32, key: &str) -> BTreeSet<u32> {
    held_by(pid, key).unwrap()
}

fn held_by(pid: u32, key: &str) -> io::Result<BTreeSet<u32>> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo"))?;
    let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    let ids = texts.filter_map(|text| field(&text, key));
    Ok(ids.map(|id| u32::try_from(id).unwrap()).collect())
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
