//! Durations for people: three digits and the unit that fits.

use std::{fmt, time::Duration};

/// `412 us`, `3.21 ms`, `61.6 s`, `2m03s`, `1h02m`, `3d04h`; `-` for a duration nobody saw begin.
pub struct Humane(pub Option<Duration>);

impl fmt::Display for Humane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(duration) = self.0 else {
            return f.pad("-");
        };
        let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
        let text = match seconds {
            0 if nanoseconds < 1_000_000 => format!("{} us", nanoseconds / 1000),
            0 => format!("{} ms", three_digits(f64::from(nanoseconds) / 1e6)),
            1..100 => format!("{} s", three_digits(duration.as_secs_f64())),
            100..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
            3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
            _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
        };
        f.pad(&text)
    }
}

/// Cut, not rounded: 59.96 s is not yet 60. TIME_WAIT's 60 to 65 s stay in seconds.
fn three_digits(value: f64) -> String {
    let (scale, decimals) = match value {
        ..10.0 => (100.0, 2),
        ..100.0 => (10.0, 1),
        _ => (1.0, 0),
    };
    format!("{:.decimals$}", (value * scale).floor() / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_the_unit_that_fits() {
        for (nanoseconds, text) in [
            (0, "0 us"),
            (412_900, "412 us"),
            (3_219_000, "3.21 ms"),
            (305_000_000, "305 ms"),
            (1_030_000_000, "1.03 s"),
            (44_190_000_000, "44.1 s"),
            (59_999_999_999, "59.9 s"),
            (61_640_000_000, "61.6 s"),
            (123_000_000_000, "2m03s"),
            (3_720_000_000_000, "1h02m"),
            (273_600_000_000_000, "3d04h"),
        ] {
            assert_eq!(Humane(Some(Duration::from_nanos(nanoseconds))).to_string(), text);
        }
    }

    #[test]
    fn an_unknown_duration_is_a_dash_not_a_zero() {
        assert_eq!(format!("{:>7}", Humane(None)), "      -");
    }
}
