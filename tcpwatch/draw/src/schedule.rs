//! The retransmissions of a run in time: each a dot in the window that the kernel's rules allow.
//!
//! The window of an attempt is what the attempt before it announced, `next` of a retransmission; the first has the timeout
//! as a line only. The axis is logarithmic, from a hundredth of a second to a thousand seconds.

use std::time::Duration;

use askama::Template;
use tcpwatch_core::{
    event::{Endpoints, KernelTime, SegmentKind, TcpState},
    timing::Window,
    track::{Reason, TrackedEvent},
};
use tcpwatch_lab::{
    host::Host,
    language::Language,
    story::{MomentKind, Run},
};

use crate::{axis::seconds, look::PictureLook, sequence, words::PageWords};

/// The left end of the axis, and the width of a factor of ten.
const AXIS: (f64, f64) = (320.0, 160.0);
/// Factors of ten on the axis: from 0.01 s to 1000 s.
const DECADES: [&str; 6] = ["0.01", "0.1", "1", "10", "100", "1000"];
/// The height of a line.
const LINE: u32 = 24;
/// The y of the first line.
const TOP: u32 = 62;

/// An attempt, or the end of all of them.
#[derive(Debug)]
struct DrawnAttempt {
    name: String,
    /// Since the attempt before.
    gap: Duration,
    window: Option<Window>,
    expected: Option<Duration>,
}

/// The attempts of a socket to send one thing.
#[derive(Debug)]
struct AttemptSeries {
    host: Host,
    ends: Endpoints,
    segment: SegmentKind,
    /// The latest attempt, and what is to follow it.
    latest: KernelTime,
    next: Option<Window>,
    attempts: Vec<DrawnAttempt>,
}

/// A line of the picture.
struct PlotLine {
    y: u32,
    name: String,
    /// Of the window, as numbers of SVG.
    from: Option<String>,
    width: String,
    expected: Option<String>,
    at: String,
    is_within: bool,
    title: String,
}

#[derive(Template)]
#[template(path = "schedule.svg")]
struct SchedulePlot<'a> {
    words: &'static PageWords,
    run: &'a Run,
    id: &'a str,
    version: &'static str,
    style: Option<&'static str>,
    height: u32,
    ticks: Vec<(String, &'static str)>,
    lines: Vec<PlotLine>,
}

/// The picture as a file of its own; `None` if nothing was sent again twice.
pub fn svg(run: &Run, language: Language) -> Result<Option<String>, askama::Error> {
    picture(run, &PictureLook::of_file(language))
}

/// The picture.
pub(crate) fn picture(run: &Run, look: &PictureLook<'_>) -> Result<Option<String>, askama::Error> {
    let PictureLook { id, style, words } = *look;
    let series = series(run);
    let attempts = series.iter().filter(|series| series.attempts.len() > 1);
    let attempts: Vec<&DrawnAttempt> = attempts.flat_map(|series| &series.attempts).collect();
    if attempts.is_empty() {
        return Ok(None);
    }
    let mut y = TOP;
    let lines = attempts.into_iter().map(|attempt| {
        let line = line(attempt, y);
        y += LINE;
        line
    });
    let lines: Vec<PlotLine> = lines.collect();
    let ticks = DECADES.iter().zip([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let ticks = ticks.map(|(name, decade)| (number(AXIS.1.mul_add(decade, AXIS.0)), *name));
    let plot = SchedulePlot {
        words,
        run,
        id,
        version: sequence::version(run),
        style,
        height: y + 12,
        ticks: ticks.collect(),
        lines,
    };
    plot.render().map(Some)
}

fn series(run: &Run) -> Vec<AttemptSeries> {
    let mut all: Vec<AttemptSeries> = Vec::new();
    for moment in &run.story {
        let MomentKind::TrackedEvent(tracked) = &moment.what else { continue };
        match &**tracked {
            TrackedEvent::Retransmit(again) => {
                let (ends, segment) = (again.subject.ends, again.segment);
                let known = all.iter_mut().rposition(|series| {
                    (series.host, series.ends, series.segment) == (moment.host, ends, segment)
                });
                // The first of a new run of attempts.
                let known = known.filter(|_| again.attempt > 1);
                let place = known.unwrap_or_else(|| {
                    let (host, latest) = (moment.host, moment.at);
                    let attempts = Vec::new();
                    all.push(AttemptSeries { host, ends, segment, latest, next: None, attempts });
                    all.len() - 1
                });
                let Some(series) = all.get_mut(place) else { continue };
                let name = format!(
                    "{} {} attempt {}",
                    moment.host,
                    segment.word().replace('_', "+").to_uppercase(),
                    again.attempt
                );
                // No timer ran out for an early one: it has no window.
                let window = series.next.filter(|_| !again.early);
                let expected = again.expected;
                series.attempts.extend(again.since_last.map(|gap| DrawnAttempt {
                    name,
                    gap,
                    window,
                    expected,
                }));
                series.latest = moment.at;
                series.next = again.next.map(|next| next.wait);
            }
            TrackedEvent::Change(change) if change.to == TcpState::Closed => {
                let ends = change.subject.ends;
                let last = all.iter_mut().rev().find(|series| {
                    series.host == moment.host && series.ends == ends && series.next.is_some()
                });
                let Some(series) = last else { continue };
                let gave_up = matches!(
                    change.reason,
                    Some(Reason::TimedOut | Reason::GaveUp | Reason::Abandoned)
                );
                if let Some(window) = series.next.take().filter(|_| gave_up) {
                    series.attempts.push(DrawnAttempt {
                        name: format!("{} gives up", moment.host),
                        gap: moment.at.since(series.latest),
                        window: Some(window),
                        expected: None,
                    });
                }
            }
            _ => {}
        }
    }
    all
}

fn line(attempt: &DrawnAttempt, y: u32) -> PlotLine {
    let DrawnAttempt { name, gap, window, expected } = attempt;
    let is_within = window.is_none_or(|window| (window.promise..=window.latest).contains(gap));
    let gap_text = seconds(*gap, 3);
    let title = match (window, expected) {
        (Some(Window { promise, latest }), _) => {
            let (least, most) = (seconds(*promise, 3), seconds(*latest, 3));
            format!("{name}: after {gap_text} s, allowed {least} to {most} s")
        }
        (None, Some(expected)) => {
            format!("{name}: after {gap_text} s, timeout {} s", seconds(*expected, 3))
        }
        (None, None) => format!("{name}: after {gap_text} s"),
    };
    let from = window.map(|window| x(window.promise));
    // At least as wide as the dot, so that it can be seen.
    let width = window.map_or(0.0, |window| (x(window.latest) - x(window.promise)).max(3.0));
    PlotLine {
        y,
        name: format!("{name}, +{gap_text} s"),
        from: from.map(number),
        width: number(width),
        expected: expected.filter(|_| window.is_none()).map(x).map(number),
        at: number(x(*gap)),
        is_within,
        title,
    }
}

fn x(time: Duration) -> f64 {
    let decades = time.as_secs_f64().clamp(0.01, 1000.0).log10() + 2.0;
    decades.mul_add(AXIS.1, AXIS.0)
}

fn number(number: f64) -> String {
    format!("{number:.1}")
}
