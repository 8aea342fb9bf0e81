//! Ten thousand connections per second, which the ring of default size must bear.

use std::time::Duration;

use super::{
    books::Row,
    paths::{Course, Path},
    workload::Much,
};
use crate::harness::netns::Netns;

/// Connections a second.
const RATE: u32 = 10_000;
const SPAN: Duration = Duration::from_secs(15);

pub(super) fn run(path: &Path) -> Row {
    let netns = Netns::new();
    let mut course = Course::begin(&netns, &format!("{}, paced", path.name), path.args);
    course.churn(Much::Paced(SPAN, RATE));
    let reached =
        f64::from(u32::try_from(course.row.connections).unwrap()) / course.row.span.as_secs_f64();
    if reached < 0.99 * f64::from(RATE) {
        println!(
            "THIS MACHINE MAKES {reached:.0} CONNECTIONS A SECOND, NOT {RATE}: judged at that"
        );
    }
    let outcome = course.end();
    let lines = (path.lines)(outcome.facts);
    let mut row = outcome.row(lines);
    row.equal(row.ring_full, 0, "records that found the ring full");
    row
}
