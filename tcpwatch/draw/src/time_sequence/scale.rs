//! The axes of the plot: seconds since the run began, and bytes since the SYN.

use std::time::Duration;

use tcpwatch_core::event::KernelTime;
use tcpwatch_lab::show::FOLD;

use super::AREA;
use crate::axis::seconds;

/// A silence longer than this many times all shorter ones together is folded.
const OUTWEIGHS: u32 = 20;
/// The distance of the first and the last moment from the edges.
const MARGIN: f64 = 20.0;
/// The width of a folded silence.
const FOLDED: f64 = 64.0;
/// The distance of two labels of the time axis at least.
const APART: f64 = 90.0;

/// A mark of an axis.
#[derive(Debug)]
pub(super) struct AxisMark {
    pub(super) at: String,
    pub(super) name: String,
}

/// A time without any segment, which is not drawn to scale.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) middle: String,
    pub(super) text: String,
}

/// A stretch of time and where it is drawn.
#[derive(Debug)]
struct Stretch {
    from: KernelTime,
    to: KernelTime,
    x: f64,
    width: f64,
    folded: bool,
}

/// The time axis.
#[derive(Debug)]
pub(super) struct TimeScale {
    started: KernelTime,
    stretches: Vec<Stretch>,
}

impl TimeScale {
    /// The axis of these moments, which are in order.
    pub(super) fn of(started: KernelTime, times: &[KernelTime]) -> Self {
        let least = least_folded(times);
        let mut stretches: Vec<Stretch> = Vec::new();
        for (from, to) in times.iter().zip(times.iter().skip(1)) {
            let folded = least.is_some_and(|least| to.since(*from) >= least);
            match stretches.last_mut() {
                Some(latest) if !folded && !latest.folded => latest.to = *to,
                _ => stretches.push(Stretch { from: *from, to: *to, x: 0.0, width: 0.0, folded }),
            }
        }
        place(&mut stretches);
        Self { started, stretches }
    }

    /// The x of a moment.
    pub(super) fn x(&self, at: KernelTime) -> f64 {
        let reached = self.stretches.iter().find(|stretch| at <= stretch.to);
        let Some(stretch) = reached.or(self.stretches.last()) else { return AREA.0 };
        let whole = stretch.to.since(stretch.from).as_secs_f64();
        let part = at.since(stretch.from).as_secs_f64();
        let part = if whole > 0.0 { (part / whole).min(1.0) } else { 0.0 };
        stretch.width.mul_add(part, stretch.x)
    }

    /// The marks of the axis: round numbers of seconds where a stretch is wide, its ends where it is narrow.
    pub(super) fn ticks(&self) -> Vec<AxisMark> {
        let mut ticks = Vec::new();
        let mut last = f64::NEG_INFINITY;
        for stretch in self.stretches.iter().filter(|stretch| !stretch.folded) {
            let from = stretch.from.since(self.started);
            let to = stretch.to.since(self.started);
            let step = step(to.saturating_sub(from), stretch.width);
            let mut at = round_up(from, step);
            while at <= to {
                let x = self.x(self.started.after(at));
                if x - last >= APART {
                    ticks.push(AxisMark { at: number(x), name: seconds(at, decimals(step)) });
                    last = x;
                }
                at += step;
            }
        }
        ticks
    }

    /// What is folded.
    pub(super) fn silences(&self) -> Vec<Silence> {
        let folded = self.stretches.iter().filter(|stretch| stretch.folded);
        let silences = folded.map(|stretch| Silence {
            x: number(stretch.x),
            width: number(stretch.width),
            middle: number(stretch.width.mul_add(0.5, stretch.x)),
            text: format!("{} s", seconds(stretch.to.since(stretch.from), 2)),
        });
        silences.collect()
    }
}

/// The shortest silence that is folded: it and all longer ones outweigh everything else.
fn least_folded(times: &[KernelTime]) -> Option<Duration> {
    let mut gaps: Vec<Duration> =
        times.iter().zip(times.iter().skip(1)).map(|(from, to)| to.since(*from)).collect();
    gaps.sort_unstable();
    let mut shorter = Duration::ZERO;
    for gap in gaps {
        if gap > FOLD && !shorter.is_zero() && gap > shorter.saturating_mul(OUTWEIGHS) {
            return Some(gap);
        }
        shorter += gap;
    }
    None
}

