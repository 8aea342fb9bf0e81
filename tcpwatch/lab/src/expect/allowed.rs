//! What a measured time may be, and how times are written in a verdict.

use std::time::Duration;

use tcpwatch_core::timing::{Window, wheel::TickRate};

use super::Context;
use crate::{
    scenario::Expression,
    verdict::{Times, Verdict},
};

/// A softirq, the records' way and a process that is woken take some time of their own: on an idle
/// machine less than a millisecond, so this is much, and far below the 12.5 % that the timer wheel
/// is known for.
const LATE: Duration = Duration::from_millis(10);

/// By how much a measured time may miss the kernel's own window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    early: Duration,
    late: Duration,
}

impl Tolerance {
    /// Timers count ticks: one that is armed just before a tick is due a tick earlier, seen by a
    /// clock that is exact. Late is what was late in the same run, too.
    pub(super) fn new(rate: TickRate, control: Duration) -> Self {
        Self { early: rate.duration(1), late: LATE.saturating_add(control) }
    }

    /// After so many timers, one after the other.
    pub(super) fn of(self, window: Window, timers: usize) -> Window {
        let timers = u32::try_from(timers).unwrap_or(u32::MAX);
        Window {
            promise: window.promise.saturating_sub(self.early),
            latest: window.latest.saturating_add(self.late.saturating_mul(timers)),
        }
    }

    /// The verdict about a time.
    pub(super) fn verdict(
        self,
        what: String,
        window: Window,
        timers: usize,
        measured: Duration,
        because: Option<String>,
    ) -> Verdict {
        let allowed = self.of(window, timers);
        Verdict {
            what,
            expected: promised(window),
            measured: precise(measured),
            times: (window.latest != Duration::MAX).then_some(Times { allowed, measured }),
            because,
            holds: allowed.promise <= measured && measured <= allowed.latest,
        }
    }
}

/// `60 s`: what the reader of a manual expects; the allowed times say the rest.
fn promised(window: Window) -> String {
    if window.promise.is_zero() { in_words(window) } else { round(window.promise) }
}

/// `60 s, at most 62.05 s`.
pub(crate) fn in_words(window: Window) -> String {
    let Window { promise, latest } = window;
    match (promise, latest) {
        (_, Duration::MAX) => "any time".to_owned(),
        (Duration::ZERO, _) => format!("at most {}", round(latest)),
        _ if promise == latest => round(promise),
        _ => format!("{}, at most {}", round(promise), round(latest)),
    }
}

/// `62.05 s`, `204 ms`: what was set, without zeros behind the point.
pub(crate) fn round(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{} ms", time.as_millis());
    }
    let text = format!("{:.2}", time.as_secs_f64());
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `60.270 s`, `0.42 ms`: what was measured.
pub(super) fn precise(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        format!("{:.3} s", time.as_secs_f64())
    } else {
        format!("{:.2} ms", time.as_secs_f64() * 1000.0)
    }
}

/// Where a window comes from: `tcp_fin_timeout = 60, timer wheel 2.05 s`.
pub(crate) fn because(
    expression: &Expression,
    context: &Context<'_>,
    window: Window,
) -> Option<String> {
    let mut parts: Vec<String> = expression
        .sysctls()
        .into_iter()
        .filter_map(|name| Some(format!("{name} = {}", context.sysctl(name)?)))
        .collect();
    if let Some(rto) = context.rto.filter(|_| expression.needs_rto()) {
        parts.push(format!("RTO {}", round(rto.rto)));
    }
    let wheel = window.latest.saturating_sub(window.promise);
    if !wheel.is_zero() && !window.promise.is_zero() && window.latest != Duration::MAX {
        parts.push(format!("timer wheel {}", round(wheel)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_time_is_never_early_by_more_than_a_tick_and_late_by_the_wheel_and_ten_milliseconds() {
        let window = Window::timer(ms(60_000), TickRate(250));
        let holds = |measured, control| {
            let tolerance = Tolerance::new(TickRate(250), control);
            tolerance.verdict(String::new(), window, 1, measured, None).holds
        };
        assert!(holds(ms(59_996), Duration::ZERO));
        assert!(!holds(ms(59_995), Duration::ZERO));
        assert!(holds(ms(62_058), Duration::ZERO));
        assert!(!holds(ms(62_059), Duration::ZERO));
        assert!(holds(ms(62_078), ms(20)), "the same run's control timer was late by 20 ms");
        assert!(!holds(ms(62_079), ms(20)));
    }

    #[test]
    fn times_are_written_as_the_manuals_do() {
        assert_eq!(in_words(Window::timer(ms(60_000), TickRate(250))), "60 s, at most 62.05 s");
        assert_eq!(in_words(Window { promise: ms(0), latest: ms(50) }), "at most 50 ms");
        assert_eq!(in_words(Window { promise: ms(0), latest: Duration::MAX }), "any time");
        assert_eq!(precise(ms(60_270)), "60.270 s");
        assert_eq!(precise(Duration::from_micros(420)), "0.42 ms");
    }
}
