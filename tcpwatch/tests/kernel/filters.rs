//! Filters: what matches is shown completely, and nothing else is.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
};

use crate::harness::{
    line::Line,
    lives::{life, lives},
    netns::Netns,
    sockets::{self, Pair},
    watch::{Log, Watch},
};

const CLIENT: &str = "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT";
const SERVER: &str = "LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED";

/// A connection over each address from each port of the client, all closed.
const TRAFFIC: [(&str, &str); 4] = [
    ("127.0.0.1:40001", "127.0.0.1:7001"),
    ("127.0.0.2:40002", "127.0.0.2:7002"),
    ("[::1]:40003", "[::1]:7003"),
    ("127.0.0.1:40010", "127.0.0.1:7010"),
];

fn traffic(netns: &Netns) {
    netns.inside(|| {
        for (client, server) in TRAFFIC {
            let listener = TcpListener::bind(server).unwrap();
            let client = sockets::connect_from(client.parse().unwrap(), server.parse().unwrap());
            Pair { client, server: listener.accept().unwrap().0 }.close_client_first();
        }
    });
}

/// Waits for the last change that is to be seen, then ends tcpwatch.
fn logged(netns: &Netns, args: &[&str], last: impl Fn(&Line) -> bool) -> Log {
    let watch = Watch::with(netns, args);
    traffic(netns);
    watch.wait_count(1, "the last change", last);
    watch.stop()
}

/// Local ports of the connections that are shown, without listeners.
fn shown(log: &Log) -> BTreeSet<u16> {
    let lives = lives(&log.lines);
    let connections = lives.iter().filter(|life| life.lines[0].remote.unwrap().port != 0);
    connections.map(|life| life.lines.last().unwrap().local.unwrap().port).collect()
}

fn listeners(log: &Log) -> BTreeSet<u16> {
    let opened = log.lines.iter().filter(|line| line.is("CLOSED>LISTEN"));
    opened.map(|line| line.local.unwrap().port).collect()
}

fn closes(port: u16) -> impl Fn(&Line) -> bool {
    move |line| line.to == "TIME_WAIT" && line.has_port(port)
}

fn ends(number: usize) -> (SocketAddr, SocketAddr) {
    let (client, server) = TRAFFIC[number];
    (client.parse().unwrap(), server.parse().unwrap())
}

