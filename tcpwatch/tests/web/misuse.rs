//! Clients that do not speak HTTP, or break off.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
};

use proptest::{prelude::*, test_runner::TestRunner};
use socket2::SockRef;
use tcpwatch_metrics::web::Limits;

use super::{
    client::{answer, connect, scrape, start},
    crowd::{alone, beside, ended, short},
};

#[test]
fn a_header_too_large_is_refused_with_its_status() {
    let server = start(Limits::default());
    beside(server.addresses()[0], 20, || {
        let mut stream = connect(server.addresses()[0]);
        // Just above the limit, so that no byte is left unread and the response is not lost.
        let long = "x".repeat(8192 - b"GET /metrics HTTP/1.1\r\nX: ".len());
        stream.write_all(format!("GET /metrics HTTP/1.1\r\nX: {long}").as_bytes()).unwrap();
        let said = ended(&stream);
        assert!(said.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&said));
    });
    let malformed = "tcpwatch_http_connections_aborted_total{reason=\"malformed\"}";
    assert!(scrape(server.addresses()[0]).count(malformed) > 0);
}

#[test]
fn an_endless_header_and_a_header_of_a_megabyte_are_not_read_to_the_end() {
    let server = start(Limits::default());
    let megabyte = "x".repeat(1 << 20);
    beside(server.addresses()[0], 20, || {
        for line in ["X: y\r\n", "X", &megabyte] {
            let mut stream = connect(server.addresses()[0]);
            drop(stream.write(b"GET /metrics HTTP/1.1\r\n"));
            let mut sent = 0;
            while stream.write_all(line.as_bytes()).is_ok() {
                sent += line.len();
                assert!(sent < 100 << 20, "{sent} bytes were taken");
            }
        }
    });
}

#[test]
fn more_headers_than_anybody_has_are_refused() {
    let server = start(Limits::default());
    let mut stream = connect(server.addresses()[0]);
    let many = "A: b\r\n".repeat(200);
    stream.write_all(format!("GET /metrics HTTP/1.1\r\n{many}\r\n").as_bytes()).unwrap();
    let said = ended(&stream);
    assert!(said.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn garbage_is_answered_with_400_or_nothing() {
    let server = start(short());
    let request = "(GET|HEAD|POST|get|PRI|) ?(/|/metrics|\\*|http://[a-z:@]{0,5}|.{0,9}) ?HTTP/[0-9.]{1,3}\r?\n([A-Za-z: ]{0,9}\r?\n){0,4}\r?\n";
    let garbage = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..300),
        request.prop_map(String::into_bytes),
        // TLS 1.0 record, ClientHello; HTTP/2; SSH
        Just(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        Just(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        Just(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
    ];
    let mut runner = TestRunner::new(ProptestConfig::with_cases(200));
    beside(server.addresses()[0], 50, || {
        runner
            .run(&garbage, |bytes| {
                let mut stream = connect(server.addresses()[0]);
                drop(stream.write(&bytes));
                drop(stream.shutdown(Shutdown::Write));
                let said = ended(&stream);
                prop_assert!(
                    said.is_empty() || said.starts_with(b"HTTP/1."),
                    "{}",
                    String::from_utf8_lossy(&said)
                );
                Ok(())
            })
            .unwrap();
    });
    let malformed = "tcpwatch_http_connections_aborted_total{reason=\"malformed\"}";
    assert!(scrape(server.addresses()[0]).count(malformed) > 0);
}

#[test]
fn who_closes_its_half_still_gets_the_whole_answer() {
    let server = start(Limits::default());
    beside(server.addresses()[0], 20, || {
        let mut stream = connect(server.addresses()[0]);
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(stream).unwrap().status, 200);
    });
}

#[test]
fn who_closes_its_half_before_or_within_a_request_is_let_go() {
    let server = start(Limits::default());
    for part in ["", "G", "GET /metrics HTTP/1.1\r\n"] {
        let mut stream = connect(server.addresses()[0]);
        stream.write_all(part.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let said = ended(&stream);
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400 "), "{part:?}");
    }
}

#[test]
fn a_body_is_not_waited_for() {
    let server = start(Limits::default());
    let mut stream = connect(server.addresses()[0]);
    stream
        .write_all(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000000\r\n\r\n")
        .unwrap();
    assert!(ended(&stream).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn resets_in_the_middle_of_an_answer_disturb_nobody() {
    let _alone = alone();
    let server = start(Limits::default());
    beside(server.addresses()[0], 50, || {
        for asked in ["GET /metr", "GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n"] {
            let mut stream = connect(server.addresses()[0]);
            drop(stream.write(asked.as_bytes()));
            if asked.ends_with("\r\n\r\n") {
                stream.read_exact(&mut [0; 10]).unwrap();
            }
            SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
    });
    let broken = "tcpwatch_http_connections_aborted_total{reason=\"broken\"}";
    assert!(scrape(server.addresses()[0]).count(broken) > 0);
}
