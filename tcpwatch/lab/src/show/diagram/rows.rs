//! Groups arrows, states and remarks that belong together into rows.
//!
//! A row has the time of its first event. Within each host the rows keep the order of the story: a segment that arrives
//! after its receiver has done something else continues in a row of its own, so that crossing segments are visible as
//! such.

use std::{collections::BTreeMap, time::Duration};

use tcpwatch_core::{
    event::{KernelTime, ResetDirection, SegmentEvent, Subject, TcpFlags, TcpState},
    track::TrackedEvent,
};
use tcpwatch_view::terminal::style;

use super::{
    calls::{self, Effect},
    join::{Arrow, apart, arrows},
};
use crate::{
    host::Host,
    scenario::{Scenario, Signal},
    show::{
        arrow::{Fate, Part},
        connections::Connections,
        grid::{ColoredText, Panel, PerHost},
        words::{self, Namer},
    },
    story::{MomentKind, Run, StoryEvent},
};

/// Maximal time between events of one row.
const TOGETHER: Duration = Duration::from_millis(2);
/// Lines of a panel that the reason for a reset may take.
const LINES: usize = 2;
/// Maximal time between calls of one row.
const CALLS: Duration = Duration::from_millis(50);

/// An arrow to be drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Its number: both parts of an arrow have the same.
    pub number: usize,
    /// The sender.
    pub from: Host,
    /// What it is called, longest first; empty for the second part of an arrow.
    pub labels: Vec<String>,
    /// Which part of it is in this row.
    pub part: Part,
    /// What became of the segment.
    pub fate: Fate,
    /// When it was seen to leave.
    pub left: Option<KernelTime>,
    /// When it was seen to arrive, or to be dropped at the receiver.
    pub arrived: Option<KernelTime>,
    /// It is a retransmission.
    pub again: bool,
    /// The segment as its sender's link saw it, or the receiver's if the sender's did not.
    pub segment: SegmentEvent,
}

impl Drawn {
    fn is_reset(&self) -> bool {
        self.segment.flags.has(TcpFlags::RST)
    }
}

/// A state that was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The state.
    pub state: TcpState,
    /// The connection's number, from 1; `None` for a listener.
    pub connection: Option<usize>,
}

/// One row.
#[derive(Clone, Debug)]
pub struct DiagramRow {
    /// When its first event happened.
    pub at: KernelTime,
    /// What each host shows.
    pub panels: PerHost<Panel>,
    /// The segment, or a part of its way.
    pub arrow: Option<Drawn>,
    /// The state that each host's socket entered.
    pub entered: PerHost<Option<Entered>>,
}

impl DiagramRow {
    pub(super) fn new(at: KernelTime) -> Self {
        Self { at, panels: PerHost::default(), arrow: None, entered: PerHost::default() }
    }

    /// Whether the row has nothing but remarks of this host.
    fn is_remark_of(&self, host: Host) -> bool {
        let peer = self.panels.of(host.peer());
        self.arrow.is_none()
            && self.panels.of(host).state.is_none()
            && peer.state.is_none()
            && peer.notes.is_empty()
    }

    /// Whether the row has nothing but a state or remarks of this host.
    fn is_alone(&self, host: Host) -> bool {
        let peer = self.panels.of(host.peer());
        self.arrow.is_none() && peer.state.is_none() && peer.notes.is_empty()
    }

    /// Whether a segment reached the host in this row, just before `at`.
    fn brought(&self, host: Host, at: KernelTime) -> bool {
        self.arrow.as_ref().is_some_and(|arrow| {
            arrow.from == host.peer()
                && arrow.fate == Fate::Arrived
                && arrow.arrived.is_some_and(|arrived| apart(at, arrived) < TOGETHER)
        })
    }
}

/// The rows so far.
pub(super) struct Rows<'a> {
    scenario: &'a Scenario,
    /// Whether connections are numbered.
    numbered: bool,
    room: PerHost<usize>,
    made: Vec<DiagramRow>,
    /// The last row with something of each host.
    last: PerHost<Option<usize>>,
    stopped: PerHost<bool>,
    connections: Connections,
    namer: Namer,
}