/// Shares the width among the stretches that are not folded, by their times.
fn place(stretches: &mut [Stretch]) {
    let (left, right, ..) = AREA;
    let silent = stretches.iter().filter(|stretch| stretch.folded).map(|_| FOLDED).sum::<f64>();
    let open = stretches.iter().filter(|stretch| !stretch.folded);
    let time: f64 = open.map(|stretch| stretch.to.since(stretch.from).as_secs_f64()).sum();
    let scale =
        if time > 0.0 { (right - left - 2.0 * MARGIN - silent).max(0.0) / time } else { 0.0 };
    let mut x = left + MARGIN;
    for stretch in stretches {
        stretch.x = x;
        stretch.width = if stretch.folded {
            FOLDED
        } else {
            stretch.to.since(stretch.from).as_secs_f64() * scale
        };
        x += stretch.width;
    }
}

/// The distance of marks on a stretch of time: a round number of microseconds.
fn step(time: Duration, width: f64) -> Duration {
    let most = (width / APART).floor().max(1.0);
    Duration::from_secs_f64(round_step(time.as_secs_f64() * 1e6 / most) / 1e6)
}

/// The least of 1, 2, 5, 10, 20, 50 and so on that is not less than this.
fn round_step(least: f64) -> f64 {
    let decades = (0..13).map(|exponent| 10_f64.powi(exponent));
    let mut steps = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|factor| factor * decade));
    steps.find(|step| *step >= least).unwrap_or(1e13)
}

fn round_up(time: Duration, step: Duration) -> Duration {
    let (time, step) = (time.as_nanos(), step.as_nanos().max(1));
    let nanoseconds = time.div_ceil(step) * step;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// The decimals that a step needs.
fn decimals(step: Duration) -> usize {
    let micros = step.as_micros();
    (0..6)
        .find(|decimals| micros.is_multiple_of(10_u128.pow(6 - decimals)))
        .map_or(6, |decimals| usize::try_from(decimals).unwrap_or(6))
}

/// The axis of bytes.
#[derive(Debug)]
pub(super) struct ByteScale {
    /// The bytes at the upper edge.
    pub(super) most: f64,
}

impl ByteScale {
    pub(super) fn of(highest: u32) -> Self {
        Self { most: (f64::from(highest) * 1.12).max(2.0) }
    }

    /// The y of a number of bytes; above the plot for more than it shows.
    pub(super) fn y(&self, bytes: u32) -> f64 {
        let (.., top, bottom) = AREA;
        (top - bottom).mul_add(f64::from(bytes) / self.most, bottom)
    }

    /// Marks at 1, 2 or 5 of a power of ten, about six.
    pub(super) fn ticks(&self) -> Vec<AxisMark> {
        let step = round_step(self.most / 7.0);
        let count = (0..8_u32).map(|count| f64::from(count) * step);
        let (.., top, bottom) = AREA;
        let marks = count.take_while(|bytes| *bytes <= self.most).map(|bytes| AxisMark {
            at: number((top - bottom).mul_add(bytes / self.most, bottom)),
            name: format!("{bytes:.0}"),
        });
        marks.collect()
    }
}

/// A number of SVG.
pub(super) fn number(number: f64) -> String {
    format!("{number:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(ms: &[u64]) -> Vec<KernelTime> {
        ms.iter().map(|ms| KernelTime(ms * 1_000_000)).collect()
    }

    #[test]
    fn doubling_waits_are_drawn_to_scale_and_a_silence_that_outweighs_everything_is_folded() {
        assert_eq!(least_folded(&times(&[0, 1, 200, 600, 1400, 3000, 6200])), None);
        let folded = least_folded(&times(&[0, 2, 5, 1505, 1507, 1510]));
        assert_eq!(folded, Some(Duration::from_millis(1500)));
        let scale = TimeScale::of(KernelTime(0), &times(&[0, 2, 5, 1505, 1507, 1510]));
        assert_eq!(scale.silences().len(), 1);
        let x = |ms: u64| scale.x(KernelTime(ms * 1_000_000));
        assert!((x(5) + FOLDED - x(1505)).abs() < 0.01, "{} {}", x(5), x(1505));
        assert!((x(1510) - AREA.1 + MARGIN).abs() < 0.01, "{}", x(1510));
    }

    #[test]
    fn marks_of_an_axis_are_round_and_apart() {
        let scale = TimeScale::of(KernelTime(0), &times(&[4, 26_707]));
        let names: Vec<_> = scale.ticks().into_iter().map(|tick| tick.name).collect();
        assert_eq!(names, ["5", "10", "15", "20", "25"]);
        let names = |highest| {
            let ticks = ByteScale::of(highest).ticks();
            ticks.into_iter().map(|tick| tick.name).collect::<Vec<_>>()
        };
        assert_eq!(names(2), ["0", "1", "2"]);
        assert_eq!(names(40_001), ["0", "10000", "20000", "30000", "40000"]);
    }
}
