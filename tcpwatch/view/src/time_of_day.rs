//! The time of day alone.

use std::fmt;

use jiff::tz::TimeZone;

use crate::timestamp::Calendar;

/// Writes the time of day in one time zone.
#[derive(Debug)]
pub struct TimeOfDay {
    calendar: Calendar,
    zone: TimeZone,
}

/// Text that is no moment of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTimeOfDay;

impl fmt::Display for NoTimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no time of day; write 19:47 or 19:47:08.5")
    }
}

impl TimeOfDay {
    fn new(zone: TimeZone) -> Self {
        Self { calendar: Calendar::new(zone.clone(), "%H:%M:%S"), zone }
    }

    /// In the local time zone.
    #[must_use]
    pub fn local() -> Self {
        Self::new(TimeZone::system())
    }

    /// In UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self::new(TimeZone::UTC)
    }

    /// It writes UTC.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.zone == TimeZone::UTC
    }

    /// `19:47:08.4`, from nanoseconds since 1970, with this many digits of the fraction (0 to 9).
    pub fn text(&mut self, unix_ns: i64, digits: usize) -> String {
        let mut out = Vec::new();
        self.calendar.write(unix_ns, digits.max(1), &mut out);
        if digits == 0 {
            out.truncate("19:47:08".len());
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The moment of this text on the day of another moment, in nanoseconds since 1970.
    ///
    /// # Errors
    /// If it is no time of day.
    pub fn parse(&self, text: &str, day_of_ns: i64) -> Result<i64, NoTimeOfDay> {
        let time: jiff::civil::Time = text.parse().map_err(|_error: jiff::Error| NoTimeOfDay)?;
        let day = jiff::Timestamp::from_nanosecond(day_of_ns.into());
        let day = day.map_err(|_error| NoTimeOfDay)?.to_zoned(self.zone.clone()).date();
        let moment = day.to_datetime(time).to_zoned(self.zone.clone());
        let moment = moment.map_err(|_error| NoTimeOfDay)?.timestamp().as_nanosecond();
        i64::try_from(moment).map_err(|_error| NoTimeOfDay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_of_the_day_of_another_moment() {
        let mut times = TimeOfDay::utc();
        let noon = 1_764_504_000_000_000_000;
        assert_eq!(times.text(noon, 0), "12:00:00");
        let later = times.parse("12:00:01.5", noon);
        assert_eq!(later, Ok(noon + 1_500_000_000));
        assert_eq!(times.text(later.unwrap(), 1), "12:00:01.5");
        assert_eq!(times.parse("noon", noon), Err(NoTimeOfDay));
    }
}
