//! The kernel's information about a running tcpwatch's programs, read from outside and beyond its end: runs, skipped
//! runs, and the counters of the programs themselves.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    maps::{Map, MapData, PerCpuArray, loaded_maps},
    programs::{ProgramFd, loaded_programs},
};
use tcpwatch_common::{Counter, counter::Hook};
use tcpwatch_kernel::probe::hooks::HOOKS;

use crate::harness::program::{ids_of, programs_of};

/// Keeps programs and counters of a process alive, though not attached.
pub(super) struct Instruments {
    programs: Vec<(Hook, &'static str, ProgramFd)>,
    counters: PerCpuArray<MapData, u64>,
}

/// The counts of one hook.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Runs of the program; 0 unless the kernel's statistics are enabled.
    pub(super) runs: u64,
    /// Runs that the kernel skipped.
    pub(super) skipped: u64,
    /// Records that it tried to emit.
    pub(super) attempted: u64,
    /// Of these, the ring had no room for.
    pub(super) ring_full: u64,
    /// Of these, lost for another cause.
    pub(super) otherwise_lost: u64,
}

impl Counted {
    /// Records that are or were in the ring.
    pub(super) const fn told(self) -> u64 {
        self.attempted - self.ring_full - self.otherwise_lost
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            skipped: self.skipped + other.skipped,
            attempted: self.attempted + other.attempted,
            ring_full: self.ring_full + other.ring_full,
            otherwise_lost: self.otherwise_lost + other.otherwise_lost,
        }
    }
}

impl Instruments {
    /// Of this process.
    pub(super) fn of(pid: u32) -> Self {
        let own = programs_of(pid);
        let programs: Vec<_> = loaded_programs()
            .map(Result::unwrap)
            .filter(|program| own.contains(&program.id()))
            .filter_map(|program| {
                // The kernel keeps 15 characters.
                let name = program.name_as_str().unwrap().to_owned();
                let hook = HOOKS.iter().find(|hook| hook.program.starts_with(&name))?;
                Some((hook.counters, hook.tracepoint, program.fd().unwrap()))
            })
            .collect();
        assert!(!programs.is_empty(), "{pid} has programs");
        let own = ids_of(pid, "map_id:");
        let id = loaded_maps()
            .map(Result::unwrap)
            .find(|map| own.contains(&map.id()) && map.name_as_str() == Some("COUNTERS"))
            .expect("the map of counters")
            .id();
        let map = Map::PerCpuArray(MapData::from_id(id).unwrap());
        Self { programs, counters: map.try_into().unwrap() }
    }

    /// The tracepoints that have a program.
    pub(super) fn hooks(&self) -> impl Iterator<Item = (Hook, &'static str)> {
        self.programs.iter().map(|(hook, tracepoint, _)| (*hook, *tracepoint))
    }

    /// The counts of this hook so far.
    pub(super) fn counted(&self, hook: Hook) -> Counted {
        let sum =
            |counter: Counter| self.counters.get(&counter.slot(hook), 0).unwrap().iter().sum();
        let program = self.programs.iter().find(|(of, ..)| *of == hook);
        let (runs, skipped) = program.map_or((0, 0), |(.., program)| runs(program));
        Counted {
            runs,
            skipped,
            attempted: sum(Counter::Attempted),
            ring_full: sum(Counter::RingFull),
            otherwise_lost: sum(Counter::Unreadable) + sum(Counter::UndecidedFull),
        }
    }

    /// All hooks together.
    pub(super) fn total(&self) -> Counted {
        self.hooks().fold(Counted::default(), |sum, (hook, _)| sum.plus(self.counted(hook)))
    }
}

/// The number of runs of a program, and of runs that the kernel skipped (`bpf_prog_show_fdinfo` in
/// `kernel/bpf/syscall.c`).
fn runs(program: &ProgramFd) -> (u64, u64) {
    let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
    let text = fs::read_to_string(path).unwrap();
    let number = |name| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim().parse().unwrap()
    };
    (number("run_cnt:"), number("recursion_misses:"))
}
