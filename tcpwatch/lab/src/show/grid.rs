//! The layout of timeline and diagram: time, the client's panel, two lifelines with a field between them, the server's
//! panel. Calls are at the outer edges, states beside the lifelines.

use std::time::Duration;

use anstyle::Style;
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_view::terminal::style;

use super::{TerminalLayout, table::wrapped};
use crate::{
    host::Host,
    scenario::{Action, CallKind, Scenario},
};

/// `  60.4832  `
const TIME: usize = 11;
/// The longest state.
const STATE: usize = "ESTABLISHED".len();

/// A piece of text with its colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColoredText {
    /// The text.
    pub text: String,
    /// Its colour.
    pub style: Style,
}

impl ColoredText {
    pub(super) fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, style::PLAIN)
    }

    pub(super) fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// The text cut to at most `width` columns.
    fn cut(&self, width: usize) -> Self {
        if self.width() <= width {
            return self.clone();
        }
        let mut text: String = self.text.chars().take(width.saturating_sub(1)).collect();
        text.push('\u{2026}');
        Self { text, style: self.style }
    }
}

/// A value for each host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerHost<T> {
    client: T,
    server: T,
}

impl<T> PerHost<T> {
    /// This host's.
    #[must_use]
    pub const fn of(&self, host: Host) -> &T {
        match host {
            Host::Client => &self.client,
            Host::Server => &self.server,
        }
    }

    /// This host's, to be changed.
    pub const fn of_mut(&mut self, host: Host) -> &mut T {
        match host {
            Host::Client => &mut self.client,
            Host::Server => &mut self.server,
        }
    }
}

/// What one host shows in a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Panel {
    /// The state entered at this time.
    pub state: Option<ColoredText>,
    /// Calls and remarks.
    pub notes: Vec<ColoredText>,
    /// The host's process is stopped.
    pub stopped: bool,
    /// The state was entered earlier and continues.
    pub still: bool,
}

/// A line of the output.
#[derive(Clone, Debug, Default)]
pub(super) struct GridLine {
    pub(super) time: Option<Duration>,
    pub(super) panels: PerHost<Panel>,
    /// The text between the lifelines: as wide as the field, or empty.
    pub(super) field: Vec<ColoredText>,
    /// Time passes; the lifelines are not drawn to scale.
    pub(super) folded: bool,
    /// The host that a segment reaches in this line: its remarks follow from that.
    pub(super) brings: Option<Host>,
}

/// The widths of the columns, and the last time that was written.
#[derive(Debug)]
pub(super) struct Grid {
    color: bool,
    width: usize,
    state: usize,
    /// Width of the client's panel.
    left: usize,
    /// Width of the server's panel, which is a little wider: its calls have a column of their own.
    right: usize,
    field: usize,
    last_time: String,
}

impl Grid {
    /// Connections are numbered if there are several, which makes the states wider.
    pub(super) fn new(layout: TerminalLayout, numbered: bool) -> Self {
        let width = layout.columns();
        let field = (width * 3 / 10).clamp(26, 44);
        let panels = width.saturating_sub(TIME + 2 + field).min(112);
        let right = panels / 2 + 3;
        let left = panels.saturating_sub(right);
        let state = if numbered { STATE + " #12".len() } else { STATE };
        Self { color: layout.color, width, state, left, right, field, last_time: String::new() }
    }

    /// Width of the field between the lifelines.
    pub(super) const fn field(&self) -> usize {
        self.field
    }

    /// Width of a remark.
    pub(super) const fn room(&self, host: Host) -> usize {
        match host {
            Host::Client => self.left.saturating_sub(1),
            Host::Server => self.right.saturating_sub(1),
        }
    }

    /// Width of a remark beside a state.
    fn beside(&self, host: Host, state: &ColoredText) -> usize {
        let taken = match host {
            Host::Client => state.width(),
            Host::Server => state.width().max(self.state),
        };
        self.room(host).saturating_sub(taken + 2)
    }

