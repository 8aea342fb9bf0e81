//! Too many orphans: a limit of the whole machine.

use std::{fs, net::TcpListener, time::Duration};

use super::is_ours;
use crate::harness::{
    connections::{await_connection, connection, turned},
    let_pass,
    lives::life,
    netns::Netns,
    sockets::{Pair, V4, lose_all},
    watch::Watch,
};

const LIMIT: &str = "/proc/sys/net/ipv4/tcp_max_orphans";
/// The kernel counts orphans anew every 100 ms (`tcp_orphan_update` in `net/ipv4/tcp.c`).
const COUNTED_AGAIN: Duration = Duration::from_millis(300);

#[test]
#[ignore = "changes the whole machine; runs in virtual machines"]
fn an_orphan_beyond_the_limit_ends_for_lack_of_memory() {
    is_ours();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let [first, second] = [(); 2].map(|()| netns.inside(|| Pair::over(&listener)));
    let limit = fs::read_to_string(LIMIT).unwrap();
    fs::write(LIMIT, "0").unwrap();
    let ends = second.ends();
    lose_all(&first.server);
    lose_all(&second.server);
    drop(first.client);
    let_pass(COUNTED_AGAIN);
    drop(second.client);
    await_connection(&watch, Duration::from_secs(20), ends);
    fs::write(LIMIT, limit).unwrap();
    let log = watch.stop();
    let life = life(&log.lines, ends.0, ends.1);
    assert_eq!(life.reason(), "out_of_memory", "{life}");
    let whole = connection(&log.lines, ends);
    assert_eq!((whole.end.as_deref(), whole.failed), (Some("out_of_memory"), true), "{whole}");
    assert!(
        !log.lines
            .iter()
            .any(|line| line.event == "connection" && line.joins(turned(ends).0, turned(ends).1))
    );
}
