//! The state machine as a picture whose states and transitions are links.

use askama::Template;
use tcpwatch_core::event::TcpState;

use crate::{
    coverage::{Coverage, Transition},
    words::PageWords,
};

use TcpState::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv, SynSent,
    TimeWait,
};

/// Half the width and half the height of a state's box.
const HALF: (i32, i32) = (52, 15);

/// The middle of each state's box. CLOSED is there twice: where connections begin, and where they end.
const PLACES: [(TcpState, i32, i32); 12] = [
    (Closed, 64, 210),
    (Listen, 216, 60),
    (SynSent, 216, 360),
    (SynRecv, 400, 110),
    (Established, 400, 300),
    (FinWait1, 590, 110),
    (CloseWait, 590, 360),
    (FinWait2, 780, 60),
    (Closing, 780, 230),
    (LastAck, 780, 360),
    (TimeWait, 950, 150),
    (Closed, 1010, 360),
];

struct Edge<'a> {
    transition: &'a Transition,
    from: (i32, i32),
    to: (i32, i32),
    label: (i32, i32),
    anchor: &'static str,
}

#[derive(Template)]
#[template(path = "machine.svg")]
struct Figure<'a> {
    words: &'static PageWords,
    edges: Vec<Edge<'a>>,
    places: &'static [(TcpState, i32, i32)],
    taken: usize,
    all: usize,
}

/// The figure, with links to `#edge-FROM-TO` and `#state-NAME`.
pub(crate) fn svg(coverage: &Coverage, words: &'static PageWords) -> Result<String, askama::Error> {
    let edges = coverage.transitions.iter().filter_map(edge).collect();
    let (taken, all) = (coverage.taken(), coverage.transitions.len());
    Figure { words, edges, places: &PLACES, taken, all }.render()
}

/// From border to border of the two boxes; transitions there and back are beside each other.
fn edge(transition: &Transition) -> Option<Edge<'_>> {
    let Transition { from, to, .. } = transition;
    let is_end = matches!(from, TimeWait | LastAck);
    let (start, end) = (place(*from, false)?, place(*to, is_end)?);
    let way = (end.0 - start.0, end.1 - start.1);
    let is_both_ways = matches!(
        (from, to),
        (Closed, Listen | SynSent)
            | (Listen | SynSent, Closed)
            | (Listen, SynRecv)
            | (SynRecv, Listen)
    );
    let length = way.0.abs().max(way.1.abs()).max(1);
    // To the right of the direction.
    let beside = if is_both_ways { (-way.1 * 8 / length, way.0 * 8 / length) } else { (0, 0) };
    let from = border(start, beside, way);
    let to = border(end, beside, (-way.0, -way.1));
    let (label_x, label_y) = (i32::midpoint(from.0, to.0), i32::midpoint(from.1, to.1));
    let anchor = match beside.0 {
        ..0 => "end",
        0 => "middle",
        1.. => "start",
    };
    // Above a line that is nearly level, so that it does not cover it.
    let raised = if way.1.abs() * 4 < way.0.abs() && beside == (0, 0) { -11 } else { 0 };
    let label = (label_x + beside.0, label_y + 4 + beside.1 + raised);
    Some(Edge { transition, from, to, label, anchor })
}

/// Where a line that passes the middle of a box at a distance leaves the box in a direction.
fn border(middle: (i32, i32), beside: (i32, i32), way: (i32, i32)) -> (i32, i32) {
    let until = |half: i32, beside: i32, way: i32| {
        let room = half * way.signum() - beside;
        room.checked_mul(1000).and_then(|room| room.checked_div(way)).unwrap_or(i32::MAX)
    };
    let part = until(HALF.0, beside.0, way.0).min(until(HALF.1, beside.1, way.1));
    (middle.0 + beside.0 + way.0 * part / 1000, middle.1 + beside.1 + way.1 * part / 1000)
}

fn place(state: TcpState, is_last: bool) -> Option<(i32, i32)> {
    let mut places = PLACES.iter().filter(|(name, ..)| *name == state);
    let place = if is_last { places.next_back() } else { places.next() };
    place.map(|(_, x, y)| (*x, *y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_leaves_a_box_at_its_border() {
        assert_eq!(border((100, 100), (0, 0), (50, 0)), (152, 100));
        assert_eq!(border((100, 100), (0, 0), (0, -50)), (100, 85));
        assert_eq!(border((100, 100), (0, 5), (-104, 0)), (48, 105));
        assert_eq!(border((100, 100), (8, 0), (100, 100)), (123, 115));
    }

    #[test]
    fn every_transition_has_a_line_and_every_state_a_box() {
        let coverage = Coverage::of(&[]);
        let figure = svg(&coverage, PageWords::of(tcpwatch_lab::language::Language::En)).unwrap();
        assert_eq!(figure.matches("class=\"never\"").count(), 21);
        assert_eq!(figure.matches("<rect").count(), 12);
    }
}
