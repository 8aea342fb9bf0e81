//! The lifelines: bands that are filled by state.

use std::collections::BTreeMap;

use tcpwatch_core::event::TcpState;
use tcpwatch_lab::{host::Host, show::Entered};

use crate::{
    axis::Axis,
    notes::state_class,
    shape::{BAND, columns},
};

/// The time that a connection, or a listener, was in a state.
#[derive(Debug)]
pub(crate) struct Band {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The class of the state's colour.
    pub(crate) class: &'static str,
    pub(crate) title: String,
}

/// The time that a host's process was stopped.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) height: u32,
}

/// The bands of both hosts. Several connections share the width; listeners are beside it.
pub(crate) fn bands(axis: &Axis<'_>) -> Vec<Band> {
    let mut bands = Vec::new();
    for host in Host::ALL {
        let entered = axis.rows.iter().filter_map(|placed| {
            let entered = (*placed.row.entered.of(host))?;
            Some((placed.y, entered))
        });
        let entered: Vec<(u32, Entered)> = entered.collect();
        let mut lanes: BTreeMap<Option<usize>, (u32, u32)> = BTreeMap::new();
        for (_, Entered { connection, .. }) in &entered {
            lanes.entry(*connection).or_default();
        }
        place(&mut lanes, host);
        // The state of each lane, and since which y.
        let mut current: BTreeMap<Option<usize>, (u32, TcpState)> = BTreeMap::new();
        for (y, Entered { state, connection }) in entered {
            if let Some(before) = current.insert(connection, (y, state)) {
                bands.extend(band(before, y, connection, &lanes));
            }
        }
        for (connection, last) in current {
            bands.extend(band(last, axis.bottom, connection, &lanes));
        }
    }
    bands
}

/// Gives each lane its x and width.
fn place(lanes: &mut BTreeMap<Option<usize>, (u32, u32)>, host: Host) {
    let left = columns(host).band;
    let connections = lanes.keys().filter(|lane| lane.is_some()).count();
    let count = u32::try_from(connections).unwrap_or(u32::MAX).max(1);
    let width = (BAND / count).max(2);
    let mut number = 0;
    for (lane, place) in lanes.iter_mut() {
        if lane.is_none() {
            let outside = if host == Host::Client { left - 5 } else { left + BAND + 2 };
            *place = (outside, 3);
        } else {
            // More connections than there is room for share the last place.
            let x = (number * width).min(BAND.saturating_sub(width));
            // A gap between lanes.
            *place = (left + x, if count > 1 { width - 1 } else { width });
            number += 1;
        }
    }
}

/// Closed connections have no band.
fn band(
    (from, state): (u32, TcpState),
    to: u32,
    connection: Option<usize>,
    lanes: &BTreeMap<Option<usize>, (u32, u32)>,
) -> Option<Band> {
    let (x, width) = *lanes.get(&connection)?;
    if state == TcpState::Closed || to <= from {
        return None;
    }
    let title = match connection {
        Some(number) => format!("connection {number}: {state}"),
        None => format!("listener: {state}"),
    };
    // A line between two states of the same colour.
    let height = to - from - 1;
    Some(Band { x, y: from, width, height, class: state_class(state), title })
}

/// The times that processes were stopped.
pub(crate) fn stops(axis: &Axis<'_>) -> Vec<Stop> {
    let mut stops = Vec::new();
    for host in Host::ALL {
        let x = columns(host).band;
        let mut since = None;
        for placed in &axis.rows {
            match (placed.row.panels.of(host).stopped, since) {
                (true, None) => since = Some(placed.y),
                (false, Some(y)) => {
                    stops.push(Stop { x, y, height: placed.y - y });
                    since = None;
                }
                _ => {}
            }
        }
        stops.extend(since.map(|y| Stop { x, y, height: axis.bottom.saturating_sub(y) }));
    }
    stops
}
