//! More sockets in TIME_WAIT than can be tracked.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use tcpwatch_core::track::MAX_SOCKETS;

use super::run::{Ended, Run, occurrences, own_kib};
use crate::harness::{exporter::Exporter, let_pass, netns::Netns, poll_within, sockets::V4};

/// As many as can be tracked, and some that do not fit.
const SOCKETS: usize = MAX_SOCKETS + 4096;
/// Clients at a time.
const CLIENTS: usize = 4;
/// Addresses that each client connects to: the ports towards each suffice for all.
const HOSTS: u8 = 8;
/// TIME_WAIT lasts for a minute: all must exist by then, before the first ones end.
const MINUTE: Duration = Duration::from_mins(1);

/// Makes that many, the client closing first.
fn make(netns: &Netns, count: usize) {
    let left = AtomicUsize::new(count);
    let connect = |first_host: u8| {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let hosts = (first_host..first_host + HOSTS).cycle();
        for host in hosts {
            if left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_err()
            {
                return;
            }
            let address = SocketAddr::from(([127, 0, 0, host], port));
            let client = TcpStream::connect(address).unwrap();
            let (server, _) = listener.accept().unwrap();
            drop(client);
            drop(server);
        }
    };
    netns.inside(|| {
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let first_host = 1 + HOSTS * u8::try_from(client).unwrap();
                scope.spawn(move || connect(first_host));
            }
        });
    });
}

/// The kernel's number of sockets in TIME_WAIT.
fn there(netns: &Netns) -> usize {
    let text = netns.inside(|| fs::read_to_string("/proc/thread-self/net/sockstat").unwrap());
    let line = text.lines().find_map(|line| line.strip_prefix("TCP: ")).unwrap();
    line.split_whitespace().skip_while(|word| *word != "tw").nth(1).unwrap().parse().unwrap()
}

/// What is tracked and what had no room is what existed between the two moments, except for what the kernel skipped.
fn accounts_for(ended: &Ended, before: usize, after: usize) {
    let Ended { text, summary, .. } = ended;
    let lost = |cause: &str| summary.lost.get(cause).copied().unwrap_or(0);
    let (refused, missed) = (lost("table_full"), lost("recursion") + lost("ring_full"));
    let count = |number: u64| usize::try_from(number).unwrap();
    let (open, refused, missed) = (count(summary.open), count(refused), count(missed));
    println!(
        "measured: {open} tracked, {refused} refused, {missed} missed, {after}..{before} there"
    );
    assert!(open <= MAX_SOCKETS, "{open}");
    assert!(open + refused + missed >= after, "{open} + {refused} + {missed} of {after}");
    assert!(open + refused <= before + missed, "{open} + {refused} of {before}");
    assert!(refused > 0, "some did not fit");
    assert!(occurrences(text, r#""cause":"table_full""#) > 0, "and that was reported");
}

#[test]
fn more_sockets_in_time_wait_than_are_tracked_are_counted_told_and_served() {
    needs_root!();
    let netns = Netns::with(&[
        ("ipv4.tcp_max_tw_buckets", "1000000"),
        ("ipv4.ip_local_port_range", "1024 65535"),
        // Or a connection takes over a port from one in TIME_WAIT.
        ("ipv4.tcp_tw_reuse", "0"),
    ]);
    let exporter = netns.inside(|| Exporter::start(&["serve", "--web.listen-address", V4]));
    let word = netns.word();
    // Everything is tracked, and only sockets without an owner are printed: none.
    let args = ["--netns", &word, "--state", "TIME_WAIT", "--comm", "nobody's", "--buffer", "256M"];
    let watch = Run::start(&args);
    let small = own_kib(watch.pid()).unwrap();

    let begun = Instant::now();
    make(&netns, SOCKETS);
    let made_in = begun.elapsed();
    println!("measured: {SOCKETS} sockets in TIME_WAIT after {made_in:?}");
    assert!(made_in < MINUTE, "the first are gone again: this machine is too slow or too busy");

    let later = Run::start(&args);
    println!("measured: with them, attached after {:?}", later.started_in);
    let before = there(&netns);
    let begun = Instant::now();
    let series = "sockets{state=\"time_wait\"}";
    let page = netns.inside(|| exporter.samples());
    println!("measured: the page took {:?}", begun.elapsed());
    let told = usize::try_from(page.count(series)).unwrap();
    assert!(told <= before, "{told} of {before}");
    // Each page is a connection, too.
    let (mut served, mut pages) = (told, 1);
    poll_within(MINUTE, "a page with those that are there", || {
        // Sockets that wait are listed again after some seconds.
        let_pass(Duration::from_millis(500));
        let after = there(&netns);
        served = usize::try_from(netns.inside(|| exporter.samples()).count(series)).unwrap();
        pages += 1;
        (served + pages >= after && served <= before + pages).then_some(())
    });
    let own = own_kib(exporter.pid()).unwrap();
    println!("measured: {served} served; the exporter has {own} KiB of its own");
    assert!(own < 64 << 10, "{own} KiB");

    let before = there(&netns);
    let later = later.stop();
    accounts_for(&later, before, there(&netns));
    let before = there(&netns);
    let ended = watch.stop();
    accounts_for(&ended, before, there(&netns));
    for (name, ended) in [("from the beginning", &ended), ("at start", &later)] {
        let more = ended.most_kib - small;
        println!("measured: {name}: {} KiB of its own, {more} of them for sockets", ended.most_kib);
        // What ARCHITECTURE.md gives for one of the two tables, and as much for what is in transit.
        assert!(more < (2 * 190) << 10, "{more} KiB");
    }
}