impl<'a> Rows<'a> {
    /// The rows of a run; `room` is the width of a remark.
    pub(super) fn of(run: &'a Run, numbered: bool, room: PerHost<usize>) -> Vec<DiagramRow> {
        let mut rows = Self {
            scenario: &run.scenario,
            numbered,
            room,
            made: Vec::new(),
            last: PerHost::default(),
            stopped: PerHost::default(),
            connections: Connections::default(),
            namer: Namer::default(),
        };
        let arrows = arrows(run);
        let mut row_of: Vec<Option<usize>> = vec![None; arrows.len()];
        let ends = arrows.iter().flat_map(|arrow| {
            let ends = [arrow.left, arrow.arrived].into_iter().flatten();
            ends.map(|place| (place, arrow.number))
        });
        let arrow_at: BTreeMap<usize, usize> = ends.collect();
        for (place, moment) in run.story.iter().enumerate() {
            match &moment.what {
                MomentKind::Segment(_) => {
                    let number = arrow_at.get(&place).copied();
                    let arrow =
                        number.and_then(|number| arrows.get(number).zip(row_of.get_mut(number)));
                    if let Some((arrow, row)) = arrow {
                        rows.segment(moment, arrow, row);
                    }
                }
                MomentKind::Called(_) | MomentKind::Returned(_) => {
                    rows.call(&run.story, place, moment);
                }
                MomentKind::Signal(signal) => rows.signal(moment, *signal),
                MomentKind::TrackedEvent(tracked) => rows.tracked(moment, tracked),
                MomentKind::RuleSet(slot) => {
                    rows.remark(moment, words::rule_set(&run.scenario, *slot));
                }
                MomentKind::RuleReleased(slot) => {
                    rows.remark(moment, words::rule_released(&run.scenario, *slot));
                }
                MomentKind::Witness(_) => {}
            }
        }
        rows.made
    }

