//! Connections that are never completed, from as many addresses: SYNs whose answers are not received.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::run::{Run, occurrences};
use crate::harness::{exporter::Exporter, netns::Netns, poll_within, sockets::V4};

const CONNECTIONS: u32 = 50_000;
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 255, 0, 1), 80);
const HALF_OPEN: &str = "sockets{state=\"half_open\"}";
/// Connections that wait at a listener with syncookies.
const QUEUE: usize = 128;
const WHILE: Duration = Duration::from_mins(1);

/// A namespace that sends to itself what goes to a whole /8, and drops it, because it forwards nothing. On
/// a real link a queue might be full, and a SYN+ACK that cannot be sent again ends a half-open connection
/// (`reqsk_timer_handler`, `net/ipv4/inet_connection_sock.c`).
fn netns(sysctls: &[(&str, &str)]) -> Netns {
    let netns = Netns::with(sysctls);
    netns.run("ip address add 10.255.0.1/32 dev lo");
    netns.run("ip route add 10.0.0.0/8 dev lo");
    for device in ["all", "lo"] {
        netns.set(&format!("ipv4.conf.{device}.rp_filter"), "0").unwrap();
    }
    netns
}

fn listen(backlog: i32) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.bind(&SocketAddr::V4(SERVER).into()).unwrap();
    socket.listen(backlog).unwrap();
    socket
}

/// Counts, and is scraped, inside.
fn serve(netns: &Netns) -> Exporter {
    let args = ["serve", "--netns", &netns.word(), "--web.listen-address", V4];
    netns.inside(|| Exporter::start(&args))
}

/// One SYN from each of many addresses.
fn flood(count: u32) {
    let raw =
        Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).unwrap();
    let to = SocketAddr::V4(SERVER).into();
    for number in 0..count {
        let sent = raw.send_to(&syn(Ipv4Addr::from(0x0a01_0000 + number)), &to).unwrap();
        assert_eq!(sent, 40);
    }
}

/// An IPv4 header and a TCP header, without options; the kernel fills in the first one's checksum.
fn syn(from: Ipv4Addr) -> [u8; 40] {
    let mut packet = [0; 40];
    let (source, destination) = (from.octets(), SERVER.ip().octets());
    packet[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&destination);
    packet[20..22].copy_from_slice(&40_000_u16.to_be_bytes());
    packet[22..24].copy_from_slice(&SERVER.port().to_be_bytes());
    packet[32..36].copy_from_slice(&[0x50, 0x02, 0xff, 0xff]);
    // RFC 9293, 3.1: over the addresses, the protocol, the length, and the segment.
    let pseudo = [source, destination, [0, 6, 0, 20]].concat();
    let words = pseudo.chunks(2).chain(packet[20..].chunks(2));
    let mut sum: u32 = words.map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !u16::try_from(sum).unwrap();
    packet[36..38].copy_from_slice(&checksum.to_be_bytes());
    packet
}

