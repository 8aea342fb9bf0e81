//! Clients that occupy as much as possible: connections, headers, responses.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use tcpwatch_metrics::web::Limits;

use super::{
    client::{Paper, connect, get, scrape, server, start},
    crowd::{affordable, alone, beside, ended, short},
};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn ten_thousand_idle_connections_do_not_keep_a_scrape_out() {
    let _alone = alone();
    let limits = Limits::default();
    let server = start(limits);
    let wanted = affordable(10_000);
    let mut crowd = Vec::with_capacity(wanted);
    beside(server.addresses()[0], 20, || {
        if crowd.is_empty() {
            crowd.extend((0..wanted).map(|_| connect(server.addresses()[0])));
        } else {
            thread::yield_now();
        }
    });
    let page = scrape(server.addresses()[0]);
    println!("{} connections", crowd.len());
    assert!(page.count("tcpwatch_http_connections_total") > u64::try_from(crowd.len()).unwrap());
    let cap = u64::try_from(limits.connections).unwrap();
    assert!(page.count("tcpwatch_http_open_connections") <= cap);
    let given_up = page.count("tcpwatch_http_connections_aborted_total{reason=\"cap\"}");
    assert!(given_up >= u64::try_from(crowd.len()).unwrap() - cap, "{given_up}");
}

#[test]
fn ten_thousand_requests_at_once_do_not_keep_a_scrape_out() {
    let _alone = alone();
    let server = start(Limits::default());
    let wanted = affordable(10_000);
    let mut crowd = Vec::with_capacity(wanted);
    beside(server.addresses()[0], 20, || {
        if crowd.is_empty() {
            crowd.extend((0..wanted).map(|_| {
                let mut stream = connect(server.addresses()[0]);
                drop(stream.write(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n"));
                stream
            }));
        } else {
            thread::yield_now();
        }
    });
    println!("{} connections", crowd.len());
}

fn takes(mut stream: &TcpStream, byte: u8) -> bool {
    stream.write(&[byte]).is_ok()
}

#[test]
fn headers_that_trickle_are_cut_off_in_time_and_keep_nobody_out() {
    let _alone = alone();
    let limits = short();
    let server = start(limits);
    let crowd: Vec<_> =
        (0..limits.connections / 2).map(|_| connect(server.addresses()[0])).collect();
    let mut bytes = b"GET /metrics HTTP/1.1\r\nX: ".iter().chain([b'x'].iter().cycle());
    let begun = Instant::now();
    beside(server.addresses()[0], 20, || {
        loop {
            let byte = *bytes.next().unwrap();
            let alive = crowd.iter().filter(|stream| takes(stream, byte)).count();
            if alive == 0 {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{alive} of {} are still there", crowd.len());
            thread::sleep(Duration::from_millis(20));
        }
    });
    let slow = scrape(server.addresses()[0])
        .count("tcpwatch_http_connections_aborted_total{reason=\"slow\"}");
    assert_eq!(slow, u64::try_from(crowd.len()).unwrap());
}

/// A client with a receive buffer that holds a small part of the page.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn readers_that_never_read_are_reset_and_keep_nobody_out() {
    let _alone = alone();
    let limits = short();
    let server = start(limits);
    // Many requests, so that the responses do not fit into the kernel's buffers.
    let requests = "GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n".repeat(40);
    let mut crowd = Vec::new();
    beside(server.addresses()[0], 20, || {
        if crowd.is_empty() {
            crowd.extend((0..limits.connections + 100).map(|_| {
                let mut stream = narrow(server.addresses()[0]);
                drop(stream.write(requests.as_bytes()));
                stream
            }));
        } else {
            thread::yield_now();
        }
    });
    // The kernel keeps nothing of them: no unsent response, no socket.
    let begun = Instant::now();
    while sockets_at(server.addresses()[0]) > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} are left", sockets_at(server.addresses()[0]));
        thread::yield_now();
    }
    let page = scrape(server.addresses()[0]);
    let aborted = |reason| {
        page.count(&format!("tcpwatch_http_connections_aborted_total{{reason=\"{reason}\"}}"))
    };
    assert!(aborted("slow") > 0);
    assert_eq!(aborted("slow") + aborted("cap"), u64::try_from(crowd.len()).unwrap());
}

/// Sockets of the server that have a peer and have not ended in order.
fn sockets_at(address: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let local = format!(":{:04X}", address.port());
    let busy = table.lines().filter(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        // 0A is LISTEN, 06 TIME_WAIT: that of a scrape that ended in order.
        words[1].ends_with(&local) && words[3] != "0A" && words[3] != "06"
    });
    busy.count()
}

#[test]
fn a_reader_that_takes_some_now_and_then_is_cut_off_though_it_makes_progress() {
    const PAGE: usize = 40 << 20;
    let server = server().with_limits(short());
    let filling = "# filling\n".repeat(PAGE / 10);
    let pages = Paper { counters: server.counters(), filling, not_ready: Mutex::default() };
    let server = server.spawn(Arc::new(pages)).unwrap();
    let mut stream = connect(server.addresses()[0]);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    // 6 MB/s: enough that no single write waits for a second, too slow for the whole response.
    let mut bytes = vec![0; 64 << 10];
    let mut taken = 0;
    let cut = loop {
        match stream.read(&mut bytes) {
            Ok(0) => break None,
            Ok(read) => taken += read,
            Err(error) => break Some(error.kind()),
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(cut, Some(io::ErrorKind::ConnectionReset), "after {taken} of {PAGE} bytes");
    assert!((1 << 20..PAGE).contains(&taken), "{taken}");
}

#[test]
fn a_connection_stays_open_between_requests_and_is_closed_when_idle_for_too_long() {
    let server = start(short());
    let mut stream = connect(server.addresses()[0]);
    let mut reply = [0; 4096];
    for _ in 0..3 {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let length = stream.read(&mut reply).unwrap();
        assert!(reply[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(ended(&stream), b"");
    assert_eq!(get(server.addresses()[0], "/-/healthy").status, 200);
}