/// A filter, the port of the last connection that it shows, local ports of connections, ports of listeners.
type Case<'a> = (&'a [&'a str], u16, &'a [u16], &'a [u16]);

#[test]
fn each_filter_shows_what_it_asks_for_and_nothing_else() {
    needs_root!();
    let cases: [Case<'_>; 11] = [
        (&["--port", "7001"], 7001, &[40001, 7001], &[7001]),
        (&["--port", "40002,7010"], 7010, &[40002, 7002, 40010, 7010], &[7010]),
        (
            &["--port", "7001-7003"],
            7003,
            &[40001, 7001, 40002, 7002, 40003, 7003],
            &[7001, 7002, 7003],
        ),
        (&["--local-port", "40001-40002"], 40002, &[40001, 40002], &[]),
        (&["--remote-port", "7002"], 7002, &[40002], &[]),
        (&["--addr", "127.0.0.2"], 7002, &[40002, 7002], &[7002]),
        (
            &["--addr", "127.0.0.0/8"],
            7010,
            &[40001, 7001, 40002, 7002, 40010, 7010],
            &[7001, 7002, 7010],
        ),
        (&["--addr", "::/64"], 7003, &[40003, 7003], &[7003]),
        (
            &["--addr", "::1", "--addr", "127.0.0.2/32"],
            7003,
            &[40002, 7002, 40003, 7003],
            &[7002, 7003],
        ),
        (&["-6"], 7003, &[40003, 7003], &[7003]),
        (&["-4", "--port", "7001-7003"], 7002, &[40001, 7001, 40002, 7002], &[7001, 7002]),
    ];
    for (args, last, connections, listening) in cases {
        let log = logged(&Netns::new(), args, closes(last));
        assert_eq!(shown(&log), connections.iter().copied().collect(), "{args:?}");
        assert_eq!(listeners(&log), listening.iter().copied().collect(), "{args:?}");
        for (number, (client, server)) in (0..TRAFFIC.len()).map(|number| (number, ends(number))) {
            if connections.contains(&client.port()) {
                assert_eq!(life(&log.lines, client, server).path(), CLIENT, "{args:?}, {number}");
            }
            if connections.contains(&server.port()) {
                let path = life(&log.lines, server, client).path();
                assert_eq!(path, SERVER, "{args:?}, {number}");
            }
        }
        assert_eq!(log.summary.inferred, 0, "{args:?}");
    }
}

#[test]
fn a_filter_on_states_shows_the_changes_that_leave_or_enter_them() {
    needs_root!();
    let netns = Netns::new();
    let log = logged(&netns, &["--state", "CLOSE_WAIT,time-wait"], closes(7010));
    let changes: BTreeSet<String> = log.lines.iter().map(Line::change).collect();
    let expected = ["ESTABLISHED>CLOSE_WAIT", "CLOSE_WAIT>LAST_ACK", "FIN_WAIT_2>TIME_WAIT"];
    assert_eq!(changes, expected.into_iter().map(str::to_owned).collect());
    assert_eq!(log.lines.len(), expected.len() * TRAFFIC.len(), "each once a connection");
    let owned = log.lines.iter().filter(|line| line.process.is_some()).count();
    assert_eq!(owned, log.lines.len(), "owners are known although their changes are not shown");
}

#[test]
fn a_filter_on_a_namespace_shows_no_other() {
    needs_root!();
    let (own, other) = (Netns::new(), Netns::new());
    let watch = Watch::on(&own);
    traffic(&other);
    traffic(&own);
    watch.wait_count(1, "the last change", closes(7010));
    let log = watch.stop();
    assert!(log.lines.iter().all(|line| line.netns == own.inode));
    assert_eq!(lives(&log.lines).len(), 3 * TRAFFIC.len());
}

#[test]
fn a_connect_from_a_port_that_the_kernel_chose_is_shown_once_the_port_is_known() {
    needs_root!();
    for address in ["127.0.0.1:7001", "[::1]:7001"] {
        let netns = Netns::with(&[("ipv4.ip_local_port_range", "45000 45099")]);
        let watch = Watch::with(&netns, &["--local-port", "45000-45099"]);
        let elsewhere = Watch::with(&netns, &["--local-port", "50000-50099"]);
        let (client, server) = netns.inside(|| {
            let listener = TcpListener::bind(address).unwrap();
            let pair = Pair::over(&listener);
            let ends = pair.ends();
            pair.close_client_first();
            ends
        });
        watch.wait_count(1, "TIME_WAIT", closes(client.port()));
        let (log, elsewhere) = (watch.stop(), elsewhere.stop());
        let ours = life(&log.lines, client, server);
        assert_eq!(ours.path(), CLIENT);
        assert!(ours.lines.iter().all(|line| line.joins(client, server)), "{ours}");
        assert!(ours.seconds_in("SYN_SENT") < 1.0, "{ours}");
        assert_eq!(ours.owner().map(|owner| owner.pid), Some(std::process::id()));
        assert_eq!(lives(&log.lines).len(), 1, "nothing else");
        assert!(elsewhere.lines.is_empty(), "{:?}", elsewhere.lines);
    }
}

#[test]
fn a_refused_connect_from_a_port_that_the_kernel_chose_is_shown() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.ip_local_port_range", "45000 45099")]);
    let watch = Watch::with(&netns, &["--local-port", "45000-45099"]);
    netns.inside(|| drop(std::net::TcpStream::connect("127.0.0.1:7001").unwrap_err()));
    watch.wait_count(1, "the end", |line| line.is("SYN_SENT>CLOSED"));
    let log = watch.stop();
    let [life] = &lives(&log.lines)[..] else { panic!("one life: {:?}", log.lines) };
    assert_eq!((life.path().as_str(), life.reason()), ("CLOSED SYN_SENT CLOSED", "refused"));
}

#[test]
fn ipv4_through_ipv6_sockets_passes_the_ipv4_filter_and_not_the_ipv6_filter() {
    needs_root!();
    for (args, seen) in [(["-4"], true), (["-6"], false)] {
        let netns = Netns::new();
        let watch = Watch::with(&netns, &args);
        netns.inside(|| {
            let listener = TcpListener::bind("[::]:7001").unwrap();
            Pair::over_port(&listener, "127.0.0.1").close_client_first();
            drop(listener);
            // Connections of each family that end last and must be seen.
            for address in [sockets::V4, sockets::V6] {
                drop(TcpListener::bind(address).unwrap());
            }
        });
        let last = if seen { "ipv4" } else { "ipv6" };
        watch.wait_for("a listener's end", |lines| {
            let ends = lines.iter().filter(|line| line.is("LISTEN>CLOSED") && line.family == last);
            ends.max_by_key(|line| line.mono_ns).map(|_| ())
        });
        let log = watch.stop();
        let connections = shown(&log).len();
        assert_eq!(connections, if seen { 2 } else { 0 }, "{args:?}: {:?}", log.lines);
    }
}
