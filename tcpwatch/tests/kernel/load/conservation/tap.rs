//! The laboratory's tap: every segment, at both ends of a link.

use std::time::Instant;

use tcpwatch_common::{config::RING_BYTES, counter::Hook};

use super::{books::Row, instruments::Instruments, snmp::Snmp};
use crate::harness::{
    sockets::Pair,
    tapped::{Family, Tapped},
};

/// Connections while the ring is read, and between two readings.
const READ: u64 = 4_000;
const LOOK: u64 = 200;
/// Connections while it is not: more than fit into the ring.
const BURST: u64 = 10_000;

pub(super) fn run() -> Row {
    let mut tapped = Tapped::with_ring(RING_BYTES);
    let kernel = Instruments::of(std::process::id());
    let before = [&tapped.client, &tapped.server].map(|host| Snmp::of(&host.netns));
    let listener = tapped.server.listen(Family::V4);
    let connect = |tapped: &Tapped, count| {
        tapped.client.netns.inside(|| {
            (0..count).for_each(|_| Pair::over(&listener).close_client_first());
        });
    };
    let mut row = Row { path: "tap, segments".to_owned(), ..Row::default() };
    let begun = Instant::now();
    for _ in 0..READ / LOOK {
        connect(&tapped, LOOK);
        tapped.told();
    }
    (row.connections, row.span) = (READ, begun.elapsed());
    connect(&tapped, BURST);
    let told = tapped.told().len().try_into().unwrap();

    let counted = [Hook::TapIn, Hook::TapOut].map(|hook| kernel.counted(hook));
    for (host, before) in [&tapped.client, &tapped.server].into_iter().zip(&before) {
        let segments = Snmp::of(&host.netns).since(before);
        row.due += ["InSegs", "OutSegs", "RetransSegs"]
            .map(|name| segments.get("Tcp", name))
            .iter()
            .sum::<u64>();
    }
    row.attempted = counted.iter().map(|hook| hook.attempted).sum();
    row.ring_full = counted.iter().map(|hook| hook.ring_full).sum();
    row.otherwise_lost = counted.iter().map(|hook| hook.otherwise_lost).sum();
    row.received = told;
    row.equal(
        told,
        counted.iter().map(|hook| hook.told()).sum(),
        "segments reported, and in the ring",
    );
    row.equal(row.attempted, row.due, "segments attempted, and by the kernel's count");
    (row.lines_due, row.lines) = (row.due, told);
    drop(kernel);
    tapped.end();
    row
}
