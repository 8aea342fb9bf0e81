//! Reads what the kernel reports about a process: files under `/proc`, and its CPU clock.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result};
use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};
use procfs::process::Process;

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessUsage {
    /// CPU time of all threads, in user space and in the kernel, including threads that have ended.
    pub(crate) cpu: Duration,
    /// Voluntary context switches of all live threads: how often they slept and were woken.
    pub(crate) sleeps: u64,
}

/// Memory of a process that is in RAM, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: u64,
    /// The most it ever was.
    pub(crate) peak: u64,
}

/// The kernel's counts for a BPF program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramCounts {
    pub(crate) run_time: Duration,
    pub(crate) runs: u64,
    /// Runs skipped because the program was running on that CPU already (since 5.12).
    pub(crate) missed: u64,
}

/// The programs of a process, by their BPF id.
pub(crate) type ProgramsById = BTreeMap<u32, ProgramCounts>;

/// Reads the usage of a process. Its CPU clock counts nanoseconds, `stat` only ticks.
pub(crate) fn usage(pid: u32) -> Result<ProcessUsage> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into()?));
    let cpu = clock.and_then(ClockId::now).context("cannot read the clock of a process")?;
    let mut sleeps = 0;
    for thread in process(pid)?.tasks().context("cannot list the threads of a process")? {
        // A thread may end in the meantime.
        let Ok(status) = thread.and_then(|thread| thread.status()) else { continue };
        sleeps += status.voluntary_ctxt_switches.unwrap_or(0);
    }
    Ok(ProcessUsage { cpu: cpu.into(), sleeps })
}

/// Reads the programs that a process holds descriptors of.
pub(crate) fn programs(pid: u32) -> Result<ProgramsById> {
    let path = format!("/proc/{pid}/fdinfo");
    let files = fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?;
    // A descriptor may be closed in the meantime.
    let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    Ok(texts.filter_map(|text| parse_program(&text)).collect())
}

/// Reads the memory of a process.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = process(pid)?.status().context("cannot read the status of a process")?;
    let memory = status.vmrss.zip(status.vmhwm);
    let memory = memory.map(|(now, most)| Memory { resident: 1024 * now, peak: 1024 * most });
    memory.context("no VmRSS or VmHWM in the status of a process")
}

/// Reads how often a process has called `write()` and related system calls.
pub(crate) fn writes(pid: u32) -> Result<u64> {
    Ok(process(pid)?.io().context("cannot read the io of a process")?.syscw)
}

/// CPU time of all children that have ended, in steps of 10 ms.
pub(crate) fn ended_children() -> Result<Duration> {
    let stat =
        Process::myself().and_then(|own| own.stat()).context("cannot read /proc/self/stat")?;
    // Ticks of `USER_HZ`, which is 100 on all architectures here.
    let ticks = u64::try_from(stat.cutime + stat.cstime)?;
    Ok(Duration::from_millis(10 * ticks))
}

fn process(pid: u32) -> Result<Process> {
    Process::new(pid.try_into()?).with_context(|| format!("cannot read /proc/{pid}"))
}

/// `bpf_prog_show_fdinfo` in `kernel/bpf/syscall.c`; `None` for the file of anything but a program.
fn parse_program(text: &str) -> Option<(u32, ProgramCounts)> {
    value(text, "prog_type")?;
    let id = u32::try_from(value(text, "prog_id")?).ok()?;
    let count = |key| value(text, key).unwrap_or(0);
    let counts = ProgramCounts {
        run_time: Duration::from_nanos(count("run_time_ns")),
        runs: count("run_cnt"),
        missed: count("recursion_misses"),
    };
    Some((id, counts))
}

/// The number in a line `key:`, white space, number.
fn value(text: &str, key: &str) -> Option<u64> {
    let of_line = |line: &str| line.strip_prefix(key)?.strip_prefix(':')?.trim().parse().ok();
    text.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::time::{ClockId as Clock, clock_gettime};

    use super::*;

    const PROGRAM: &str = "pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1038\nprog_type:\t26\n\
        prog_jited:\t1\nprog_tag:\tce1bf7b65129bcdf\nmemlock:\t16384\nprog_id:\t160\n\
        run_time_ns:\t4200\nrun_cnt:\t42\nrecursion_misses:\t7\nverified_insns:\t6862\n";
    const LINK: &str = "pos:\t0\nlink_type:\traw_tracepoint\nlink_id:\t98\nprog_id:\t160\n";

    #[test]
    fn a_programs_counts_are_read() {
        let counts = ProgramCounts { run_time: Duration::from_nanos(4200), runs: 42, missed: 7 };
        assert_eq!(parse_program(PROGRAM), Some((160, counts)), "id, run time, runs, misses");
    }

    #[test]
    fn a_link_names_a_program_and_is_none() {
        assert_eq!(parse_program(LINK), None, "no prog_type");
        assert_eq!(parse_program("pos:\t0\nflags:\t02\n"), None, "an ordinary file");
    }

    #[test]
    fn an_older_kernel_does_not_count_misses() {
        let text = PROGRAM.replace("recursion_misses:\t7\n", "");
        assert_eq!(parse_program(&text).map(|(_, counts)| counts.missed), Some(0), "none");
    }

    #[test]
    fn the_work_of_a_thread_that_has_ended_is_not_forgotten() {
        let used = || usage(std::process::id()).expect("our own files").cpu;
        let of_thread = || clock_gettime(Clock::ThreadCPUTime);
        let work = Duration::from_millis(20);
        let before = used();
        let busy =
            thread::spawn(move || while Duration::try_from(of_thread()).expect("a time") < work {});
        busy.join().expect("it ends");
        assert!(used() >= before + work, "{before:?}");
    }

    #[test]
    fn memory_and_writes_of_this_process_are_there() {
        let memory = memory(std::process::id()).expect("our own status");
        assert!(memory.resident > 0 && memory.peak >= memory.resident, "{memory:?}");
        writes(std::process::id()).expect("our own io");
    }
}
