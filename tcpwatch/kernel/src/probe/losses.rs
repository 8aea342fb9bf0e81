//! Reads what the kernel side lost: counters it kept, and runs the kernel skipped.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::fs::FileExt as _,
    },
    sync::{PoisonError, RwLock},
};

use aya::{
    maps::{MapData, MapError, PerCpuArray},
    programs::ProgramFd,
};
use tcpwatch_common::{Counter, counter::Hook};
use tcpwatch_core::loss::{Cause, LossTotals};

use super::copies::COPIES;

/// The counters and the programs they belong to.
pub struct Losses {
    counters: PerCpuArray<MapData, u64>,
    programs: RwLock<Vec<(Hook, ProgramInfoFile)>>,
}

/// What the kernel says of a loaded program in `/proc/self/fdinfo`. It stays open: while a recording is made it is read
/// before each look into the ring, by one system call instead of five.
struct ProgramInfoFile {
    /// Unless there is no `/proc`.
    file: io::Result<File>,
    /// The program, which it is about.
    _program: ProgramFd,
}

impl ProgramInfoFile {
    fn open(program: ProgramFd) -> Self {
        let file = File::open(format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd()));
        Self { file, _program: program }
    }

    /// `recursion_misses` of the program, since 5.12 (`bpf_prog_show_fdinfo` in
    /// `kernel/bpf/syscall.c`); 0 on older kernels, which do not count them.
    fn recursion_misses(&self) -> io::Result<u64> {
        let file = self.file.as_ref().map_err(|error| io::Error::from(error.kind()))?;
        // Some two hundred bytes.
        let mut text = [0; 2048];
        let length = file.read_at(&mut text, 0)?;
        Ok(parse_recursion_misses(&String::from_utf8_lossy(text.get(..length).unwrap_or_default())))
    }
}

impl Losses {
    pub(super) fn new(
        counters: PerCpuArray<MapData, u64>,
        programs: Vec<(Hook, ProgramFd)>,
    ) -> Self {
        Self { counters, programs: RwLock::new(opened(programs)) }
    }

    /// From now on these are read too.
    pub(super) fn add(&self, programs: Vec<(Hook, ProgramFd)>) {
        self.programs.write().unwrap_or_else(PoisonError::into_inner).extend(opened(programs));
    }

    /// Reads all totals: a system call per counter and per program.
    ///
    /// # Errors
    /// If the map or `/proc/self/fdinfo` cannot be read.
    pub fn read(&self) -> Result<LossTotals, LossesError> {
        let mut attempted = 0;
        for (hook, _) in &*self.programs.read().unwrap_or_else(PoisonError::into_inner) {
            attempted += self.sum(Counter::Attempted, *hook)?;
        }
        Ok(LossTotals { attempted, lost: self.lost()? })
    }

    /// The same without what was attempted.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn lost(&self) -> Result<BTreeMap<Cause, u64>, LossesError> {
        let mut totals = BTreeMap::new();
        // Before the skipped runs, so that none is taken for recovered that is not read yet.
        let recovered = COPIES.map(|(_, copy)| self.sum(Counter::Recovered, copy));
        let recovered = recovered.into_iter().sum::<Result<u64, _>>()?;
        for (hook, program) in &*self.programs.read().unwrap_or_else(PoisonError::into_inner) {
            let hook = *hook;
            let skipped = match hook {
                Hook::SetState => program.recursion_misses()?.saturating_sub(recovered),
                // What a copy was kept from is missing in what was recovered.
                _ if COPIES.iter().any(|(_, copy)| *copy == hook) => 0,
                _ => program.recursion_misses()?,
            };
            for (cause, lost) in [
                (Cause::RingFull, self.sum(Counter::RingFull, hook)?),
                (Cause::Unreadable, self.sum(Counter::Unreadable, hook)?),
                (Cause::Undecided, self.sum(Counter::UndecidedFull, hook)?),
                (Cause::Recursion, skipped),
            ] {
                if lost > 0 {
                    *totals.entry(cause).or_insert(0) += lost;
                }
            }
        }
        Ok(totals)
    }

    fn sum(&self, counter: Counter, hook: Hook) -> Result<u64, MapError> {
        Ok(self.counters.get(&counter.slot(hook), 0)?.iter().sum())
    }
}

/// The totals cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LossesError {
    /// The map of counters.
    #[error("cannot read the kernel side's counters: {0}")]
    Map(#[from] MapError),
    /// The program's file.
    #[error("cannot read how many runs of a program the kernel skipped: {0}")]
    FdInfo(#[from] io::Error),
}

fn opened(programs: Vec<(Hook, ProgramFd)>) -> Vec<(Hook, ProgramInfoFile)> {
    let opened = programs.into_iter().map(|(hook, fd)| (hook, ProgramInfoFile::open(fd)));
    opened.collect()
}

fn parse_recursion_misses(fdinfo: &str) -> u64 {
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_runs_are_read_from_the_programs_file() {
        assert_eq!(parse_recursion_misses("prog_id:\t7\nrecursion_misses:\t42\n"), 42);
    }

    #[test]
    fn a_kernel_that_does_not_count_skipped_runs_has_none() {
        assert_eq!(parse_recursion_misses("prog_id:\t7\n"), 0);
    }
}
