//! The gauges agree with the kernel, `ss` and the application.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    str::FromStr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus::TextEncoder;
use tcpwatch_kernel::source::cgroups::CgroupNames;
use tcpwatch_metrics::{
    collector::Collector, family::ScrapeFamily, gauges, namespaces::NamespaceOverflows,
};

use super::harness::{
    cgroup::Cgroup,
    let_pass,
    netns::Netns,
    peer::Peer,
    poll,
    sockets::{
        Pair, V4, V6, bound, half_close, lose_acks, lose_all, lose_syn_acks, start_connect, unbound,
    },
};

/// The result of one scrape: series and values, as written.
type Page = BTreeMap<String, String>;

/// A value that is a count.
type Count = u64;

/// Collectors that are called repeatedly.
struct Gauges(Vec<Box<dyn Collector>>);

impl Gauges {
    fn new() -> Self {
        let names = Arc::new(Mutex::new(CgroupNames::new()));
        Self(gauges::collectors(names, NamespaceOverflows::default()))
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

fn sockets(page: &Page) -> BTreeMap<String, Count> {
    let by_state = of(page, "tcpwatch_sockets").into_iter();
    by_state.map(|(labels, count)| (labels.split('"').nth(1).unwrap().to_owned(), count)).collect()
}

fn series(page: &Page, name: &str) -> Count {
    let value = page.get(name).unwrap_or_else(|| panic!("{name} in {page:#?}"));
    value.parse().unwrap()
}

/// One side of a connection in each state, and the sockets that keep it there.
fn one_in_every_state(listener: &TcpListener) -> Vec<Box<dyn Send>> {
    let local = listener.local_addr().unwrap();
    let mut kept: Vec<Box<dyn Send>> = Vec::new();

    let deaf = TcpListener::bind((local.ip(), 0)).unwrap();
    lose_all(&deaf);
    let remote = deaf.local_addr().unwrap();
    kept.push(Box::new((start_connect(unbound(remote), remote), deaf)));

    let half_deaf = TcpListener::bind((local.ip(), 0)).unwrap();
    lose_acks(&half_deaf);
    let client = TcpStream::connect(half_deaf.local_addr().unwrap()).unwrap();
    kept.push(Box::new((client, half_deaf)));

    // A socket that connects to itself receives its own SYN: a simultaneous open.
    let own = bound(SocketAddr::new(local.ip(), 0));
    let itself = own.local_addr().unwrap().as_socket().unwrap();
    lose_syn_acks(&own);
    kept.push(Box::new(start_connect(own, itself)));

    let fin_wait_1 = Pair::over(listener);
    lose_all(&fin_wait_1.server);
    half_close(&fin_wait_1.client);

    let fin_wait_2 = Pair::over(listener);
    half_close(&fin_wait_2.client);

    let orphan = Pair::over(listener);
    drop(orphan.client);

    let closing = Pair::over(listener);
    lose_all(&closing.server);
    half_close(&closing.client);
    half_close(&closing.server);

    let mut last_ack = Pair::over(listener);
    half_close(&last_ack.client);
    assert_eq!(last_ack.server.read(&mut [0]).unwrap(), 0, "the client's FIN");
    last_ack.server.write_all(b"-").unwrap(); // acknowledges it
    last_ack.client.read_exact(&mut [0]).unwrap();
    lose_all(&last_ack.client);
    half_close(&last_ack.server);

    Pair::over(listener).close_client_first();
    kept.push(Box::new((Pair::over(listener), fin_wait_1, fin_wait_2, orphan.server)));
    kept.push(Box::new((closing, last_ack)));
    kept
}

#[test]
fn every_socket_is_counted_once_in_the_state_it_is_in() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::new();
        let idle = sockets(&fresh_page(&netns));
        assert_eq!(idle.len(), 12, "zeros are kept: {idle:?}");
        assert!(idle.values().all(|count| *count == 0), "{idle:?}");

        let kept = netns.inside(|| {
            let listener = TcpListener::bind(address).unwrap();
            (one_in_every_state(&listener), listener)
        });
        let expected: BTreeMap<_, _> = [
            ("closed", 0),
            ("listen", 3),
            ("syn_sent", 1),
            ("syn_recv", 1),
            ("half_open", 1),
            ("established", 1 + 2 + 1), // half_open's client, a pair, fin_wait_1's server
            ("fin_wait_1", 1 + 1),      // closing's server
            ("fin_wait_2", 1 + 1 + 1),  // the orphan, last_ack's client
            ("close_wait", 1 + 1),
            ("closing", 1),
            ("last_ack", 1),
            ("time_wait", 1),
        ]
        .into_iter()
        .map(|(state, count)| (state.to_owned(), count))
        .collect();
        let mut last = None;
        poll("the expected counts", || {
            let seen = sockets(&fresh_page(&netns));
            if last.as_ref() != Some(&seen) {
                println!("{seen:?}");
            }
            let agree = seen == expected;
            last = Some(seen);
            agree.then_some(())
        });
        drop(kept);
    }
}

const OLDEST: &str = "tcpwatch_close_wait_oldest_timestamp_seconds";

/// The kernel counts in ticks of up to 10 ms, late ones on a busy machine, where its answer takes time, too.
/// time, too.
const SLACK: f64 = 0.1;

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
fn sockets_belong_to_the_unit_of_the_process_that_made_them() {
    needs_root!();
    let netns = Netns::new();
    let unit = format!("tcpwatch-test-{}.service", std::process::id());
    let cgroup = Cgroup::new(&unit);
    let mut peer = Peer::start(&netns, "leaky");
    cgroup.take(peer.pid());
    let at = peer.listen(V4);
    let client = netns.inside(|| TcpStream::connect(at).unwrap());
    peer.accept();
    half_close(&client);
    peer.await_fin();

    let count = |page: &Page, cgroup: &str, state: &str| {
        let labels = format!("{{cgroup=\"{cgroup}\",state=\"{state}\"}}");
        of::<Count>(page, "tcpwatch_cgroup_sockets").get(&labels).copied()
    };
    // This process has the other end.
    let page = poll("an acknowledged FIN", || {
        Some(fresh_page(&netns)).filter(|page| count(page, "/", "fin_wait_2") == Some(1))
    });
    assert_eq!(count(&page, &unit, "close_wait"), Some(1));
    assert_eq!(count(&page, &unit, "established"), Some(0));
    assert_eq!(count(&page, "other", "close_wait"), Some(0));
    let oldest = of::<f64>(&page, "tcpwatch_close_wait_oldest_timestamp_seconds");
    assert_eq!(oldest.into_keys().collect::<Vec<_>>(), [format!("{{cgroup=\"{unit}\"}}")]);

    peer.close();
    drop(client);
    poll("a socket in TIME_WAIT", || {
        (count(&fresh_page(&netns), "unknown", "time_wait") == Some(1)).then_some(())
    });
    drop(peer);
    cgroup.remove();
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
    assert_eq!(sockets(&gauges.page(&gone))["established"], 2);
    drop(kept);
    drop(gone);
    let next = Netns::new();
    let page = gauges.page(&next);
    assert_eq!(sockets(&page)["established"], 0);
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
        drop(pair);
        page
    });
    assert_eq!(sockets(&page)["established"], 2);
    let unknown = "tcpwatch_cgroup_sockets{cgroup=\"unknown\",state=\"established\"}";
    assert_eq!(series(&page, unknown), 2);
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
    assert_eq!(sockets(&second)["time_wait"], 0, "as it was then");
    assert_eq!(sockets(&fresh_page(&netns))["time_wait"], 1, "as it is");
}
