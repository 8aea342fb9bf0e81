//! The allowed range of a measured time, and the format of times in a verdict.

use std::time::Duration;

use tcpwatch_core::timing::{Window, wheel::TickRate};

use super::EvaluationContext;
use crate::{
    scenario::Expression,
    verdict::{Times, Verdict},
};

/// A softirq, the path of a record to user space and the wakeup of a process take less than a millisecond on an idle
/// machine. This allowance is generous, and still far below the timer wheel's granularity of 12.5 %.
const LATE: Duration = Duration::from_millis(10);

/// By how much a measured time may be outside the kernel's own window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    early: Duration,
    late: Duration,
}

impl Tolerance {
    /// Timers count ticks: one that is armed just before a tick is due a tick earlier on an exact clock. The lateness
    /// of the control timer in the same run is allowed, too.
    pub(super) fn new(rate: TickRate, control: Duration) -> Self {
        Self { early: rate.duration(1), late: LATE.saturating_add(control) }
    }

    /// The allowed window after this many successive timers.
    pub(super) fn of(self, window: Window, timers: usize) -> Window {
        let timers = u32::try_from(timers).unwrap_or(u32::MAX);
        Window {
            promise: window.promise.saturating_sub(self.early),
            latest: window.latest.saturating_add(self.late.saturating_mul(timers)),
        }
    }

    /// The verdict on a measured time.
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

/// `60 s`: the time that a manual gives; the allowed times give the tolerance.
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

/// `62.05 s`, `204 ms`: a configured time, without trailing zeros.
pub(crate) fn round(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{} ms", time.as_millis());
    }
    let text = format!("{:.2}", time.as_secs_f64());
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `60.270 s`, `0.42 ms`: a measured time.
pub(super) fn precise(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        format!("{:.3} s", time.as_secs_f64())
    } else {
        format!("{:.2} ms", time.as_secs_f64() * 1000.0)
    }
}

/// The origin of a window: `tcp_fin_timeout = 60, timer wheel 2.05 s`.
pub(crate) fn because(
    expression: &Expression,
    context: &EvaluationContext<'_>,
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
