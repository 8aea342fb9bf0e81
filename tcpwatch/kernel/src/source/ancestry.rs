//! Where a process comes from: its parents up to the first process, and the file of a systemd unit.

use std::path::{Path, PathBuf};

use procfs::process::Process;

/// Parents are followed so far.
const MOST: usize = 32;

/// A process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its number, in the pid namespace that `/proc` shows.
    pub pid: u32,
    /// Its name (`comm`).
    pub name: String,
    /// Its command line, empty for a thread of the kernel, or where it may not be read. Any characters.
    pub command: String,
}

/// What is known of an owner beside its sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestry {
    /// The process and its parents, the nearest first; empty if it does not exist any more.
    pub line: Vec<Ancestor>,
    /// The file of its unit.
    pub unit_file: Option<PathBuf>,
}

impl Ancestry {
    /// Looks it up, for some 100 microseconds.
    #[must_use]
    pub fn of(pid: Option<u32>, unit: Option<&str>) -> Self {
        Self { line: pid.map(ancestors).unwrap_or_default(), unit_file: unit.and_then(unit_file) }
    }
}

/// A process and its parents, the nearest first; empty if it does not exist any more.
fn ancestors(pid: u32) -> Vec<Ancestor> {
    let mut line: Vec<Ancestor> = Vec::new();
    let mut next = i32::try_from(pid).ok();
    while let Some(number @ 1..) = next
        && line.len() < MOST
        && let Ok(process) = Process::new(number)
        && let Ok(stat) = process.stat()
    {
        let command = process.cmdline().unwrap_or_default().join(" ");
        line.push(Ancestor { pid: number.unsigned_abs(), name: stat.comm, command });
        next = Some(stat.ppid);
    }
    line
}

/// Where systemd looks for the files of units of the system, the first that has one decides
/// (`SYSTEM_DATA_UNIT_DIR` and the others in `src/libsystemd/sd-path/path-lookup.c`).
const DIRECTORIES: [&str; 11] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// The file of a unit of the system; of an instance of a template, `getty@tty1.service`, that of the template.
fn unit_file(unit: &str) -> Option<PathBuf> {
    let template = unit.split_once('@').and_then(|(name, rest)| {
        let (_, kind) = rest.rsplit_once('.')?;
        Some(format!("{name}@.{kind}"))
    });
    let names = [Some(unit.to_owned()), template];
    names.into_iter().flatten().find_map(|name| {
        let mut files = DIRECTORIES.iter().map(|directory| Path::new(directory).join(&name));
        // The name comes from a cgroup, and is no path.
        (!name.contains('/')).then(|| files.find(|file| file.exists()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parents_of_a_process_lead_to_the_first_one() {
        let line = ancestors(std::process::id());
        let parent = std::os::unix::process::parent_id();
        assert_eq!(line.first().map(|process| process.pid), Some(std::process::id()));
        assert_eq!(line.get(1).map(|process| process.pid), Some(parent).filter(|pid| *pid > 0));
        assert!(line.first().is_some_and(|process| !process.command.is_empty()));
        assert_eq!(ancestors(0), []);
        assert_eq!(ancestors(u32::MAX), []);
    }

    #[test]
    fn a_unit_that_is_no_name_has_no_file() {
        assert_eq!(unit_file("../../../etc/passwd"), None);
        assert_eq!(unit_file("no-such-unit-0815.service"), None);
    }
}
