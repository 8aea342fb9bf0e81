//! What is counted by cgroup: it is what each service did, it adds up to the totals, and it stays when a service has gone.

use std::{
    net::TcpStream,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::harness::{
    cgroup::Cgroup,
    exporter::{Exporter, Samples},
    netns::Netns,
    peer::Peer,
    poll, poll_within, side_by_side,
    sockets::{Pair, V4, half_close, reset},
};

/// Until a cgroup that has gone is noticed, which is looked for once a minute, and forgotten.
const FORGOTTEN: Duration = Duration::from_mins(2);
/// Until the list of sockets has been made again, and a socket is older than a minute.
const AGED: Duration = Duration::from_secs(100);

/// A service with a listener in a network namespace.
struct Service {
    unit: String,
    cgroup: Cgroup,
    peer: Peer,
}

impl Service {
    fn start(netns: &Netns, name: &str) -> Self {
        let unit = format!("tcpwatch-{name}-{}.service", std::process::id());
        let cgroup = Cgroup::new(&unit);
        let peer = Peer::start(netns, name);
        cgroup.take(peer.pid());
        Self { unit, cgroup, peer }
    }

    fn counts(&self, page: &Samples, name: &str, more: &str) -> i64 {
        page.0
            .get(&format!("tcpwatch_cgroup_{name}{{cgroup=\"{}\"{more}}}", self.unit))
            .map_or(0, |value| format!("{value:.0}").parse().unwrap())
    }
}

/// All series of a counter by cgroup, by their labels without it, are the series of the total.
fn assert_sums(page: &Samples) {
    for name in [
        "connects_total",
        "connect_failures_total",
        "connects_canceled_total",
        "accepts_total",
        "connection_ends_total",
        "retransmits_total",
        "resets_sent_total",
        "resets_received_total",
    ] {
        let sum = |prefix: &str| -> f64 {
            let of = page.0.iter().filter(|(series, _)| {
                series
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
            });
            of.map(|(_, value)| value).sum()
        };
        let (total, parts) =
            (sum(&format!("tcpwatch_{name}")), sum(&format!("tcpwatch_cgroup_{name}")));
        assert_eq!(total.to_string(), parts.to_string(), "{name}");
    }
    let syns = page.0["tcpwatch_connect_syn_attempts_sum"];
    let by_cgroup = page
        .0
        .iter()
        .filter(|(series, _)| series.starts_with("tcpwatch_cgroup_connect_syns_total{"));
    assert_eq!(syns.to_string(), by_cgroup.map(|(_, value)| value).sum::<f64>().to_string());
}

#[test]
fn counters_by_cgroup_are_what_each_service_did_and_add_up_to_the_totals() {
    needs_root!();
    side_by_side(&[
        ("counters", counters_by_cgroup),
        ("ages", ages_by_cgroup),
        ("gone", a_service_that_goes),
    ]);
}

fn counters_by_cgroup() {
    let netns = Netns::new();
    let exporter = Exporter::on(&netns);
    let mut server = Service::start(&netns, "server");
    let mut client = Service::start(&netns, "client");
    let at = server.peer.listen(V4);
    // So that both have names before they count.
    poll("both services", || {
        let page = exporter.samples();
        let is_known = |service: &Service| {
            page.0.keys().any(|series| series.contains(&format!("cgroup=\"{}\"", service.unit)))
        };
        client.peer.connect(at);
        server.peer.accept();
        client.peer.close();
        server.peer.await_fin();
        server.peer.close();
        (is_known(&server) && is_known(&client)).then_some(())
    });
    let before = exporter.samples();
    for _ in 0..3 {
        client.peer.connect(at);
        server.peer.accept();
        client.peer.close();
        server.peer.await_fin();
        server.peer.close();
    }
    let aborted = netns.inside(|| TcpStream::connect(at).unwrap());
    server.peer.accept();
    reset(aborted);
    server.peer.close();
    let refused = server.peer.listen(V4);
    server.peer.stop_listening();
    assert!(netns.inside(|| TcpStream::connect(refused)).is_err());
    let grown = |service: &Service, name: &str, more: &str| {
        service.counts(&exporter.samples(), name, more) - service.counts(&before, name, more)
    };
    poll("the end of all connections", || {
        (grown(&server, "connection_ends_total", ",reason=\"reset_received\"") == 1
            && grown(&server, "connection_ends_total", ",reason=\"normal\"") == 3)
            .then_some(())
    });
    assert_eq!(grown(&server, "accepts_total", ""), 4);
    assert_eq!(grown(&server, "connects_total", ""), 0);
    assert_eq!(grown(&server, "resets_received_total", ""), 1);
    assert_eq!(grown(&client, "connects_total", ""), 3);
    assert_eq!(grown(&client, "connect_syns_total", ""), 3);
    assert_eq!(grown(&client, "accepts_total", ""), 0);
    let page = exporter.samples();
    assert_sums(&page);
    let info = format!(
        "tcpwatch_cgroup_info{{cgroup=\"{0}\",unit=\"{0}\",container_id=\"\",pod_uid=\"\"}}",
        server.unit
    );
    assert!(page.0.contains_key(&info), "{info}");
    drop((server.peer, client.peer));
    server.cgroup.remove();
    client.cgroup.remove();
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// One that is seen from its FIN on, and one from before the start, are as old as their FIN.
fn ages_by_cgroup() {
    let netns = Netns::new();
    let first = Exporter::on(&netns);
    let mut service = Service::start(&netns, "leaky");
    let at = service.peer.listen(V4);
    let client = netns.inside(|| TcpStream::connect(at).unwrap());
    service.peer.accept();
    let before = unix_time();
    half_close(&client);
    service.peer.await_fin();
    let after = unix_time();
    let second = Exporter::on(&netns);
    let labels = format!("cgroup=\"{}\",state=\"close_wait\"", service.unit);
    for exporter in [&first, &second] {
        let series = format!("tcpwatch_cgroup_sockets_oldest_timestamp_seconds{{{labels}}}");
        let oldest = poll("an age", || exporter.samples().0.get(&series).copied());
        assert!((before - 0.1..after + 0.1).contains(&oldest), "{before} .. {after}: {oldest}");
        // The other end is in this process.
        let other =
            "tcpwatch_cgroup_sockets_oldest_timestamp_seconds{cgroup=\"/\",state=\"fin_wait_2\"}";
        assert!(exporter.samples().0.contains_key(other));
    }
    let older = |exporter: &Exporter, than: &str| {
        let series = format!("tcpwatch_cgroup_sockets_older{{{labels},than=\"{than}\"}}");
        exporter.samples().0.get(&series).copied()
    };
    assert_eq!(older(&first, "1m"), Some(0.0));
    for exporter in [&first, &second] {
        poll_within(AGED, "a socket older than a minute", || {
            (older(exporter, "1m") == Some(1.0)).then_some(())
        });
        assert!(unix_time() - before > 60.0);
        assert_eq!(older(exporter, "10m"), Some(0.0));
    }
    service.peer.close();
    drop(client);
    poll_within(AGED, "no socket older than a minute", || {
        (older(&first, "1m") == Some(0.0)).then_some(())
    });
    drop(service.peer);
    service.cgroup.remove();
}

/// Its series end, its counts stay in the sums, and its cells make room.
fn a_service_that_goes() {
    let netns = Netns::new();
    let exporter = Exporter::on(&netns);
    let mut service = Service::start(&netns, "short");
    let at = service.peer.listen(V4);
    let accepts = format!("tcpwatch_cgroup_accepts_total{{cgroup=\"{}\"}}", service.unit);
    let mut made = 0;
    poll("its series", || {
        let client = netns.inside(|| TcpStream::connect(at).unwrap());
        service.peer.accept();
        made += 1;
        reset(client);
        service.peer.close();
        exporter.samples().0.get(&accepts).filter(|count| **count > 0.0).map(drop)
    });
    let cells = |page: &Samples| page.count("books_entries{map=\"cells\"}");
    let there = cells(&exporter.samples());
    drop(service.peer);
    service.cgroup.remove();
    let page = poll_within(FORGOTTEN, "the end of its series", || {
        Some(exporter.samples())
            .filter(|page| !page.0.contains_key(&accepts) && cells(page) < there)
    });
    assert_sums(&page);
    assert_eq!(page.count("accepts_total"), made, "nothing is forgotten");
    assert!(page.0["tcpwatch_cgroup_accepts_total{cgroup=\"gone\"}"] > 0.0);
    drop(netns.inside(|| Pair::over(&std::net::TcpListener::bind(V4).unwrap())));
}
