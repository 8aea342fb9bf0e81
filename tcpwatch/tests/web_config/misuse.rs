//! Clients that do not finish their handshake, ask too often, or try passwords.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tcpwatch_metrics::web::Limits;

use super::{
    certificates::{Folder, PASSWORD},
    client::{Ask, Reply, ask},
    served::Served,
};

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";
const USERS: &str = "basic_auth_users: {alice: \"HASH\"}\n";
/// A server that few connections fill.
const FEW: usize = 16;

fn few() -> Limits {
    Limits { connections: FEW, ..Limits::default() }
}

#[test]
fn handshakes_that_are_not_finished_keep_nobody_out() {
    let folder = Folder::new();
    let served = Served::limited(&folder.write(TLS), few()).unwrap();
    let mut crowd = Vec::new();
    for number in 0..FEW * 8 {
        let mut slow = TcpStream::connect(served.address()).unwrap();
        // Nothing, a byte, and the head of a long message.
        let begun: &[u8] =
            [&b""[..], b"\x16", b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"][number % 3];
        slow.write_all(begun).unwrap();
        crowd.push(slow);
        if number % FEW == 0 {
            assert_eq!(ask(served.address(), &folder, Ask::TLS), Reply::status(200));
        }
    }
    assert_eq!(ask(served.address(), &folder, Ask::TLS), Reply::status(200));
}

#[test]
fn a_handshake_takes_no_longer_than_a_request_may() {
    let folder = Folder::new();
    let limits = Limits { ask: Duration::from_millis(300), ..Limits::default() };
    let served = Served::limited(&folder.write(TLS), limits).unwrap();
    let mut slow = TcpStream::connect(served.address()).unwrap();
    slow.write_all(b"\x16\x03").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let begun = Instant::now();
    // A reset or an end.
    let _ended = matches!(slow.read(&mut [0; 64]), Ok(0) | Err(_));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn more_requests_than_allowed_are_429_and_later_ones_are_answered() {
    let folder = Folder::new();
    let text = "rate_limit: {interval: 300ms, burst: 3}\n";
    let served = Served::with(&folder.write(text)).unwrap();
    let replies: Vec<_> = (0..6).map(|_| ask(served.address(), &folder, Ask::PLAIN)).collect();
    assert_eq!(replies[..3], [Reply::status(200), Reply::status(200), Reply::status(200)]);
    assert!(replies.contains(&Reply::status(429)), "{replies:?}");
    thread::sleep(Duration::from_millis(400));
    assert_eq!(ask(served.address(), &folder, Ask::PLAIN), Reply::status(200));
}

#[test]
fn the_limit_is_before_the_password() {
    let folder = Folder::new();
    let text = format!("rate_limit: {{interval: 1h, burst: 2}}\n{USERS}");
    let served = Served::with(&folder.write(&text)).unwrap();
    let request = Ask::PLAIN.by("alice", "wrong");
    let replies = [(); 3].map(|()| ask(served.address(), &folder, request));
    assert_eq!(replies, [Reply::status(401), Reply::status(401), Reply::status(429)]);
}

#[test]
fn wrong_passwords_by_the_thousand_keep_out_nobody_who_was_let_in_before() {
    let folder = Folder::new();
    let served = Served::limited(&folder.write(USERS), few()).unwrap();
    let alice = Ask::PLAIN.by("alice", PASSWORD);
    assert_eq!(ask(served.address(), &folder, alice), Reply::status(200));
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for attacker in 0..8 {
            let (served, enough) = (&served, &enough);
            scope.spawn(move || {
                let mut number = 0_u32;
                while !enough.load(Ordering::Relaxed) {
                    number += 1;
                    let guess = STANDARD.encode(format!("alice:{attacker}-{number}"));
                    let Ok(mut tcp) = TcpStream::connect(served.address()) else { continue };
                    let request = format!(
                        "GET /metrics HTTP/1.1\r\nHost: t\r\nAuthorization: Basic {guess}\r\n\r\n"
                    );
                    // The server may have closed it for a newer one.
                    let _sent = tcp.write_all(request.as_bytes()).is_ok();
                }
            });
        }
        let mut longest = Duration::ZERO;
        for _ in 0..50 {
            let begun = Instant::now();
            assert_eq!(ask(served.address(), &folder, alice), Reply::status(200));
            longest = longest.max(begun.elapsed());
        }
        enough.store(true, Ordering::Relaxed);
        println!("the longest scrape took {longest:?}");
    });
}
