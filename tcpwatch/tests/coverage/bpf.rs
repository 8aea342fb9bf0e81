//! The harness's own BPF programs: loads them, attaches them, and reads their records.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, PerCpuArray, RingBuf},
    programs::RawTracePoint,
};

use tcpwatch_kernel::coverage;

use super::{TRACEPOINTS, kernel::Places};

/// Program names, in the order of [`TRACEPOINTS`].
const PROGRAMS: [&str; TRACEPOINTS.len()] = [
    "cover_set_state",
    "cover_retransmit",
    "cover_synack",
    "cover_send_reset",
    "cover_recv_reset",
    "cover_start",
    "cover_cancel",
    "cover_expire",
    "cover_error",
];

/// `size_of::<Seen>()` in `tcpwatch-ebpf/src/bin/coverage.rs`.
const SEEN: usize = 32;

/// One run of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) at: u64,
    pub(super) tracepoint: usize,
    pub(super) object: u64,
    pub(super) states: (u32, u32),
    pub(super) netns: u32,
}

/// The programs, attached until they are dropped.
pub(super) struct Programs {
    ebpf: Ebpf,
    seen: RingBuf<MapData>,
    runs: PerCpuArray<MapData, u64>,
}

impl Programs {
    /// Attaches them, to record each run or only to count.
    pub(super) fn attach(places: &Places, with_records: bool) -> Result<Self, String> {
        let mut ebpf = EbpfLoader::new()
            .override_global("WITH_RECORDS", &u8::from(with_records), true)
            .override_global("SKC_NET", &places.skc_net, true)
            .override_global("NET_INUM", &places.net_inum, true)
            .override_global("TIMER_FUNCTION", &places.timer_function, true)
            .override_global("HANDLERS", &places.handlers, true)
            .override_global("TIMER_IN", &places.timer_in, true)
            .load(coverage::OBJECT)
            .map_err(|error| format!("the programs do not load: {error:?}"))?;
        for (name, tracepoint) in PROGRAMS.into_iter().zip(TRACEPOINTS) {
            attach(&mut ebpf, name, tracepoint)
                .map_err(|error| format!("{name} on {tracepoint}: {error}"))?;
        }
        let seen = RingBuf::try_from(ebpf.take_map("SEEN").unwrap()).unwrap();
        let runs = PerCpuArray::try_from(ebpf.take_map("RUNS").unwrap()).unwrap();
        Ok(Self { ebpf, seen, runs })
    }

    /// Appends the new runs.
    pub(super) fn drain(&mut self, into: &mut Vec<Ran>) {
        while let Some(record) = self.seen.next() {
            into.push(parsed(record.as_array().unwrap()));
        }
    }

    /// The number of runs on each tracepoint.
    pub(super) fn runs(&self) -> [u64; TRACEPOINTS.len()] {
        std::array::from_fn(|slot| self.sum(slot))
    }

    /// Runs without room for a record.
    pub(super) fn dropped(&self) -> u64 {
        self.sum(TRACEPOINTS.len())
    }

    /// The number of runs on each tracepoint that the kernel skipped because the program was already running
    /// (`bpf_prog_show_fdinfo` in `kernel/bpf/syscall.c`).
    pub(super) fn skipped(&self) -> [u64; TRACEPOINTS.len()] {
        PROGRAMS.map(|name| {
            let fd = self.ebpf.program(name).unwrap().fd().unwrap();
            let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
            let text = fs::read_to_string(path).unwrap();
            let value = text.lines().find_map(|line| line.strip_prefix("recursion_misses:"));
            value.unwrap().trim().parse().unwrap()
        })
    }

    fn sum(&self, slot: usize) -> u64 {
        self.runs.get(&u32::try_from(slot).unwrap(), 0).unwrap().iter().sum()
    }
}

fn attach(
    ebpf: &mut Ebpf,
    name: &str,
    tracepoint: &str,
) -> Result<(), aya::programs::ProgramError> {
    let program: &mut RawTracePoint = ebpf.program_mut(name).unwrap().try_into()?;
    program.load()?;
    program.attach(tracepoint.rsplit('/').next().unwrap())?;
    Ok(())
}

fn parsed(record: &[u8; SEEN]) -> Ran {
    let long = |at: usize| u64::from_ne_bytes(record[at..at + 8].try_into().unwrap());
    let word = |at: usize| u32::from_ne_bytes(record[at..at + 4].try_into().unwrap());
    Ran {
        at: long(0),
        object: long(8),
        netns: word(16),
        tracepoint: word(20).try_into().unwrap(),
        states: (word(24), word(28)),
    }
}
