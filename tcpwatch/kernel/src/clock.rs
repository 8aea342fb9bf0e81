//! Reads the clocks: `CLOCK_MONOTONIC`, which the kernel stamps records with, and the wall clock.

use std::{fs, sync::LazyLock, time::SystemTime};

use tcpwatch_core::{
    event::{KernelTime, WallClock},
    timing::wheel::TickRate,
};

/// A wall clock that has moved by more than this against the kernel's was set.
const STEP_NS: u64 = 5_000_000;

/// What a time namespace adds to the kernel's own clock for the processes in it
/// (`timens_add_monotonic`, `include/linux/time_namespace.h`), in nanoseconds. A process stays in the
/// one that it was started in.
static OFFSET_NS: LazyLock<i128> = LazyLock::new(|| {
    // Kernels before 5.5, and those without CONFIG_TIME_NS, have no such file.
    fs::read_to_string("/proc/self/timens_offsets").map_or(0, |text| offset_ns(&text).unwrap_or(0))
});

/// `CLOCK_MONOTONIC` as the kernel itself has it, outside of all time namespaces: the clock of
/// `bpf_ktime_get_ns`.
#[must_use]
pub fn now() -> KernelTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let here = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    KernelTime(u64::try_from(here - *OFFSET_NS).unwrap_or_default())
}

/// The line `monotonic SECONDS NANOSECONDS`; the seconds may be negative (`proc_pid_timens_offsets(5)`).
fn offset_ns(offsets: &str) -> Option<i128> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?;
    let mut numbers = line.split_whitespace().map(str::parse::<i128>);
    let (seconds, nanoseconds) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(seconds * 1_000_000_000 + nanoseconds)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace_is_read_in_nanoseconds() {
        let text = "monotonic           100         7\nboottime            200         0\n";
        assert_eq!(offset_ns(text), Some(100_000_000_007));
        assert_eq!(offset_ns("monotonic  -1 999999999\n"), Some(-1));
        assert_eq!(offset_ns(""), None, "a kernel without time namespaces");
    }

    #[test]
    fn a_wall_clock_that_was_set_is_followed_and_one_that_drifts_is_not() {
        let clock = read();
        for hours in [-5, 5] {
            let mut stepped =
                WallClock { unix_ns: clock.unix_ns + hours * 3_600_000_000_000, ..clock };
            follow(&mut stepped);
            let (told, now) = (stepped.unix_ns(clock.kernel), clock.unix_ns);
            assert!(told.abs_diff(now) < STEP_NS, "{hours} hours: {told} instead of {now}");
        }
        let drifted = WallClock { unix_ns: clock.unix_ns + 1_000_000, ..clock };
        let mut followed = drifted;
        follow(&mut followed);
        assert_eq!(followed, drifted, "a millisecond");
    }
}
