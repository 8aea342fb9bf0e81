//! The kernel's timer wheel: when a timer that is due at some tick really fires.
//!
//! `calc_wheel_index` in `kernel/time/timer.c`, since 4.8: a timer never fires early; it fires at
//! the end of its bucket, and buckets grow with the distance by a factor of 8 for each level.

use serde::{Deserialize, Serialize};

use std::time::Duration;

use crate::event::{Jiffies, KernelTime};

/// Bits of the clock that one level drops (`LVL_CLK_SHIFT`).
const LEVEL_SHIFT: u32 = 3;
/// Buckets of a level that can be used (`LVL_SIZE - 1`).
const LEVEL_REACH: u64 = 63;
/// Levels for HZ > 100 (`LVL_DEPTH`).
const LEVELS: u32 = 9;

/// Ticks by which the wheel's clock may lag behind when a timer is armed: one that is due just
/// before the end of a level may land in the next.
const LAG: u64 = 4;

/// The tick at which a timer fires that is armed at `armed` to be due at `due`.
#[must_use]
pub fn fires_at(armed: Jiffies, due: Jiffies) -> Jiffies {
    let shift = LEVEL_SHIFT * level(due.0.saturating_sub(armed.0));
    let last_of_bucket = due.0 | ((1 << shift) - 1);
    Jiffies(last_of_bucket.saturating_add(1))
}

/// Ticks by which a timer may be late that is armed `distance` ticks ahead, whenever that is.
#[must_use]
pub fn lateness(distance: u64) -> u64 {
    1 << (LEVEL_SHIFT * level(distance.saturating_add(LAG)))
}

fn level(distance: u64) -> u32 {
    (0..LEVELS - 1)
        .find(|level| distance < LEVEL_REACH << (LEVEL_SHIFT * level))
        .unwrap_or(LEVELS - 1)
}

/// Ticks per second of the running kernel (`CONFIG_HZ`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct TickRate(pub u64);

/// More than any kernel can be built with (`kernel/Kconfig.hz`, and its like of each architecture).
const HIGHEST_RATE: u64 = 10_000;

/// A number that is no kernel's rate of ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kernel has {0} ticks per second")]
pub struct NoRate(u64);

impl TryFrom<u64> for TickRate {
    type Error = NoRate;

    fn try_from(rate: u64) -> Result<Self, NoRate> {
        if (1..=HIGHEST_RATE).contains(&rate) { Ok(Self(rate)) } else { Err(NoRate(rate)) }
    }
}

impl TickRate {
    /// Nanoseconds that a tick takes.
    #[must_use]
    pub fn tick_ns(self) -> u64 {
        1_000_000_000 / self.0.max(1)
    }

    /// The time that some ticks take.
    #[must_use]
    pub fn duration(self, ticks: u64) -> Duration {
        let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(self.0.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// The ticks that a time takes, rounded up as by `usecs_to_jiffies` (`kernel/time/time.c`).
    #[must_use]
    pub fn ticks(self, duration: Duration) -> u64 {
        let ticks = duration.as_nanos().saturating_mul(u128::from(self.0.max(1)));
        u64::try_from(ticks.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
    }

    /// The moment at which a timer fires that was armed at a tick whose moment is known.
    #[must_use]
    pub fn fires_at(self, armed: (Jiffies, KernelTime), due: Jiffies) -> KernelTime {
        self.moment(fires_at(armed.0, due), armed)
    }

    /// The moment of a tick, given another tick and its moment.
    #[must_use]
    pub fn moment(self, tick: Jiffies, known: (Jiffies, KernelTime)) -> KernelTime {
        let (known_tick, known_moment) = known;
        if tick >= known_tick {
            known_moment.after(self.duration(tick.0 - known_tick.0))
        } else {
            known_moment.before(self.duration(known_tick.0 - tick.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_timer_never_fires_early_and_never_later_than_an_eighth(
            armed in 0_u64..1 << 40,
            distance in 1_u64..1 << 24,
        ) {
            let due = armed + distance;
            let fires = fires_at(Jiffies(armed), Jiffies(due)).0;
            prop_assert!(fires > due, "strictly after the tick it is due");
            prop_assert!(fires - due <= lateness(distance), "{distance} -> {}", fires - due);
            prop_assert!(lateness(distance) <= (distance / 7).max(8), "{distance}");
        }
    }

    #[test]
    fn lateness_is_the_width_of_a_bucket() {
        for (hz, milliseconds, late_us) in [
            (100, 200, 10_000),
            (100, 4_000, 80_000),
            (100, 120_000, 5_120_000),
            (250, 200, 4_000),
            (250, 1_000, 32_000),
            (250, 2_000, 256_000), // 500 ticks of 504: the wheel's clock may lag
            (250, 16_000, 256_000),
            (250, 32_000, 2_048_000),
            (1000, 200, 8_000),
            (1000, 4_000, 64_000),
            (1000, 32_000, 512_000),
            (1000, 60_000, 4_096_000),
        ] {
            let rate = TickRate(hz);
            let late = lateness(rate.ticks(Duration::from_millis(milliseconds)));
            assert_eq!(rate.duration(late), Duration::from_micros(late_us), "{hz} {milliseconds}");
        }
    }

    #[test]
    fn ticks_are_what_the_kernel_counted_when_it_printed_microseconds() {
        let rate = TickRate(300);
        for ticks in 0..1000 {
            let shown = Duration::from_micros(ticks * 1_000_000 / 300);
            assert_eq!(rate.ticks(shown), ticks);
        }
    }

    #[test]
    fn sixty_seconds_at_250_hz_last_at_most_62_05() {
        let rate = TickRate(250);
        let longest = (0..1024)
            .map(|armed| fires_at(Jiffies(armed), Jiffies(armed + 15_000)).0 - armed)
            .max()
            .unwrap();
        assert_eq!(rate.duration(longest), Duration::from_millis(62_048));
    }

    #[test]
    fn a_moment_is_found_before_and_after_a_known_one() {
        let (rate, known) = (TickRate(250), (Jiffies(1000), KernelTime(8_000_000_000)));
        assert_eq!(rate.moment(Jiffies(1250), known), KernelTime(9_000_000_000));
        assert_eq!(rate.moment(Jiffies(750), known), KernelTime(7_000_000_000));
    }
}
