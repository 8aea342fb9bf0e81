//! One run as a sequence diagram in SVG. Its rows, words and arrows are those of the text diagram.

use askama::Template;
use tcpwatch_lab::{
    host::Host,
    language::Language,
    show::{self, PerHost},
    story::Run,
};

use crate::{
    arrows::{DrawnArrow, arrows},
    axis::{Axis, Fold, seconds},
    bands::{Band, Stop, bands, stops},
    look::PictureLook,
    notes::{Note, notes},
    shape::{WIDTH, columns},
    timers::{DrawnTimer, timers},
    words::PageWords,
};

/// The style of all diagrams: light, dark and print.
pub(crate) const STYLE: &str = include_str!("../templates/sequence.css");

struct Time {
    y: u32,
    text: String,
}

#[derive(Template)]
#[template(path = "sequence.svg")]
struct Picture<'a> {
    words: &'static PageWords,
    run: &'a Run,
    id: &'a str,
    version: &'static str,
    /// The style, if the picture stands alone.
    style: Option<&'static str>,
    width: u32,
    bottom: u32,
    hosts: [String; 2],
    lasted: String,
    times: Vec<Time>,
    folds: Vec<Fold>,
    bands: Vec<Band>,
    stops: Vec<Stop>,
    timers: Vec<DrawnTimer>,
    arrows: Vec<DrawnArrow>,
    notes: Vec<Note>,
}

/// The picture as a file of its own.
pub fn svg(run: &Run, language: Language) -> Result<String, askama::Error> {
    picture(run, &PictureLook::of_file(language))
}

/// The picture.
pub(crate) fn picture(run: &Run, look: &PictureLook<'_>) -> Result<String, askama::Error> {
    let PictureLook { id, style, words } = *look;
    let mut room = PerHost::default();
    for host in Host::ALL {
        *room.of_mut(host) = columns(host).room;
    }
    let rows = show::rows(run, room);
    let axis = Axis::of(run, &rows, words);
    let times = axis.rows.iter().map(|placed| {
        let text = seconds(placed.row.at.since(run.started), 6);
        Time { y: placed.y + 4, text }
    });
    let picture = Picture {
        words,
        run,
        id,
        version: version(run),
        style,
        width: WIDTH,
        bottom: axis.bottom,
        hosts: Host::ALL.map(|host| host.address(run.family).to_string()),
        lasted: seconds(run.ended.since(run.started), 2),
        times: times.collect(),
        bands: bands(&axis),
        stops: stops(&axis),
        timers: timers(run, &axis, words),
        arrows: arrows(&axis),
        notes: notes(&axis),
        folds: axis.folds,
    };
    picture.render()
}

/// `v4` or `v6`.
pub(crate) fn version(run: &Run) -> &'static str {
    if run.family == tcpwatch_kernel::probe::filters::FamilyFilter::V6 { "v6" } else { "v4" }
}