#[test]
fn fifty_thousand_half_open_connections_are_followed_to_their_ends_and_served() {
    needs_root!();
    let netns = netns(&[
        ("ipv4.tcp_syncookies", "0"),
        ("ipv4.tcp_max_syn_backlog", "262144"),
        ("core.somaxconn", "262144"),
        // 1 s, 2 s, 4 s and 8 s: long enough for all to be there at once.
        ("ipv4.tcp_synack_retries", "3"),
    ]);
    let exporter = serve(&netns);
    let watch = Run::start(&["--netns", &netns.word(), "--port", "80", "--buffer", "256M"]);
    let listener = netns.inside(|| listen(262_144));
    let first = netns.inside(|| exporter.samples());
    let begun = Instant::now();
    netns.inside(|| flood(CONNECTIONS));
    println!("measured: {CONNECTIONS} SYNs in {:?}", begun.elapsed());
    let all = i64::from(CONNECTIONS);
    let most = netns.inside(|| exporter.samples()).count(HALF_OPEN);
    println!("measured: {most} half-open connections at once");
    assert_eq!(most, all, "all of them at once");
    poll_within(WHILE, "the end of all", || {
        (netns.inside(|| exporter.samples()).count(HALF_OPEN) == 0).then_some(())
    });
    // The last event of each processor is settled by a page that comes 20 ms later.
    let grown = poll_within(WHILE, "the last end", || {
        let grown = netns.inside(|| exporter.samples()).since(&first);
        let ended = grown.changes().get("SYN_RECV>CLOSED").copied().unwrap_or(0);
        (ended + grown.missed() >= all).then_some(grown)
    });
    let (changes, missed) = (grown.changes(), grown.missed());
    println!("measured: {changes:?}, {missed} missed");
    let count = |change: &str| changes.get(change).copied().unwrap_or(0);
    // Each scrape is a connection, too.
    let begun = count("LISTEN>SYN_RECV") - count("SYN_RECV>ESTABLISHED");
    for (change, counted) in [("begun", begun), ("ended", count("SYN_RECV>CLOSED"))] {
        assert!((all - missed..=all).contains(&counted), "{change}: {counted}, {missed} missed");
    }
    drop(listener);

    let ended = watch.stop();
    let missed = usize::try_from(ended.summary.lost.values().sum::<u64>()).unwrap();
    let all = usize::try_from(CONNECTIONS).unwrap();
    for (words, times) in [
        (r#""from":"LISTEN","to":"SYN_RECV""#, 1),
        (r#""from":"SYN_RECV","to":"CLOSED""#, 1),
        (r#""kind":"syn_ack""#, 3),
        (r#""end":"half_open""#, 0),
    ] {
        let told = occurrences(&ended.text, words);
        println!("measured: {told} lines with {words}; {missed} missed");
        if times > 0 {
            let least = times * (all - missed.min(all));
            assert!((least..=times * all).contains(&told), "{words}: {told}, {missed} missed");
        }
    }
    let timed_out = occurrences(&ended.text, r#""from":"SYN_RECV","to":"CLOSED","#);
    let reasons = occurrences(&ended.text, r#""reason":"timed_out""#);
    assert!(reasons + missed >= timed_out, "{reasons} of {timed_out} timed out");
    assert!(ended.summary.open <= u64::try_from(missed).unwrap(), "{:?}", ended.summary);
    println!("measured: {} KiB of its own", ended.most_kib);
}

#[test]
fn with_syn_cookies_only_what_the_queue_holds_is_half_open_and_told() {
    needs_root!();
    let netns = netns(&[("ipv4.tcp_syncookies", "1"), ("core.somaxconn", "128")]);
    let exporter = serve(&netns);
    let watch = Run::start(&["--netns", &netns.word(), "--port", "80", "--buffer", "64M"]);
    let listener = netns.inside(|| listen(128));
    let first = netns.inside(|| exporter.samples());
    netns.inside(|| flood(CONNECTIONS));
    let flooded = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let page = netns.inside(|| exporter.samples());
    let half_open = usize::try_from(page.count(HALF_OPEN)).unwrap();
    let label = format!("netns=\"{}\"", netns.inode);
    let read = format!("network_namespace_last_read_timestamp_seconds{{{label}}}");
    let page = poll_within(WHILE, "the namespace is read", || {
        let page = netns.inside(|| exporter.samples());
        (page.get(&read) > flooded).then_some(page)
    });
    let cookies = format!("syn_queue_full_total{{{label},action=\"cookie\"}}");
    let cookies = page.since(&first).count(&cookies);
    println!("measured: {half_open} half-open connections, {cookies} cookies");
    assert!((1..=QUEUE + 1).contains(&half_open), "{half_open}");
    assert_eq!(cookies + i64::try_from(half_open).unwrap(), i64::from(CONNECTIONS));
    drop(listener);
    // Their timers find that the listener is gone.
    watch.wait_count(WHILE, r#""reason":"listener_closed""#, half_open);
    let ended = watch.stop();
    let told = occurrences(&ended.text, r#""from":"LISTEN","to":"SYN_RECV""#);
    assert_eq!(told, half_open, "{:?}", ended.summary);
    assert_eq!(ended.summary.open, 0, "{:?}", ended.summary);
}
