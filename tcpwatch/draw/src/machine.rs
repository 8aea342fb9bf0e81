//! The state machine of RFC 9293, figure 5, with the transitions that runs have taken.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

use crate::report::Document;

/// A transition of figure 5 and the event that causes it. The last two are the figure's notes.
pub const TRANSITIONS: [(&str, &str, &str); 21] = [
    ("CLOSED", "LISTEN", "passive OPEN"),
    ("CLOSED", "SYN_SENT", "active OPEN"),
    ("LISTEN", "CLOSED", "CLOSE"),
    ("LISTEN", "SYN_RECV", "receive SYN"),
    ("LISTEN", "SYN_SENT", "SEND"),
    ("SYN_SENT", "CLOSED", "CLOSE, reset or time-out"),
    ("SYN_SENT", "SYN_RECV", "receive SYN"),
    ("SYN_SENT", "ESTABLISHED", "receive SYN and ACK"),
    ("SYN_RECV", "ESTABLISHED", "receive ACK of SYN"),
    ("SYN_RECV", "FIN_WAIT_1", "CLOSE"),
    ("ESTABLISHED", "FIN_WAIT_1", "CLOSE"),
    ("ESTABLISHED", "CLOSE_WAIT", "receive FIN"),
    ("FIN_WAIT_1", "FIN_WAIT_2", "receive ACK of FIN"),
    ("FIN_WAIT_1", "CLOSING", "receive FIN"),
    ("FIN_WAIT_2", "TIME_WAIT", "receive FIN"),
    ("CLOSING", "TIME_WAIT", "receive ACK of FIN"),
    ("CLOSE_WAIT", "LAST_ACK", "CLOSE"),
    ("LAST_ACK", "CLOSED", "receive ACK of FIN"),
    ("TIME_WAIT", "CLOSED", "time-out of 2 MSL"),
    ("SYN_RECV", "LISTEN", "receive RST (note 1)"),
    ("FIN_WAIT_1", "TIME_WAIT", "receive FIN and ACK of FIN (note 2)"),
];

/// Where each state is drawn: the middle of its box.
const PLACES: [(&str, i32, i32); 12] = [
    ("CLOSED", 70, 150),
    ("LISTEN", 215, 50),
    ("SYN_SENT", 215, 250),
    ("SYN_RECV", 365, 110),
    ("ESTABLISHED", 365, 250),
    ("FIN_WAIT_1", 525, 110),
    ("CLOSE_WAIT", 525, 300),
    ("FIN_WAIT_2", 690, 50),
    ("CLOSING", 690, 170),
    ("LAST_ACK", 690, 300),
    ("TIME_WAIT", 845, 110),
    // Drawn twice: here connections end.
    ("CLOSED", 980, 200),
];

/// A transition and the scenarios that took it.
#[derive(Debug)]
pub struct Transition {
    /// The state before.
    pub from: &'static str,
    /// The state after.
    pub to: &'static str,
    /// What RFC 9293 names as its cause.
    pub cause: &'static str,
    /// The scenarios, by name.
    pub scenarios: BTreeSet<String>,
}

/// What was taken of the state machine.
#[derive(Debug)]
pub struct Coverage {
    /// All transitions of figure 5.
    pub transitions: Vec<Transition>,
    /// Transitions that Linux makes and the figure has not, with their scenarios.
    pub others: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Coverage {
    /// Computes it from the state changes of all runs.
    #[must_use]
    pub fn of(reports: &[Document]) -> Self {
        let mut others: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for run in reports.iter().flat_map(|report| &report.runs) {
            for event in run.story.iter().filter(|event| event.event == "state") {
                if let (Some(from), Some(to)) = (&event.from, &event.to) {
                    let taken = others.entry((from.clone(), to.clone())).or_default();
                    taken.insert(run.scenario.clone());
                }
            }
        }
        let transitions = TRANSITIONS.map(|(from, to, cause)| {
            let scenarios = others.remove(&(from.to_owned(), to.to_owned())).unwrap_or_default();
            Transition { from, to, cause, scenarios }
        });
        Self { transitions: transitions.into(), others }
    }

    /// How many transitions of the figure were taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.transitions.iter().filter(|transition| !transition.scenarios.is_empty()).count()
    }

    /// The figure, with links to `#edge-FROM-TO`.
    ///
    /// # Errors
    /// If it cannot be formatted.
    pub fn svg(&self) -> Result<String, askama::Error> {
        let edges = self.transitions.iter().filter_map(Edge::of).collect();
        let boxes = PLACES.iter().map(|(name, x, y)| StateBox { name, x: *x, y: *y }).collect();
        Figure { edges, boxes, taken: self.taken(), all: self.transitions.len() }.render()
    }
}

struct StateBox {
    name: &'static str,
    x: i32,
    y: i32,
}

struct Edge<'a> {
    transition: &'a Transition,
    x1: i32,
    y1: i32,
    x2: i32,
    y2: i32,
    is_taken: bool,
}

impl<'a> Edge<'a> {
    /// From border to border of the two boxes, which are 96 wide and 26 high.
    fn of(transition: &'a Transition) -> Option<Self> {
        let ends = matches!(transition.from, "TIME_WAIT" | "LAST_ACK");
        let (x1, y1) = place(transition.from, false)?;
        let (x2, y2) = place(transition.to, ends)?;
        let (dx, dy) = (x2 - x1, y2 - y1);
        // The part of the way that is inside a box, in thousandths.
        let inside = (48_000 / dx.abs().max(1)).min(13_000 / dy.abs().max(1)).min(500);
        let (sx, sy) = (dx * inside / 1000, dy * inside / 1000);
        let is_taken = !transition.scenarios.is_empty();
        // Two transitions between the same states, in either way, are drawn beside each other.
        let off = if transition.from < transition.to { 5 } else { -5 };
        Some(Self {
            transition,
            x1: x1 + sx + off,
            y1: y1 + sy,
            x2: x2 - sx + off,
            y2: y2 - sy,
            is_taken,
        })
    }
}

fn place(state: &str, last: bool) -> Option<(i32, i32)> {
    let mut places = PLACES.iter().filter(|(name, ..)| *name == state);
    let place = if last { places.next_back() } else { places.next() };
    place.map(|(_, x, y)| (*x, *y))
}

#[derive(Template)]
#[template(path = "machine.svg")]
struct Figure<'a> {
    edges: Vec<Edge<'a>>,
    boxes: Vec<StateBox>,
    taken: usize,
    all: usize,
}
