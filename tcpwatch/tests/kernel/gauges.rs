//! The gauges agree with the kernel, `ss` and the application.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus::TextEncoder;
use tcpwatch_metrics::{collector::Collector, family::ScrapeFamily, gauges};

use super::harness::{
    let_pass,
    netns::Netns,
    poll,
    sockets::{Pair, V4, bound, half_close, start_connect, unbound},
};

/// The result of one scrape: series and values, as written.
type Page = BTreeMap<String, String>;

/// A value that is a count.
type Count = u64;

/// Collectors that are called repeatedly.
struct Gauges(Vec<Box<dyn Collector>>);

impl Gauges {
    fn new() -> Self {
        let gauges::Gauges { listed, quick, .. } = gauges::collectors();
        Self(listed.into_iter().chain(quick).collect())
    }

    fn page(&mut self, netns: &Netns) -> Page {
        netns.inside(|| self.page_here())
    }

    fn page_here(&mut self) -> Page {
        let (page, failed) = self.page_and_failures();
        assert!(failed.is_empty(), "{failed:?}");
        page
    }

    /// The page, and which collectors failed.
    fn page_and_failures(&mut self) -> (Page, Vec<&'static str>) {
        let mut families: Vec<ScrapeFamily> = Vec::new();
        let mut failed = Vec::new();
        for collector in &mut self.0 {
            if let Err(error) = collector.collect(&mut families) {
                println!("{}: {error:#}", collector.name());
                failed.push(collector.name());
            }
        }
        let families: Vec<_> = families.into_iter().filter_map(ScrapeFamily::finish).collect();
        let text = TextEncoder::new().encode_to_string(&families).unwrap();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let pair = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.to_owned())
        };
        (series.map(pair).collect(), failed)
    }
}

/// Runs these commands in mounts that only this thread has.
fn with_own_mounts(commands: &[&str]) {
    #[expect(deprecated, reason = "this thread alone gets mounts of its own")]
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
    for command in ["mount --make-rprivate /"].iter().chain(commands) {
        let mut words = command.split(' ');
        let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
        assert!(status.success(), "{command}");
    }
}

/// A first scrape, without knowledge of earlier ones.
fn fresh_page(netns: &Netns) -> Page {
    Gauges::new().page(netns)
}

/// The series of one metric: labels and values.
fn of<T>(page: &Page, metric: &str) -> BTreeMap<String, T>
where
    T: FromStr<Err: Debug>,
{
    let labels = |series: &str| {
        let rest = series.strip_prefix(metric)?;
        (rest.is_empty() || rest.starts_with('{')).then(|| rest.to_owned())
    };
    let series = page.iter().filter_map(|(series, value)| Some((labels(series)?, value)));
    series.map(|(labels, value)| (labels, value.parse().unwrap())).collect()
}

fn series(page: &Page, name: &str) -> Count {
    let value = page.get(name).unwrap_or_else(|| panic!("{name} in {page:#?}"));
    value.parse().unwrap()
}

/// Recv-Q and Send-Q of the only listener on `port`.
fn queue_by_ss(netns: &Netns, port: u16) -> (Count, Count) {
    let filter = format!("sport = :{port}");
    let output = netns.inside(|| Command::new("ss").args(["-ltnH", &filter]).output().unwrap());
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<_> = text.split_whitespace().collect();
    (words[1].parse().unwrap(), words[2].parse().unwrap())
}

/// Backlog and limit of the listener on `port`.
fn queue(page: &Page, port: u16) -> (Count, Count) {
    let labels = format!("{{cgroup=\"/\",local_port=\"{port}\"}}");
    let value = |metric: &str| series(page, &format!("{metric}{labels}"));
    (value("tcpwatch_listener_backlog"), value("tcpwatch_listener_backlog_limit"))
}

fn listen(address: &str, backlog: i32) -> TcpListener {
    let socket = bound(address.parse().unwrap());
    socket.set_reuse_port(true).unwrap();
    socket.listen(backlog).unwrap();
    socket.into()
}

