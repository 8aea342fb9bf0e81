//! What the kernel says of the process that asks.

use std::time::Duration;

use anyhow::{Context as _, Result};
use procfs::{WithCurrentSystemInfo as _, process};

/// What it has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Memory that is not swapped out, in bytes.
    pub resident_bytes: u64,
    /// Addresses that lead to memory, in bytes.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
}

/// What it has now, from `/proc/self/stat`.
///
/// # Errors
/// If the file cannot be read.
pub fn usage() -> Result<Usage> {
    let stat = stat()?;
    Ok(Usage {
        resident_bytes: stat.rss_bytes().get(),
        virtual_bytes: stat.vsize,
        threads: u64::try_from(stat.num_threads).unwrap_or(0),
    })
}

/// When it was started, since 1970 and by the wall clock, to a tick. The kernel reckons the time of boot anew
/// when that clock is set.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn started() -> Result<Duration> {
    let boot = procfs::boot_time_secs().context("cannot read the time of boot in /proc/stat")?;
    let ticks = procfs::ticks_per_second().max(1);
    let after = stat()?.starttime;
    let nanoseconds = after % ticks * 1_000_000_000 / ticks;
    Ok(Duration::from_secs(boot + after / ticks) + Duration::from_nanos(nanoseconds))
}

fn stat() -> Result<process::Stat> {
    process::Process::myself()
        .and_then(|myself| myself.stat())
        .context("cannot read /proc/self/stat")
}
