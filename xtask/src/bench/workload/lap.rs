//! Repeats an action in laps and times each lap.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::bench::statistics::{Micros, per, quantile};

/// What was done, and how long it took.
#[derive(Clone, Debug)]
pub(crate) struct TimedWork {
    laps: Vec<Lap>,
    transitions_in_a_lap: u64,
    /// From the start of the first lap to the end of the last one.
    pub(crate) ran: Duration,
    /// State changes made, those of the warm-up too.
    pub(crate) transitions: u64,
}

#[derive(Clone, Copy, Debug)]
struct Lap {
    wall: Duration,
    cpu: Duration,
}

impl TimedWork {
    /// Wall-clock time of a change.
    pub(crate) fn wall(&self) -> Micros {
        self.undisturbed(|lap| lap.wall)
    }

    /// CPU time of the working thread for a change, including the kernel's part.
    pub(crate) fn cpu(&self) -> Micros {
        self.undisturbed(|lap| lap.cpu)
    }

    /// The lap that is slower than the fastest tenth. Other programs, and other guests of the same host, only make laps
    /// slower, and for seconds at a time: a median would show them.
    fn undisturbed(&self, time: impl Fn(&Lap) -> Duration) -> Micros {
        let times = self.laps.iter().map(|lap| per(time(lap), self.transitions_in_a_lap));
        quantile(&times.collect::<Vec<_>>(), 0.1).unwrap_or(f64::NAN)
    }
}

/// Repeats for `length`, after one lap that is not timed.
pub(super) fn laps(
    length: Duration,
    iterations: u32,
    transitions: u32,
    mut iterate: impl FnMut() -> io::Result<()>,
) -> io::Result<TimedWork> {
    let mut lap = || (0..iterations).try_for_each(|_| iterate());
    lap()?;
    let mut laps = Vec::new();
    let start = Instant::now();
    while laps.is_empty() || start.elapsed() < length {
        let (wall, cpu) = (Instant::now(), thread_cpu());
        lap()?;
        laps.push(Lap { wall: wall.elapsed(), cpu: thread_cpu().saturating_sub(cpu) });
    }
    let ran = start.elapsed();
    let transitions_in_a_lap = u64::from(iterations) * u64::from(transitions);
    let count = u64::try_from(laps.len()).unwrap_or(u64::MAX).saturating_add(1);
    Ok(TimedWork { laps, transitions_in_a_lap, ran, transitions: count * transitions_in_a_lap })
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_one_lap_is_timed_and_the_warm_up_is_counted_too() {
        let mut calls = 0;
        let work = laps(Duration::ZERO, 5, 2, || {
            calls += 1;
            Ok(())
        });
        assert_eq!(work.expect("nothing fails").transitions, 20, "two laps of five by two");
        assert_eq!(calls, 10, "iterations");
    }

    #[test]
    fn disturbed_laps_do_not_count() {
        let lap = |millis| Lap { wall: Duration::from_millis(millis), cpu: Duration::ZERO };
        let work = TimedWork {
            laps: [2, 2, 2, 90, 95, 99].map(lap).to_vec(),
            transitions_in_a_lap: 1000,
            ran: Duration::ZERO,
            transitions: 3000,
        };
        assert!((work.wall() - 2.0).abs() < 1e-9, "2 ms by 1000 changes: {}", work.wall());
    }
}
