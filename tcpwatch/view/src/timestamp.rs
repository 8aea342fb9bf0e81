//! Moments become text. The calendar is asked once a second, not once a line.

use jiff::{Timestamp, tz::TimeZone};

/// Writes moments in one time zone.
#[derive(Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    format: &'static str,
    second: i64,
    prefix: String,
}

const NANOSECONDS: i64 = 1_000_000_000;

impl Calendar {
    /// `format` is a strftime pattern up to and including the second.
    pub(super) fn new(zone: TimeZone, format: &'static str) -> Self {
        Self { zone, format, second: i64::MIN, prefix: String::new() }
    }

    /// Appends the moment with `digits` of its fraction (1 to 9).
    pub(super) fn write(&mut self, unix_ns: i64, digits: usize, out: &mut Vec<u8>) {
        let second = unix_ns.div_euclid(NANOSECONDS);
        if second != self.second {
            self.second = second;
            self.prefix = Timestamp::from_second(second).map_or_else(
                |_| second.to_string(),
                |moment| moment.to_zoned(self.zone.clone()).strftime(self.format).to_string(),
            );
        }
        out.extend_from_slice(self.prefix.as_bytes());
        out.push(b'.');
        let fraction = unix_ns.rem_euclid(NANOSECONDS);
        write_fraction(u32::try_from(fraction).unwrap_or_default(), digits, out);
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z of a moment as it stands in JSON, `2026-11-21T10:00:00.123456789Z`; `None` if it
/// is no moment, or one that 64 bits do not hold.
#[must_use]
pub fn unix_ns(text: &str) -> Option<i64> {
    let moment: Timestamp = text.parse().ok()?;
    i64::try_from(moment.as_nanosecond()).ok()
}

/// Appends `digits` digits of a number of nanoseconds below one second, cut, not rounded.
pub(super) fn write_fraction(nanoseconds: u32, digits: usize, out: &mut Vec<u8>) {
    // The leading 1 keeps the zeros behind it.
    let mut text = itoa::Buffer::new();
    let text = text.format(NANOSECONDS + i64::from(nanoseconds)).as_bytes();
    out.extend_from_slice(text.get(1..=digits).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_cut_and_keeps_its_zeros() {
        for (nanoseconds, digits, text) in
            [(123_456_789, 9, "123456789"), (1_999_999, 4, "0019"), (999_999_999, 1, "9")]
        {
            let mut out = Vec::new();
            write_fraction(nanoseconds, digits, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn a_moment_that_was_written_is_read_back_to_the_nanosecond() {
        let mut out = Vec::new();
        let moment = 1_795_000_000_123_456_789;
        Calendar::new(TimeZone::UTC, "%Y-%m-%dT%H:%M:%S").write(moment, 9, &mut out);
        out.push(b'Z');
        assert_eq!(unix_ns(&String::from_utf8(out).unwrap()), Some(moment));
        assert_eq!(unix_ns("yesterday"), None);
    }

    #[test]
    fn a_moment_before_1970_is_still_a_moment() {
        let mut out = Vec::new();
        Calendar::new(TimeZone::UTC, "%H:%M:%S").write(-1, 3, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "23:59:59.999");
    }
}
