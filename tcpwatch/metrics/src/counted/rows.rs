//! Numbers of sockets by cgroup and place.

use std::collections::BTreeMap;

use tcpwatch_common::books::PLACES;
use tcpwatch_kernel::probe::books::{CgroupCells, sockets};

/// Of one cgroup, by place.
pub(super) type PlaceRow = [i64; PLACES];

/// By the number of the cgroup.
pub(super) type PlaceRows = BTreeMap<u32, PlaceRow>;

/// The sockets that are there now.
pub(super) fn of(cells: &CgroupCells) -> PlaceRows {
    let row = |cell| std::array::from_fn(|place| if place == 0 { 0 } else { sockets(cell, place) });
    cells.iter().map(|(cgroup, cell)| (*cgroup, row(cell))).collect()
}

/// Adds to a place of a cgroup.
pub(super) fn add(rows: &mut PlaceRows, cgroup: u32, place: usize, number: i64) {
    if let Some(sum) = rows.entry(cgroup).or_default().get_mut(place) {
        *sum += number;
    }
}
