//! Clocks: the kernel's monotonic one in events, the wall clock in output.

use serde::{Deserialize, Serialize};

use std::time::Duration;

/// `CLOCK_MONOTONIC`, nanoseconds since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KernelTime(pub u64);

impl KernelTime {
    /// Time passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment, `duration` earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This moment, `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Turns kernel time into wall-clock time: one reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallClock {
    /// Kernel time of the reading.
    pub kernel: KernelTime,
    /// Nanoseconds since 1970-01-01T00:00:00Z at the same moment.
    pub unix_ns: i64,
}

impl WallClock {
    /// Nanoseconds since 1970-01-01T00:00:00Z at `moment`.
    #[must_use]
    pub fn unix_ns(&self, moment: KernelTime) -> i64 {
        let offset = i128::from(moment.0) - i128::from(self.kernel.0);
        i64::try_from(i128::from(self.unix_ns) + offset).unwrap_or(i64::MAX)
    }
}
