//! Shows a run as it happens: one line per moment, in the layout of the diagram.

use tcpwatch_core::{
    event::{KernelTime, SegmentEvent, Subject, TcpState, Way},
    track::TrackedEvent,
};
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_view::terminal::style;

use super::{
    TerminalLayout,
    arrow::{Fate, Part, arrow},
    connections::Connections,
    grid::{ColoredText, Grid, GridLine, PerHost},
    words::{self, Namer},
};
use crate::{
    host::Host,
    scenario::{Scenario, Signal},
    story::{MomentKind, StoryEvent, SystemCall},
};

/// Writes a run's moments. The header precedes the first line.
#[derive(Debug)]
pub struct TimelineWriter {
    grid: Grid,
    scenario: Scenario,
    family: FamilyFilter,
    started: KernelTime,
    begun: bool,
    stopped: PerHost<bool>,
    connections: Connections,
    namer: Namer,
}

impl TimelineWriter {
    /// Times are shown in seconds since `started`.
    #[must_use]
    pub fn new(
        layout: TerminalLayout,
        scenario: &Scenario,
        family: FamilyFilter,
        started: KernelTime,
    ) -> Self {
        Self {
            grid: Grid::new(layout, false),
            scenario: scenario.clone(),
            family,
            started,
            begun: false,
            stopped: PerHost::default(),
            connections: Connections::default(),
            namer: Namer::default(),
        }
    }

    /// Appends a moment's line. Answers of `sock_diag` and the summary of a connection have none.
    pub fn moment(&mut self, moment: &StoryEvent, out: &mut Vec<u8>) {
        let mut line =
            GridLine { time: Some(moment.at.since(self.started)), ..GridLine::default() };
        let panel = line.panels.of_mut(moment.host);
        match &moment.what {
            MomentKind::Called(call) | MomentKind::Returned(call) => panel.notes.push(called(call)),
            MomentKind::Signal(signal) => {
                match signal {
                    Signal::Stop => *self.stopped.of_mut(moment.host) = true,
                    Signal::Continue | Signal::Kill => *self.stopped.of_mut(moment.host) = false,
                }
                panel.notes.push(words::signal(*signal, self.grid.room(moment.host)));
            }
            MomentKind::TrackedEvent(tracked) => {
                let shown = self.tracked(moment.host, tracked);
                let Some((state, notes)) = shown else { return };
                let panel = line.panels.of_mut(moment.host);
                panel.state = state;
                panel.notes = notes;
            }
            MomentKind::Segment(segment) => {
                line.field = self.segment(moment.host, segment);
                let rule = segment.dropped_by;
                panel.notes.extend(rule.map(|slot| words::dropped(&self.scenario, slot)));
            }
            MomentKind::RuleSet(slot) => panel.notes.push(words::rule_set(&self.scenario, *slot)),
            MomentKind::RuleReleased(slot) => {
                panel.notes.push(words::rule_released(&self.scenario, *slot));
            }
            MomentKind::Witness(_) => return,
        }
        if !self.begun {
            self.begun = true;
            self.grid.header("as it happens", &self.scenario, self.family, out);
        }
        for host in Host::ALL {
            line.panels.of_mut(host).stopped = *self.stopped.of(host);
        }
        self.grid.write(&line, out);
    }

    /// A state, and remarks.
    fn tracked(
        &mut self,
        host: Host,
        tracked: &TrackedEvent,
    ) -> Option<(Option<ColoredText>, Vec<ColoredText>)> {
        Some(match tracked {
            TrackedEvent::Change(change) => {
                let state = self.state(host, change.to, &change.subject);
                (Some(state), words::remarks(change))
            }
            TrackedEvent::Restart(restart) => {
                let state = self.state(host, restart.state, &restart.subject);
                (Some(state), vec![words::restart(restart)])
            }
            TrackedEvent::Retransmit(again) => {
                let text = words::retry(again).into_iter().next()?;
                (None, vec![ColoredText::new(text, style::FAILURE)])
            }
            TrackedEvent::Reset(reset) => (None, vec![words::reset(reset)]),
            TrackedEvent::Error(error) => (None, vec![words::error(&error.event)]),
            // The summary of a connection repeats earlier events; segments are moments of their own.
            _ => return None,
        })
    }

    /// A state's name, with the connection's number from the second connection on.
    fn state(&mut self, host: Host, state: TcpState, subject: &Subject) -> ColoredText {
        let number = self.connections.number(host, subject.socket, &subject.ends);
        let number = number.filter(|number| *number > 1);
        let number = number.map(|number| format!(" #{number}")).unwrap_or_default();
        ColoredText::new(format!("{state}{number}"), style::of_state(state))
    }

    fn segment(&mut self, host: Host, segment: &SegmentEvent) -> Vec<ColoredText> {
        let (from, part) = match segment.way {
            Way::Out => (host, Part::Departure),
            Way::In => (host.peer(), Part::Arrival),
        };
        let fate = match (segment.dropped_by, segment.way) {
            (None, _) => Fate::Arrived,
            (Some(_), Way::In) => Fate::DroppedThere,
            (Some(_), Way::Out) => Fate::DroppedHere,
        };
        let part = if fate == Fate::DroppedHere { Part::Whole } else { part };
        let labels = self.namer.labels(from, segment);
        let labels = if part == Part::Arrival { Vec::new() } else { labels };
        arrow(self.grid.field(), from, &labels, (part, fate), &[])
    }
}

/// As strace shows it; a call that has not returned has no result.
fn called(call: &SystemCall) -> ColoredText {
    let look = if matches!(call.result, Some(Err(_))) { style::FAILURE } else { style::PLAIN };
    let open = if call.result.is_none() { " \u{2026}" } else { "" };
    ColoredText::new(format!("{}{open}", call.line()), look)
}
