//! The time-sequence plot: one direction of a connection as its sender's link saw it, with the marks of tcptrace.
//!
//! - [`flow`]: what was sent, acknowledged and allowed, in bytes since the SYN
//! - [`scale`]: the axes; a silence beside which everything else would shrink to a point is folded
//! - [`lines`]: segments, acknowledgments and windows as paths
//! - [`mod@marks`]: the letters

mod flow;
mod lines;
mod marks;
mod scale;
#[cfg(test)]
mod tests;

use askama::Template;
use tcpwatch_lab::{host::Host, language::Language, story::Run};

use self::{
    flow::{Flow, flows},
    lines::{BarKind, acknowledged, allowed, segments},
    marks::{PlotMark, marks},
    scale::{AxisMark, ByteScale, Silence, TimeScale},
};
use crate::{look::PictureLook, sequence, words::PageWords};

/// The plot's area: its left, right, upper and lower edge.
const AREA: (f64, f64, f64, f64) = (96.0, 1160.0, 64.0, 400.0);

/// Segments with data below which a plot shows less than the sequence diagram.
const FEWEST: usize = 5;

/// A plot, with its name among the plots of its run.
#[derive(Debug)]
pub struct TimeSequence {
    /// `client`, or `client-2` for the second connection: whose data it shows.
    pub name: String,
    /// The picture.
    pub svg: String,
}

#[derive(Template)]
#[template(path = "time_sequence.svg")]
struct Plot<'a> {
    words: &'static PageWords,
    run: &'a Run,
    id: &'a str,
    version: &'static str,
    style: Option<&'static str>,
    from: Host,
    to: Host,
    connection: Option<usize>,
    summary: String,
    seconds: Vec<AxisMark>,
    bytes: Vec<AxisMark>,
    silences: Vec<Silence>,
    sent: String,
    control: String,
    again: String,
    ack: String,
    ticks: String,
    /// `None` if it lies above the plot all the time.
    window: Option<String>,
    marks: Vec<PlotMark>,
    legend: String,
}

/// The plots as files of their own: one for each direction of a connection with [`FEWEST`] segments of data or more.
///
/// # Errors
/// If the template cannot be filled.
pub fn svg(run: &Run, language: Language) -> Result<Vec<TimeSequence>, askama::Error> {
    plots(run, &PictureLook::of_file(language))
}

/// The plots.
pub(crate) fn plots(run: &Run, look: &PictureLook<'_>) -> Result<Vec<TimeSequence>, askama::Error> {
    let flows = flows(run);
    let several = flows.iter().any(|flow| flow.connection > 1);
    let plotted = flows.iter().filter(|flow| flow.data_segments() >= FEWEST);
    let plots = plotted.map(|flow| {
        let connection = several.then_some(flow.connection);
        let name = match connection {
            None => flow.from.to_string(),
            Some(number) => format!("{}-{number}", flow.from),
        };
        let id = format!("{}-{name}", look.id);
        let svg = plot(run, flow, &PictureLook { id: &id, ..*look }, connection).render()?;
        Ok(TimeSequence { name, svg })
    });
    plots.collect()
}

fn plot<'a>(
    run: &'a Run,
    flow: &Flow,
    look: &PictureLook<'a>,
    connection: Option<usize>,
) -> Plot<'a> {
    let PictureLook { id, style, words } = *look;
    let time = TimeScale::of(run.started, &flow.times());
    let bytes = ByteScale::of(flow.highest());
    let window = allowed(flow, &time, &bytes);
    let marks = marks(flow, &time, &bytes);
    Plot {
        words,
        run,
        id,
        version: sequence::version(run),
        style,
        from: flow.from,
        to: flow.from.peer(),
        connection,
        summary: flow.summary(),
        seconds: time.ticks(),
        bytes: bytes.ticks(),
        silences: time.silences(),
        sent: segments(flow, &time, &bytes, BarKind::First),
        control: segments(flow, &time, &bytes, BarKind::Control),
        again: segments(flow, &time, &bytes, BarKind::Again),
        ack: acknowledged(flow, &time, &bytes),
        ticks: lines::duplicates(flow, &time, &bytes),
        legend: marks::legend(&marks, flow, window.is_some(), words),
        window,
        marks,
    }
}
