//! Reads the clocks: `CLOCK_MONOTONIC`, which the kernel stamps records with, and the wall clock.

use std::time::{Duration, SystemTime};

use crate::{
    event::{KernelTime, WallClock},
    timing::wheel::TickRate,
};

/// A wall clock that has moved by more than this against the kernel's was set.
const STEP_NS: u64 = 5_000_000;

/// `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns`.
#[must_use]
pub fn now() -> KernelTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    KernelTime(0).after(Duration::new(seconds, nanoseconds))
}

/// Ticks per second: the resolution of the coarse clock is one tick (`KTIME_LOW_RES`).
#[must_use]
pub fn tick_rate() -> TickRate {
    let tick = rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse);
    let nanoseconds = u64::try_from(tick.tv_nsec).unwrap_or_default().max(1);
    TickRate((1_000_000_000 + nanoseconds / 2) / nanoseconds)
}

/// Both clocks at one moment.
#[must_use]
pub fn read() -> WallClock {
    let unix_ns = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    WallClock { kernel: now(), unix_ns }
}

/// Takes a new reading if the wall clock was set. Smaller differences are left alone, so that two
/// events' times differ by what the kernel measured.
pub fn follow(clock: &mut WallClock) {
    let fresh = read();
    if clock.unix_ns(fresh.kernel).abs_diff(fresh.unix_ns) > STEP_NS {
        *clock = fresh;
    }
}
