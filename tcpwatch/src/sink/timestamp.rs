//! Moments become text. The calendar is asked once a second, not once a line.

use std::io::Write as _;

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
    pub(super) fn write(&mut self, unix_ns: i64, digits: u32, out: &mut Vec<u8>) {
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
        write_fraction(unix_ns.rem_euclid(NANOSECONDS), digits, out);
    }
}

/// Appends `digits` digits of a number of nanoseconds below one second, cut, not rounded.
pub(super) fn write_fraction(nanoseconds: i64, digits: u32, out: &mut Vec<u8>) {
    let cut = nanoseconds / 10_i64.pow(9 - digits);
    let width = usize::try_from(digits).unwrap_or(9);
    // Writing to a vector cannot fail.
    if write!(out, "{cut:0width$}").is_err() {
        out.extend_from_slice(b"?");
    }
}
