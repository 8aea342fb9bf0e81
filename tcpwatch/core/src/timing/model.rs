//! How long the kernel is patient: a number of retries becomes a time.

use std::time::Duration;

use super::wheel::TickRate;

/// The time that `retries` retransmissions would take which start at `base` ticks and double up
/// to `rto_max` ticks, and the wait after them (`tcp_model_timeout`, `net/ipv4/tcp_timer.c`, since
/// 5.1): whole milliseconds, rounded up as by `jiffies_to_msecs`.
pub(super) fn model_timeout(retries: u8, base: u64, rto_max: u64, rate: TickRate) -> Duration {
    let doublings = (rto_max / base.max(1)).checked_ilog2().unwrap_or(0);
    let retries = u32::from(retries);
    let doubled = |times: u32| base.saturating_mul((1_u64 << (times + 1).min(63)) - 1);
    let ticks = if retries <= doublings {
        doubled(retries)
    } else {
        let flat = rto_max.saturating_mul(u64::from(retries - doublings));
        doubled(doublings).saturating_add(flat)
    };
    let milliseconds = u128::from(ticks).saturating_mul(1000).div_ceil(u128::from(rate.0.max(1)));
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_time() {
        let rate = TickRate(250);
        for (retries, base_ms, rto_max_ms, expected_ms) in [
            (6, 1000, 120_000, 127_000),
            (6, 1000, 1000, 7000),
            (7, 1000, 120_000, 247_000),
            (0, 200, 120_000, 200),
            (1, 200, 120_000, 600),
            (2, 200, 120_000, 1400),
            (3, 200, 120_000, 3000),
            (5, 200, 120_000, 12_600),
            (8, 200, 120_000, 102_200),
            (15, 200, 120_000, 924_600),
            (8, 200, 1000, 7400),
        ] {
            let ticks = |milliseconds| rate.ticks(Duration::from_millis(milliseconds));
            let model = model_timeout(retries, ticks(base_ms), ticks(rto_max_ms), rate);
            assert_eq!(model, Duration::from_millis(expected_ms), "{retries} {rto_max_ms}");
        }
    }
}
