//! How the server ends.

use std::{
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use tcpwatch_metrics::web::Limits;

use super::{
    client::{connect, scrape, start},
    crowd::ended,
};

#[test]
fn a_dropped_handle_closes_the_port() {
    let server = start(Limits::default());
    let address = server.addresses()[0];
    scrape(address);
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn who_never_takes_its_answer_does_not_keep_the_server_from_stopping() {
    let server = start(Limits { stop: Duration::from_millis(100), ..Limits::default() });
    let mut stream = connect(server.addresses()[0]);
    let requests = "GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n".repeat(100);
    stream.write_all(requests.as_bytes()).unwrap();
    let mut first = [0];
    stream.peek(&mut first).unwrap();
    let begun = Instant::now();
    let take = Limits::default().take;
    server.stop().unwrap();
    assert!(begun.elapsed() < take, "it waited until the answer was overdue");
    ended(&stream);
}
