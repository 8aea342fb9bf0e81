//! Accept queues.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
};

use super::{Reader, series};
use crate::harness::{
    cgroup::Cgroup,
    exporter::Samples,
    netns::Netns,
    peer::Peer,
    poll,
    sockets::{V4, bound, start_connect, unbound},
};

/// Recv-Q and Send-Q of the only listener on `port`.
fn queue_by_ss(netns: &Netns, port: u16) -> (i64, i64) {
    let filter = format!("sport = :{port}");
    let output = netns.inside(|| Command::new("ss").args(["-ltnH", &filter]).output().unwrap());
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<_> = text.split_whitespace().collect();
    (words[1].parse().unwrap(), words[2].parse().unwrap())
}

fn listener(metric: &str, netns: &Netns, cgroup: &str, port: u16) -> String {
    let netns = netns.inode;
    format!("{metric}{{netns=\"{netns}\",cgroup=\"{cgroup}\",local_port=\"{port}\"}}")
}

/// Backlog and limit of the listener on `port`, which this process has.
fn queue(samples: &Samples, netns: &Netns, port: u16) -> (i64, i64) {
    let value = |metric| samples.count(&listener(metric, netns, "/", port));
    (value("listener_backlog"), value("listener_backlog_limit"))
}

pub(super) fn listen(address: &str, backlog: i32) -> TcpListener {
    let socket = bound(address.parse().unwrap());
    socket.set_reuse_port(true).unwrap();
    socket.listen(backlog).unwrap();
    socket.into()
}

/// A listener whose accept queue is full, and its clients: the kernel admits one more than the limit.
pub(super) fn full_queue(limit: i32) -> (TcpListener, Vec<TcpStream>) {
    let listener = listen(V4, limit);
    let at = listener.local_addr().unwrap();
    let clients = (0..=limit).map(|_| TcpStream::connect(at).unwrap()).collect();
    (listener, clients)
}

pub(super) fn overflows(netns: &Netns) -> String {
    format!("listen_overflows_total{{netns=\"{}\"}}", netns.inode)
}

#[test]
fn the_accept_queue_of_a_listener_that_accepts_none_is_what_ss_says() {
    needs_root!();
    let netns = Netns::new();
    let mut reader = Reader::of(&netns);
    let (kept, clients) = netns.inside(|| full_queue(4));
    let at: SocketAddr = kept.local_addr().unwrap();
    let expected = poll("a full accept queue", || {
        Some(queue_by_ss(&netns, at.port())).filter(|(waiting, _)| *waiting == 5)
    });
    let samples = reader.samples();
    assert_eq!(queue(&samples, &netns, at.port()), expected);
    assert_eq!(expected.1, 4);
    assert_eq!(samples.count(&overflows(&netns)), 0);
    let dropped = listener("listener_drops_total", &netns, "/", at.port());
    assert_eq!(samples.count(&dropped), 0);

    let late = netns.inside(|| start_connect(unbound(at), at));
    poll("an overflow", || {
        let samples = reader.samples();
        let overflows = samples.count(&overflows(&netns));
        let drops = samples.count(&format!("listen_drops_total{{netns=\"{}\"}}", netns.inode));
        assert!(drops >= overflows, "{overflows} overflows are among {drops} drops");
        (overflows > 0 && samples.count(&dropped) >= overflows).then_some(())
    });

    drop(kept.accept().unwrap());
    assert_eq!(queue(&reader.samples(), &netns, at.port()), (4, 4), "one was taken");
    drop((late, clients));
}

#[test]
fn what_listeners_of_a_port_drop_stays_counted_when_one_of_them_closes() {
    needs_root!();
    let netns = Netns::new();
    let mut reader = Reader::of(&netns);
    let (first, clients) = netns.inside(|| full_queue(0));
    let at = first.local_addr().unwrap();
    let dropped = listener("listener_drops_total", &netns, "/", at.port());
    let late = netns.inside(|| start_connect(unbound(at), at));
    poll("a drop", || (reader.samples().count(&dropped) > 0).then_some(()));
    // The client does not send its SYN again to a port that accepts.
    drop(late);
    let second = netns.inside(|| listen(&format!("127.0.0.2:{}", at.port()), 8));
    let before = reader.samples().count(&dropped);
    drop((first, clients));
    poll("one listener", || {
        let output = netns.inside(|| Command::new("ss").args(["-ltnH"]).output().unwrap());
        (String::from_utf8(output.stdout).unwrap().lines().count() == 1).then_some(())
    });
    assert_eq!(reader.samples().count(&dropped), before);
    drop(second);
}

#[test]
fn of_several_listeners_on_a_port_the_fullest_is_shown() {
    needs_root!();
    let netns = Netns::new();
    let mut reader = Reader::of(&netns);
    let kept = netns.inside(|| {
        let idle = TcpListener::bind("127.0.0.2:4000").unwrap();
        let busy = listen("127.0.0.1:4000", 8);
        let clients = [(); 3].map(|()| TcpStream::connect("127.0.0.1:4000").unwrap());
        (idle, busy, clients)
    });
    poll("three in the queue", || (queue(&reader.samples(), &netns, 4000) == (3, 8)).then_some(()));
    drop(kept);
}

#[test]
fn no_more_than_a_hundred_listeners_have_series() {
    needs_root!();
    let netns = Netns::new();
    let mut reader = Reader::of(&netns);
    let listeners: Vec<_> =
        netns.inside(|| (0..103).map(|_| TcpListener::bind(V4).unwrap()).collect());
    let names = |samples: &Samples| -> Vec<String> {
        let found = series(samples, "listener_backlog", "netns=").into_iter();
        found.map(|(name, _)| name.to_owned()).collect()
    };
    let first = names(&reader.samples());
    assert_eq!(first.len(), 100);
    assert_eq!(names(&reader.samples()), first, "the same ones");
    drop(listeners);
    assert!(names(&reader.samples()).is_empty(), "no series stays behind");
}

#[test]
fn a_listener_belongs_to_the_unit_of_the_process_that_made_it() {
    needs_root!();
    let netns = Netns::new();
    let mut reader = Reader::of(&netns);
    let unit = format!("tcpwatch-test-{}.service", std::process::id());
    let cgroup = Cgroup::new(&unit);
    let mut peer = Peer::start(&netns, "listens");
    cgroup.take(peer.pid());
    let at = peer.listen(V4);
    assert_eq!(reader.samples().count(&listener("listener_backlog", &netns, &unit, at.port())), 0);
    drop(peer);
    cgroup.remove();
}