#[test]
fn the_accept_queue_of_a_listener_that_nobody_accepts_from_is_what_ss_says() {
    needs_root!();
    let netns = Netns::new();
    let (listener, clients) = netns.inside(|| {
        let listener = listen(V4, 4);
        let at = listener.local_addr().unwrap();
        // The kernel admits one more than the limit.
        let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(at).unwrap()).collect();
        (listener, clients)
    });
    let at = listener.local_addr().unwrap();
    let expected = poll("a full accept queue", || {
        Some(queue_by_ss(&netns, at.port())).filter(|(waiting, _)| *waiting == 5)
    });
    let page = fresh_page(&netns);
    assert_eq!(queue(&page, at.port()), expected);
    assert_eq!(expected.1, 4);
    assert_eq!(series(&page, "tcpwatch_listen_overflows_total"), 0);

    let late = netns.inside(|| start_connect(unbound(at), at));
    let (overflows, drops) = poll("an overflow", || {
        let page = fresh_page(&netns);
        let overflows = series(&page, "tcpwatch_listen_overflows_total");
        (overflows > 0).then(|| (overflows, series(&page, "tcpwatch_listen_drops_total")))
    });
    assert!(drops >= overflows, "{overflows} overflows are among {drops} drops");

    drop(listener.accept().unwrap());
    assert_eq!(queue(&fresh_page(&netns), at.port()), (4, 4), "one was taken");
    drop((late, clients));
}

#[test]
fn of_several_listeners_on_a_port_the_fullest_is_shown() {
    needs_root!();
    let netns = Netns::new();
    let kept = netns.inside(|| {
        let idle = TcpListener::bind("127.0.0.2:4000").unwrap();
        let busy = listen("127.0.0.1:4000", 8);
        let clients = [(); 3].map(|()| TcpStream::connect("127.0.0.1:4000").unwrap());
        (idle, busy, clients)
    });
    poll("three in the queue", || (queue(&fresh_page(&netns), 4000) == (3, 8)).then_some(()));
    drop(kept);
}

#[test]
fn no_more_than_fifty_listeners_have_series_and_the_rest_is_counted() {
    needs_root!();
    let netns = Netns::new();
    let mut gauges = Gauges::new();
    let listeners: Vec<_> =
        netns.inside(|| (0..53).map(|_| TcpListener::bind(V4).unwrap()).collect());
    let labels = |page: &Page| {
        of::<Count>(page, "tcpwatch_listener_backlog").into_keys().collect::<Vec<_>>()
    };
    let first = gauges.page(&netns);
    assert_eq!(labels(&first).len(), 50);
    let overflow = "tcpwatch_label_overflows_total{label=\"local_port\"}";
    assert_eq!(series(&first, overflow), 3);
    let again = gauges.page(&netns);
    assert_eq!(labels(&again), labels(&first), "the same ones");
    assert_eq!(series(&again, overflow), 3, "each is counted once");
    drop(listeners);
    assert!(labels(&gauges.page(&netns)).is_empty(), "no series stays behind");
}

const BUSIEST: &str = "tcpwatch_ephemeral_ports_busiest_destination";
const OLDEST: &str = "tcpwatch_close_wait_oldest_timestamp_seconds";

/// The kernel counts in ticks of up to 10 ms, late ones on a busy machine, where its answer takes time, too.
/// time, too.
const SLACK: f64 = 0.1;

