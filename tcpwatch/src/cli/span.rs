//! The span of a recording that `replay` is to show.

use std::time::Duration;

use clap::Args;
use tcpwatch_core::event::{KernelTime, WallClock};
use tcpwatch_view::{time_of_day::TimeOfDay, timestamp};

use super::args::any_duration;

const DAY: i64 = 86_400_000_000_000;

/// A part of a recording.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Span")]
pub struct SpanArgs {
    /// Only what happened from then on: a time of day as the log prints it (14:02, 14:02:08.5), a time as JSON has it,
    /// or how long after the recording began (90, 1m30s). Sockets that existed before are not known then, until
    /// something happens to them
    #[arg(long, value_name = "TIME|DURATION", value_parser = moment)]
    pub from: Option<Moment>,
    /// Only what happened until then
    #[arg(long, value_name = "TIME|DURATION", value_parser = moment)]
    pub to: Option<Moment>,
}

/// When, in words of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// On no certain day.
    OfDay(String),
    /// Nanoseconds since 1970.
    Unix(i64),
    /// After the recording began.
    After(Duration),
}

fn moment(word: &str) -> Result<Moment, String> {
    if let Some(after) = any_duration(word) {
        return Ok(Moment::After(after));
    }
    if let Some(unix_ns) = timestamp::unix_ns(word) {
        return Ok(Moment::Unix(unix_ns));
    }
    match TimeOfDay::utc().parse(word, 0) {
        Ok(_) => Ok(Moment::OfDay(word.to_owned())),
        Err(_) => Err(format!(
            "\"{word}\" is no moment; write 14:02 or 14:02:08.5, 2026-11-21T10:00:00Z, or 90 or 1m30s after the beginning"
        )),
    }
}

impl SpanArgs {
    /// The span on the kernel's clock, both ends included, if one is asked for.
    #[must_use]
    pub fn on(&self, clock: &WallClock, times: &TimeOfDay) -> Option<(KernelTime, KernelTime)> {
        if self.from.is_none() && self.to.is_none() {
            return None;
        }
        // A time of day just before the beginning is of that day.
        let beginning = clock.unix_ns.saturating_sub(DAY / 2);
        let from = self.from.as_ref().map(|moment| moment.on(clock, times, beginning));
        let after = from.map_or(beginning, |from| clock.unix_ns(from));
        let to = self.to.as_ref().map(|moment| moment.on(clock, times, after));
        Some((from.unwrap_or(KernelTime(0)), to.unwrap_or(KernelTime(u64::MAX))))
    }
}

impl Moment {
    /// On the kernel's clock; a time of day is the first one from `earliest` on.
    fn on(&self, clock: &WallClock, times: &TimeOfDay, earliest: i64) -> KernelTime {
        let unix_ns = match self {
            Self::After(after) => return clock.kernel.after(*after),
            Self::Unix(unix_ns) => *unix_ns,
            Self::OfDay(word) => {
                let day = |day| times.parse(word, earliest.saturating_add(day)).ok();
                let days = [0, DAY].into_iter().filter_map(day);
                days.into_iter().find(|moment| *moment >= earliest).unwrap_or(earliest)
            }
        };
        let away = unix_ns.saturating_sub(clock.unix_ns);
        let distance = Duration::from_nanos(away.unsigned_abs());
        if away < 0 { clock.kernel.before(distance) } else { clock.kernel.after(distance) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-11-30T12:00:00Z.
    const NOON: i64 = 1_764_504_000_000_000_000;
    const CLOCK: WallClock = WallClock { kernel: KernelTime(1_000_000_000_000_000), unix_ns: NOON };

    fn span(from: Option<&str>, to: Option<&str>) -> Option<(i64, i64)> {
        let read = |word: Option<&str>| word.map(|word| moment(word).unwrap());
        let args = SpanArgs { from: read(from), to: read(to) };
        let seconds = |at: KernelTime| {
            let since = i128::from(at.0) - i128::from(CLOCK.kernel.0);
            i64::try_from(since / 1_000_000_000).unwrap()
        };
        args.on(&CLOCK, &TimeOfDay::utc()).map(|(from, to)| (seconds(from), seconds(to)))
    }

    #[test]
    fn a_span_is_of_times_of_day_moments_or_durations() {
        assert_eq!(span(None, None), None);
        assert_eq!(span(Some("12:00:05"), Some("12:01")), Some((5, 60)));
        assert_eq!(span(Some("11:59"), Some("1m30s")), Some((-60, 90)), "before the beginning");
        assert_eq!(span(Some("23:00"), Some("01:00")), Some((39_600, 46_800)), "over midnight");
        assert_eq!(span(Some("2025-11-30T12:00:07Z"), Some("9")), Some((7, 9)));
        assert_eq!(span(Some("0"), Some("0.5")), Some((0, 0)));
    }

    #[test]
    fn other_words_are_refused_with_the_rule() {
        for word in ["", "noon", "25:00", "-5"] {
            assert!(moment(word).unwrap_err().contains("is no moment; write 14:02"), "{word}");
        }
    }
}
