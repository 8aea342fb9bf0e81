//! Reads what the kernel side lost: counters it kept, and runs the kernel skipped.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _},
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
    programs: RwLock<Vec<(Hook, ProgramFd)>>,
}

impl Losses {
    pub(super) fn new(
        counters: PerCpuArray<MapData, u64>,
        programs: Vec<(Hook, ProgramFd)>,
    ) -> Self {
        Self { counters, programs: RwLock::new(programs) }
    }

    /// From now on these are read too.
    pub(super) fn add(&self, programs: Vec<(Hook, ProgramFd)>) {
        self.programs.write().unwrap_or_else(PoisonError::into_inner).extend(programs);
    }

    /// Reads all totals: a system call per counter and a small file per program.
    ///
    /// # Errors
    /// If the map or `/proc/self/fdinfo` cannot be read.
    pub fn read(&self) -> Result<LossTotals, LossesError> {
        let mut totals = LossTotals::default();
        // Before the skipped runs, so that none is taken for recovered that is not read yet.
        let recovered = COPIES.map(|(_, copy)| self.sum(Counter::Recovered, copy));
        let recovered = recovered.into_iter().sum::<Result<u64, _>>()?;
        for (hook, program) in &*self.programs.read().unwrap_or_else(PoisonError::into_inner) {
            let hook = *hook;
            let skipped = match hook {
                Hook::SetState => recursion_misses(program)?.saturating_sub(recovered),
                // What a copy was kept from is missing in what was recovered.
                _ if COPIES.iter().any(|(_, copy)| *copy == hook) => 0,
                _ => recursion_misses(program)?,
            };
            totals.attempted += self.sum(Counter::Attempted, hook)?;
            for (cause, lost) in [
                (Cause::RingFull, self.sum(Counter::RingFull, hook)?),
                (Cause::Unreadable, self.sum(Counter::Unreadable, hook)?),
                (Cause::Undecided, self.sum(Counter::UndecidedFull, hook)?),
                (Cause::Recursion, skipped),
            ] {
                if lost > 0 {
                    *totals.lost.entry(cause).or_insert(0) += lost;
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

/// `recursion_misses` of a loaded program, since 5.12 (`bpf_prog_show_fdinfo` in
/// `kernel/bpf/syscall.c`); 0 on older kernels, which do not count them.
fn recursion_misses(program: &ProgramFd) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd()))?;
    Ok(parse_recursion_misses(&text))
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
