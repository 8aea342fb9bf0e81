//! Durations for people: three digits and the unit that fits.

use std::{fmt, time::Duration};

use super::cell;

/// `412 us`, `3.21 ms`, `61.6 s`, `2m03s`, `1h02m`, `3d04h`; `-` for a duration whose beginning was not seen.
pub struct Humane(pub Option<Duration>);

impl Humane {
    /// Appends the duration.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Some(duration) = self.0 else {
            out.push(b'-');
            return;
        };
        let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
        match seconds {
            0 if nanoseconds < 1_000_000 => {
                cell::number(nanoseconds / 1000, out);
                out.extend_from_slice(b" us");
            }
            0 => {
                three_digits(nanoseconds / 10_000, out);
                out.extend_from_slice(b" ms");
            }
            1..100 => {
                let hundredths = duration.as_millis() / 10;
                three_digits(u32::try_from(hundredths).unwrap_or(u32::MAX), out);
                out.extend_from_slice(b" s");
            }
            100..3600 => two_units(seconds, 60, *b"ms", out),
            3600..86_400 => two_units(seconds / 60, 60, *b"hm", out),
            _ => two_units(seconds / 3600, 24, *b"dh", out),
        }
    }
}

impl Humane {
    /// The same for a duration that was set: `4 s` instead of `4.00 s`.
    pub(super) fn round(&self) -> String {
        let text = self.to_string();
        match text.split_once(' ') {
            Some((number, unit)) if number.contains('.') => {
                let number = number.trim_end_matches('0').trim_end_matches('.');
                format!("{number} {unit}")
            }
            _ => text,
        }
    }
}

impl fmt::Display for Humane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.pad(&String::from_utf8_lossy(&text))
    }
}

/// The first three digits of a number of hundredths. Cut, not rounded: 59.96 s is not yet 60.
fn three_digits(hundredths: u32, out: &mut Vec<u8>) {
    cell::number(hundredths / 100, out);
    match hundredths {
        ..1000 => {
            out.push(b'.');
            two_digits(hundredths % 100, out);
        }
        1000..10_000 => {
            out.push(b'.');
            cell::number(hundredths / 10 % 10, out);
        }
        _ => {}
    }
}

/// `2m03s`, given the number of the smaller unit and how many make one of the larger.
fn two_units(small: u64, in_large: u64, names: [u8; 2], out: &mut Vec<u8>) {
    let [large, little] = names;
    cell::number(u32::try_from(small / in_large).unwrap_or(u32::MAX), out);
    out.push(large);
    two_digits(u32::try_from(small % in_large).unwrap_or(0), out);
    out.push(little);
}

fn two_digits(number: u32, out: &mut Vec<u8>) {
    if number < 10 {
        out.push(b'0');
    }
    cell::number(number, out);
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
    fn a_duration_that_was_set_has_no_zeros_behind_the_point() {
        for (milliseconds, text) in
            [(1000, "1 s"), (1600, "1.6 s"), (204, "204 ms"), (60_000, "60 s"), (90, "90 ms")]
        {
            assert_eq!(Humane(Some(Duration::from_millis(milliseconds))).round(), text);
        }
    }

    #[test]
    fn an_unknown_duration_is_a_dash_not_a_zero() {
        assert_eq!(format!("{:>7}", Humane(None)), "      -");
    }
}