    /// The title, and the hosts above their columns.
    pub(super) fn header(
        &self,
        title: &str,
        scenario: &Scenario,
        family: FamilyFilter,
        out: &mut Vec<u8>,
    ) {
        style::paint(style::PLAIN.bold(), title.as_bytes(), self.color, out);
        out.push(b'\n');
        let end = |host: Host| {
            let address = host.address(family);
            let port = port(scenario, host);
            match (port, address.is_ipv6()) {
                (Some(port), true) => format!("[{address}]:{port}"),
                (Some(port), false) => format!("{address}:{port}"),
                (None, _) => address.to_string(),
            }
        };
        let client = format!("client {}", end(Host::Client));
        let server = format!("server {}", end(Host::Server));
        let left = TIME + self.left + 1;
        let beside = left.saturating_sub(TIME);
        let text = format!("  seconds  {client:>beside$}");
        let lifeline = left + self.field;
        let most = self.width.saturating_sub(server.chars().count());
        let text = format!("{text:<start$}{server}", start = lifeline.min(most));
        style::paint(style::HEADER, text.as_bytes(), self.color, out);
        out.push(b'\n');
    }

    /// Appends a line. Remarks that do not fit beside the state get lines of their own: above, or below if they follow
    /// from a segment that arrives.
    pub(super) fn write(&mut self, line: &GridLine, out: &mut Vec<u8>) {
        let mut line = line.clone();
        let (mut above, mut below) =
            (PerHost::<Vec<ColoredText>>::default(), PerHost::<Vec<ColoredText>>::default());
        for host in Host::ALL {
            let room = self.room(host);
            let panel = line.panels.of_mut(host);
            let beside = panel.state.as_ref().map_or(room, |state| self.beside(host, state));
            let notes = std::mem::take(&mut panel.notes);
            let mut lines = flowed(&notes, beside, room);
            let fits = |note: &ColoredText| note.width() <= beside;
            if line.brings == Some(host) {
                if lines.first().is_some_and(fits) {
                    panel.notes = vec![lines.remove(0)];
                }
                *below.of_mut(host) = lines;
            } else {
                if lines.last().is_some_and(fits) {
                    panel.notes.extend(lines.pop());
                }
                *above.of_mut(host) = lines;
            }
        }
        self.extra(&line, &above, out);
        self.write_one(&line, out);
        self.extra(&line, &below, out);
    }

    /// Appends lines of remarks only.
    fn extra(&mut self, line: &GridLine, notes: &PerHost<Vec<ColoredText>>, out: &mut Vec<u8>) {
        let count = Host::ALL.map(|host| notes.of(host).len()).into_iter().max();
        for number in 0..count.unwrap_or_default() {
            let mut extra =
                GridLine { time: line.time, folded: line.folded, ..GridLine::default() };
            for host in Host::ALL {
                let panel = extra.panels.of_mut(host);
                panel.stopped = line.panels.of(host).stopped;
                panel.notes.extend(notes.of(host).get(number).cloned());
            }
            self.write_one(&extra, out);
        }
    }

    fn write_one(&mut self, line: &GridLine, out: &mut Vec<u8>) {
        let mut spans = vec![self.time(line.time)];
        self.client(line.panels.of(Host::Client), &mut spans);
        spans.push(lifeline(line, Host::Client));
        if line.field.is_empty() {
            spans.push(ColoredText::plain(" ".repeat(self.field)));
        } else {
            spans.extend(line.field.iter().cloned());
        }
        spans.push(lifeline(line, Host::Server));
        self.server(line.panels.of(Host::Server), &mut spans);
        while spans.last().is_some_and(|last| last.text.trim().is_empty()) {
            spans.pop();
        }
        for span in &spans {
            style::paint(span.style, span.text.as_bytes(), self.color, out);
        }
        out.push(b'\n');
    }

    /// A time that equals that of the line above is dim.
    fn time(&mut self, time: Option<Duration>) -> ColoredText {
        let Some(time) = time else { return ColoredText::plain(" ".repeat(TIME)) };
        let text = format!("{:>4}.{:04}  ", time.as_secs(), time.subsec_micros() / 100);
        let look = if text == self.last_time { style::HEADER } else { style::PLAIN };
        self.last_time.clone_from(&text);
        ColoredText::new(text, look)
    }