    /// Appends a row for an event of the host.
    fn begin(&mut self, at: KernelTime, host: Host) -> &mut DiagramRow {
        let mut row = DiagramRow::new(at);
        for host in Host::ALL {
            row.panels.of_mut(host).stopped = *self.stopped.of(host);
        }
        *self.last.of_mut(host) = Some(self.made.len());
        self.made.push(row);
        let place = self.made.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "it was pushed a line above")]
        &mut self.made[place]
    }

    /// The host's last row.
    fn last_of(&mut self, host: Host) -> Option<&mut DiagramRow> {
        let place = (*self.last.of(host))?;
        self.made.get_mut(place)
    }

    /// The last row, if it is the host's.
    fn newest_of(&mut self, host: Host) -> Option<&mut DiagramRow> {
        let newest = self.made.len().checked_sub(1)?;
        if *self.last.of(host) == Some(newest) { self.made.last_mut() } else { None }
    }

    /// Adds a remark to the preceding row of calls, or to a new row.
    fn remark(&mut self, moment: &StoryEvent, remark: ColoredText) {
        let (at, host) = (moment.at, moment.host);
        match self.newest_of(host) {
            Some(row) if row.is_remark_of(host) && at.since(row.at) < CALLS => {
                row.panels.of_mut(host).notes.push(remark);
            }
            _ => self.begin(at, host).panels.of_mut(host).notes.push(remark),
        }
    }

    fn signal(&mut self, moment: &StoryEvent, signal: Signal) {
        *self.stopped.of_mut(moment.host) = signal == Signal::Stop;
        let remark = words::signal(signal, *self.room.of(moment.host));
        self.begin(moment.at, moment.host).panels.of_mut(moment.host).notes.push(remark);
    }

    fn call(&mut self, story: &[StoryEvent], place: usize, moment: &StoryEvent) {
        let Some(remark) = calls::remark(story, place) else { return };
        let (MomentKind::Called(call) | MomentKind::Returned(call)) = &moment.what else { return };
        let host = moment.host;
        // The effect of a short call was reported before the call returned.
        let effect = calls::effect(call);
        let caused = self.made.iter_mut().rev().find(|row| {
            apart(moment.at, row.at) < TOGETHER
                && !row.panels.of(host).notes.iter().any(calls::is_call)
                && match effect {
                    Effect::Enters(states) => {
                        row.entered.of(host).is_some_and(|entered| states.contains(&entered.state))
                    }
                    Effect::Sends => row.arrow.as_ref().is_some_and(|arrow| {
                        arrow.from == host && arrow.segment.len > 0 && arrow.part != Part::Arrival
                    }),
                    Effect::None => false,
                }
        });
        match caused {
            Some(row) => row.panels.of_mut(host).notes.insert(0, remark),
            None => self.remark(moment, remark),
        }
    }

    fn state(&mut self, at: KernelTime, host: Host, to: TcpState, subject: &Subject) -> &mut Panel {
        let connection = self.connections.number(host, subject.socket, &subject.ends);
        let number = connection.filter(|_| self.numbered);
        let number = number.map(|number| format!(" #{number}")).unwrap_or_default();
        let state = ColoredText::new(format!("{to}{number}"), style::of_state(to));
        let joins = self.last_of(host).is_some_and(|row| {
            row.panels.of(host).state.is_none()
                && (row.brought(host, at)
                    || (row.is_remark_of(host) && at.since(row.at) < TOGETHER))
        });
        let place = if joins { *self.last.of(host) } else { None };
        let row = match place {
            Some(place) if place < self.made.len() =>
            {
                #[expect(clippy::indexing_slicing, reason = "it was compared a line above")]
                &mut self.made[place]
            }
            _ => self.begin(at, host),
        };
        *row.entered.of_mut(host) = Some(Entered { state: to, connection });
        let panel = row.panels.of_mut(host);
        panel.state = Some(state);
        panel
    }

    fn tracked(&mut self, moment: &StoryEvent, tracked: &TrackedEvent) {
        let (at, host) = (moment.at, moment.host);
        match tracked {
            // The same state again: the application closes a socket in FIN_WAIT_2, which becomes an orphan.
            TrackedEvent::Change(change) if change.from == change.to => {}
            TrackedEvent::Change(change) => {
                let panel = self.state(at, host, change.to, &change.subject);
                panel.notes.extend(words::remarks(change));
            }
            TrackedEvent::Restart(restart) => {
                let panel = self.state(at, host, restart.state, &restart.subject);
                panel.notes.push(words::restart(restart));
            }
            TrackedEvent::Retransmit(again) if !again.sent => {
                let text = words::retry(again).into_iter().next().unwrap_or_default();
                self.remark(moment, ColoredText::new(text, style::FAILURE));
            }
            TrackedEvent::Reset(reset) => {
                let from = if reset.direction == ResetDirection::Sent { host } else { host.peer() };
                let shown = self.made.iter_mut().rev().find(|row| {
                    apart(row.at, at) < TOGETHER
                        && row
                            .arrow
                            .as_ref()
                            .is_some_and(|arrow| arrow.from == from && arrow.is_reset())
                });
                match (shown, reset.direction, &reset.why) {
                    (Some(row), ResetDirection::Sent, Some(why)) => {
                        let why = words::why_reset(why, self.room.of(host).saturating_mul(LINES));
                        row.panels.of_mut(host).notes.push(why);
                    }
                    (Some(_), ..) => {}
                    (None, ..) => self.remark(moment, words::reset(reset)),
                }
            }
            TrackedEvent::Error(error) => match self.last_of(host) {
                Some(row) if apart(row.at, at) < TOGETHER => {
                    row.panels.of_mut(host).notes.push(words::error(&error.event));
                }
                _ => self.remark(moment, words::error(&error.event)),
            },
            // A retransmission is shown at its arrow; the summary of a connection repeats earlier events.
            _ => {}
        }
    }

    fn segment(&mut self, moment: &StoryEvent, arrow: &Arrow<'_>, row: &mut Option<usize>) {
        let left = row.is_none() && arrow.left.is_some();
        if left { self.departs(moment, arrow, row) } else { self.arrives(moment, arrow, row) }
    }

    fn drawn(&mut self, arrow: &Arrow<'_>) -> Drawn {
        let named = self.namer.labels(arrow.from, arrow.segment);
        let labels = arrow.again.map_or(named, words::retry);
        Drawn {
            number: arrow.number,
            from: arrow.from,
            labels,
            part: Part::Whole,
            fate: arrow.fate,
            left: None,
            arrived: None,
            again: arrow.again.is_some(),
            segment: arrow.segment.clone(),
        }
    }

    fn departs(&mut self, moment: &StoryEvent, arrow: &Arrow<'_>, place: &mut Option<usize>) {
        let (at, host) = (moment.at, moment.host);
        let drawn = Drawn { left: Some(at), ..self.drawn(arrow) };
        let star = arrow.rule.filter(|_| arrow.fate == Fate::DroppedHere);
        let star = star.map(|slot| words::dropped(self.scenario, slot));
        let row = match self.newest_of(host) {
            Some(row) if row.is_alone(host) && at.since(row.at) < TOGETHER => row,
            _ => self.begin(at, host),
        };
        row.panels.of_mut(host).notes.extend(star);
        row.arrow = Some(drawn);
        *place = self.made.len().checked_sub(1);
    }

    fn arrives(&mut self, moment: &StoryEvent, arrow: &Arrow<'_>, place: &mut Option<usize>) {
        let (at, host) = (moment.at, moment.host);
        let star = arrow.rule.map(|slot| words::dropped(self.scenario, slot));
        let quiet = place.filter(|place| self.last.of(host).is_none_or(|last| last <= *place));
        let known = quiet.and_then(|place| self.made.get_mut(place));
        let row = if let Some(row) = known {
            *self.last.of_mut(host) = quiet;
            row
        } else {
            let departed = place.and_then(|place| self.made.get_mut(place)?.arrow.as_mut());
            let drawn = match departed {
                Some(departed) => {
                    departed.part = Part::Departure;
                    let labels = Vec::new();
                    Drawn { part: Part::Arrival, labels, ..departed.clone() }
                }
                None => self.drawn(arrow),
            };
            let row = self.begin(at, host);
            row.arrow = Some(drawn);
            row
        };
        row.panels.of_mut(host).notes.extend(star);
        if let Some(drawn) = &mut row.arrow {
            drawn.arrived = Some(at);
        }
    }
}
