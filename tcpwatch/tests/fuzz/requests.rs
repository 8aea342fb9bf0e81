//! Bytes that clients send to the web server over loopback, in any pieces.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::TestRunner,
};
use tcpwatch_metrics::web::{Limits, PageFormat, Pages, Server, ServerHandle};

use super::{
    cases::cases,
    spoiled::{spoil, with_words},
};

/// The time limit for a client's request, and the time a test waits beyond all limits.
const ASK: Duration = Duration::from_millis(700);
const DEADLINE: Duration = Duration::from_secs(10);

struct Page;

impl Pages for Page {
    fn metrics(&self, _format: PageFormat) -> String {
        "tcpwatch_one 1\n".repeat(1000)
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

fn start() -> ServerHandle {
    let limits = Limits { ask: ASK, take: ASK, ..Limits::default() };
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_limits(limits);
    server.spawn(Arc::new(Page)).unwrap()
}

const GOOD: &[&str] = &[
    "GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip;q=0.5, *;q=0\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: t\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\n\r\n",
    "HEAD /metrics HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /-/ready HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
    "POST /metrics HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
];

const WORDS: &[&str] = &[
    "\r\n",
    "\r",
    "\n",
    "\r\n\r\n",
    " ",
    ":",
    "HTTP/1.1",
    "HTTP/2.0",
    "HTTP/0.9",
    "Host: ",
    "GET ",
    "Content-Length: 18446744073709551616\r\n",
    "Content-Length: -1\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: x\r\n",
    "ffffffffffffffff\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\n",
    "Accept-Encoding: ;;;q=\r\n",
    "\0",
    "\u{ff}",
    "%00",
    "?",
    "http://[::1]:99999/",
    "*",
];

/// Some requests in a row, corrupted as one text.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let several = vec(select(GOOD), 0..5).prop_map(|requests| requests.concat().into_bytes());
    let spoiled = (several, with_words(WORDS)).prop_map(|(mut bytes, damages)| {
        spoil(&mut bytes, &damages);
        bytes
    });
    prop_oneof![1 => vec(any::<u8>(), 0..300), 6 => spoiled]
}

/// Sends the pieces one after the other; returns the response until the server closes, which it must.
fn talk(address: SocketAddr, bytes: &[u8], cuts: &[Index], closes: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.push(bytes.len());
    places.sort_unstable();
    let mut from = 0;
    for place in places {
        // The server may already have closed.
        if stream.write_all(&bytes[from..place]).is_err() {
            break;
        }
        from = place;
        thread::yield_now();
    }
    if closes {
        drop(stream.shutdown(Shutdown::Write));
    }
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection was not ended: {error}"),
    }
    said
}

fn scrape(address: SocketAddr) {
    let said =
        talk(address, b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", &[], true);
    assert!(said.starts_with(b"HTTP/1.1 200 ") && said.ends_with(b"tcpwatch_one 1\n"));
}

#[test]
fn any_bytes_in_any_pieces_are_answered_in_http_or_not_at_all_and_the_next_scrape_works() {
    let server = start();
    let address = server.addresses()[0];
    let input = (requests(), vec(any::<Index>(), 0..4));
    TestRunner::new(cases(500))
        .run(&input, |(bytes, cuts)| {
            let said = talk(address, &bytes, &cuts, true);
            prop_assert!(
                said.is_empty() || said.starts_with(b"HTTP/1."),
                "{}",
                said.escape_ascii()
            );
            scrape(address);
            Ok(())
        })
        .unwrap();
    server.stop().unwrap();
}

#[test]
fn who_keeps_the_connection_open_is_let_go_in_time() {
    let server = start();
    let address = server.addresses()[0];
    let input = vec((requests(), vec(any::<Index>(), 0..4)), 32);
    // Each round takes as long as a client may; all clients of a round run at once.
    TestRunner::new(ProptestConfig { cases: 3.max(cases(3).cases / 100), ..cases(3) })
        .run(&input, |clients| {
            let begun = Instant::now();
            thread::scope(|scope| {
                for (bytes, cuts) in &clients {
                    scope.spawn(move || talk(address, bytes, cuts, false));
                }
            });
            prop_assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
            scrape(address);
            Ok(())
        })
        .unwrap();
    server.stop().unwrap();
}