#[test]
fn the_busiest_destination_uses_all_ports_when_connect_finds_none_left() {
    needs_root!();
    let netns = Netns::with(&[
        ("ipv4.ip_local_port_range", "40000 40029"),
        ("ipv4.ip_local_reserved_ports", "40010-40014"),
        ("ipv4.tcp_tw_reuse", "0"),
    ]);
    let (mut pairs, servers) = netns.inside(|| {
        let servers = [listen("127.0.0.1:2000", 64), listen("127.0.0.1:2001", 64)];
        for _ in 0..4 {
            Pair::over(&servers[0]).close_client_first();
        }
        let pairs: Vec<_> = [0, 0, 0, 1, 1].map(|it| Pair::over(&servers[it])).into();
        (pairs, servers)
    });
    poll("four in TIME_WAIT and three connections", || {
        (series(&fresh_page(&netns), BUSIEST) == 7).then_some(())
    });
    let refused = netns.inside(|| {
        loop {
            match TcpStream::connect("127.0.0.1:2000") {
                Ok(client) => {
                    let (server, _) = servers[0].accept().unwrap();
                    pairs.push(Pair { client, server });
                }
                Err(error) => return error,
            }
        }
    });
    assert_eq!(refused.kind(), ErrorKind::AddrNotAvailable);
    let page = fresh_page(&netns);
    assert_eq!(series(&page, "tcpwatch_ephemeral_ports"), 25);
    assert_eq!(series(&page, BUSIEST), 25);
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn the_oldest_close_wait_is_as_old_as_its_fin() {
    needs_root!();
    let netns = Netns::new();
    assert!(of::<f64>(&fresh_page(&netns), OLDEST).is_empty(), "no socket, no time");
    let (listener, mut old) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let old = Pair::over(&listener);
        (listener, old)
    });
    let before = unix_time();
    half_close(&old.client);
    assert_eq!(old.server.read(&mut [0]).unwrap(), 0, "the FIN");
    let after = unix_time();
    let_pass(Duration::from_millis(400));
    let young = netns.inside(|| Pair::over(&listener));
    half_close(&young.client);
    let mut gauges = Gauges::new();
    let oldest = |page: &Page| of::<f64>(page, OLDEST).remove("{cgroup=\"/\"}");
    let is_old = |told: f64| told >= before - SLACK && told <= after + SLACK;
    let told = oldest(&gauges.page(&netns)).unwrap();
    assert!(is_old(told), "{before} .. {after}, reported {told}");

    // An acknowledgment of data hides the FIN's time unless the socket was listed before.
    let written = unix_time();
    old.server.write_all(b"still here").unwrap();
    old.client.read_exact(&mut [0; 10]).unwrap();
    let forgot =
        poll("the acknowledgment", || oldest(&fresh_page(&netns)).filter(|told| !is_old(*told)));
    assert!(forgot <= written + SLACK && forgot > after, "the young one's FIN: {forgot}");
    let told = oldest(&gauges.page(&netns)).unwrap();
    assert!(is_old(told), "remembered: {before} .. {after}, reported {told}");

    drop((old.server, young.server));
    poll("no more CLOSE_WAIT", || of::<f64>(&gauges.page(&netns), OLDEST).is_empty().then_some(()));
}

#[test]
fn a_namespace_that_is_gone_leaves_nothing_behind() {
    needs_root!();
    let mut gauges = Gauges::new();
    let gone = Netns::new();
    let kept = gone.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        (Pair::over(&listener), listener)
    });
    assert_eq!(of::<Count>(&gauges.page(&gone), "tcpwatch_listener_backlog").len(), 1);
    drop(kept);
    drop(gone);
    let next = Netns::new();
    let page = gauges.page(&next);
    assert!(of::<Count>(&page, "tcpwatch_listener_backlog").is_empty());
}

#[test]
fn without_a_cgroup_hierarchy_everything_but_the_names_is_told() {
    needs_root!();
    let netns = Netns::new();
    let page = netns.inside(|| {
        with_own_mounts(&["umount -l /sys/fs/cgroup"]);
        let listener = TcpListener::bind(V4).unwrap();
        let pair = Pair::over(&listener);
        let page = Gauges::new().page_here();
        drop((pair, listener));
        page
    });
    let backlogs = of::<Count>(&page, "tcpwatch_listener_backlog");
    assert!(backlogs.keys().all(|labels| labels.contains("cgroup=\"unknown\"")), "{backlogs:?}");
    assert_eq!(backlogs.len(), 1);
}

#[test]
fn what_cannot_be_read_costs_nothing_else() {
    needs_root!();
    let netns = Netns::new();
    let (page, failed) = netns.inside(|| {
        with_own_mounts(&["mount -t tmpfs none /proc/sys/net"]);
        Gauges::new().page_and_failures()
    });
    assert_eq!(failed, ["listed_sockets", "netstat"], "the sysctls of both are hidden");
    assert_eq!(of::<Count>(&page, "tcpwatch_listen_overflows_total").len(), 1);
    for hidden in ["tcpwatch_ephemeral_ports", BUSIEST, "tcpwatch_time_wait_limit"] {
        assert!(of::<Count>(&page, hidden).is_empty(), "{hidden}");
    }
}

#[test]
fn sockets_that_wait_are_not_asked_for_at_every_scrape() {
    needs_root!();
    let netns = Netns::new();
    let mut gauges = Gauges::new();
    let first = gauges.page(&netns);
    netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()).close_client_first());
    let second = gauges.page(&netns);
    let at = |page: &Page, dump: &str| -> f64 {
        of(page, "tcpwatch_socket_dump_timestamp_seconds")[&format!("{{dump=\"{dump}\"}}")]
    };
    assert_eq!(at(&first, "waiting").to_bits(), at(&second, "waiting").to_bits());
    assert!(at(&first, "live") < at(&second, "live"));
}