    /// The client's panel: calls at the outer edge, the state at the lifeline.
    fn client(&self, panel: &Panel, spans: &mut Vec<ColoredText>) {
        let state = panel.state.as_ref();
        let taken = state.map_or(0, |state| state.width() + 1);
        let notes = fitted(&panel.notes, self.room(Host::Client).saturating_sub(taken));
        let blank = self.left.saturating_sub(width_of(&notes) + taken);
        spans.extend(notes);
        spans.push(ColoredText::plain(" ".repeat(blank)));
        if let Some(state) = state {
            spans.push(state.clone());
            spans.push(ColoredText::plain(" "));
        }
    }

    /// The server's panel: the state at the lifeline; calls in a column of their own, or where they have room.
    fn server(&self, panel: &Panel, spans: &mut Vec<ColoredText>) {
        let state = panel.state.as_ref();
        let taken = state.map_or(0, |state| state.width() + 1);
        let notes = fitted(&panel.notes, self.room(Host::Server).saturating_sub(taken));
        let column = (1 + self.state + 2).max(taken + 1);
        let column = if column + width_of(&notes) <= self.right { column } else { taken + 1 };
        spans.push(ColoredText::plain(" "));
        if let Some(state) = state {
            spans.push(state.clone());
        }
        let written = 1 + state.map_or(0, ColoredText::width);
        if !notes.is_empty() {
            spans.push(ColoredText::plain(" ".repeat(column.saturating_sub(written))));
            spans.extend(notes);
        }
    }
}

/// The port that a host listens on or binds to.
fn port(scenario: &Scenario, wanted: Host) -> Option<u16> {
    scenario.steps.iter().find_map(|step| match &step.action {
        Action::Call(host, call) if *host == wanted => match call.kind {
            CallKind::Listen { port, .. } | CallKind::Bind { port } => Some(port),
            _ => None,
        },
        _ => None,
    })
}

fn lifeline(line: &GridLine, host: Host) -> ColoredText {
    let panel = line.panels.of(host);
    match (&panel.state, line.folded || panel.still, panel.stopped) {
        (Some(state), false, _) => ColoredText::new("\u{25cf}", state.style),
        (_, true, _) => ColoredText::new("\u{2506}", style::HEADER),
        (None, false, true) => ColoredText::plain("\u{2016}"),
        (None, false, false) => ColoredText::new("\u{2502}", style::HEADER),
    }
}

fn width_of(spans: &[ColoredText]) -> usize {
    spans.iter().map(ColoredText::width).sum()
}

/// The notes, separated by commas.
fn joined(notes: &[ColoredText]) -> ColoredText {
    let text = notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>().join(", ");
    let look = notes.iter().map(|note| note.style).find(|look| !look.is_plain());
    ColoredText::new(text, look.unwrap_or_default())
}

/// Remarks in as few lines as they need, wrapped if too long; `beside` is the width beside a state, which the last line
/// has.
fn flowed(notes: &[ColoredText], beside: usize, room: usize) -> Vec<ColoredText> {
    let mut lines: Vec<Vec<ColoredText>> = Vec::new();
    for note in notes.iter().rev() {
        let width = if lines.len() == 1 { beside } else { room };
        let comma = |line: &[ColoredText]| width_of(line) + 2 * line.len() + note.width();
        match lines.last_mut() {
            Some(line) if comma(line) <= width => line.insert(0, note.clone()),
            _ => lines.push(vec![note.clone()]),
        }
    }
    let lines = lines.iter().rev().map(|line| joined(line));
    let wrapped = lines.flat_map(|line| {
        wrapped(&line.text, room).into_iter().map(move |text| ColoredText::new(text, line.style))
    });
    wrapped.collect()
}

/// Remarks cut to the available width.
fn fitted(notes: &[ColoredText], room: usize) -> Vec<ColoredText> {
    notes.iter().map(|note| note.cut(room)).collect()
}
