//! Descriptive statistics of series of numbers.

use std::time::Duration;

/// Microseconds, with a fraction.
pub(crate) type Micros = f64;

/// The share of each of `count` in a duration.
pub(crate) fn per(duration: Duration, count: u64) -> Micros {
    duration.as_secs_f64() * 1e6 / number(count)
}

/// A count as a floating-point number; exact up to 2^53.
pub(crate) fn number(count: u64) -> f64 {
    // `Duration` has the conversion to seconds as `f64`.
    Duration::from_secs(count).as_secs_f64()
}

/// Bytes as megabytes (10^6).
pub(crate) fn megabytes(bytes: u64) -> f64 {
    number(bytes) / 1e6
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The smallest.
pub(crate) fn best(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

/// Half of the distance between the quartiles: how far apart rounds under equal conditions were.
pub(crate) fn spread(values: &[f64]) -> Option<f64> {
    Some((quantile(values, 0.75)? - quantile(values, 0.25)?) / 2.0)
}

/// The value below which this share of the values lies, by linear interpolation between its two neighbours.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = u64::try_from(sorted.len().checked_sub(1)?).ok()?;
    let place = number(last) * share;
    let mut around = sorted.windows(2).zip(0_u32..).filter_map(|(pair, index)| {
        let within = place - f64::from(index);
        let [low, high] = pair else { return None };
        (0.0..=1.0).contains(&within).then(|| low + (high - low) * within)
    });
    around.next().or_else(|| sorted.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [
            (vec![], None),
            (vec![7.0], Some(7.0)),
            (vec![3.0, 1.0], Some(2.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0, 3.0, 2.0], Some(2.5)),
        ] {
            assert_eq!(median(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn equal_rounds_have_no_spread() {
        assert_eq!(spread(&[2.0, 2.0, 2.0]), Some(0.0), "all the same");
        assert_eq!(spread(&[1.0, 2.0, 3.0, 4.0, 5.0]), Some(1.0), "quartiles at 2 and 4");
    }

    #[test]
    fn a_duration_is_shared_out_in_microseconds() {
        let each = per(Duration::from_millis(3), 1000);
        assert!((each - 3.0).abs() < 1e-9, "{each}");
    }
}
