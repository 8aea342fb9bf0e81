//! A scrape as on the wire, and the server for it.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use prometheus::TextEncoder;
use tcpwatch_metrics::{
    collector::Collector as _,
    family::ScrapeFamily,
    web::{Counters, Limits, PageFormat, Pages, Server, ServerHandle},
};

/// Prometheus's default time limit for a page.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages whose size the test chooses, with the server's own counters at the end.
pub struct Paper {
    pub counters: Counters,
    /// Lines before the counters.
    pub filling: String,
    pub not_ready: Mutex<Option<String>>,
}

impl Pages for Paper {
    fn metrics(&self, _format: PageFormat) -> String {
        let mut families = Vec::new();
        self.counters.clone().collect(&mut families).unwrap();
        let families: Vec<_> = families.into_iter().filter_map(ScrapeFamily::finish).collect();
        self.filling.clone() + &TextEncoder::new().encode_to_string(&families).unwrap()
    }

    fn ready(&self) -> Result<(), String> {
        self.not_ready.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

pub fn server() -> Server {
    Server::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// A page of 400 kB, as of a host with many series.
pub fn paper(server: &Server) -> Arc<Paper> {
    let line =
        "tcpwatch_filling{state=\"time_wait\",cgroup=\"system.slice/some.service\"} 1234567\n";
    let filling = line.repeat(5000);
    Arc::new(Paper { counters: server.counters(), filling, not_ready: Mutex::default() })
}

/// A running server with short time limits, so that the tests reach them.
pub fn start(limits: Limits) -> ServerHandle {
    let server = server().with_limits(limits);
    let paper = paper(&server);
    server.spawn(paper).unwrap()
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A count on the page.
    pub fn count(&self, series: &str) -> u64 {
        let mut lines = self.text().lines().filter_map(|line| line.rsplit_once(' '));
        let (_, value) = lines.find(|(name, _)| *name == series).unwrap_or_else(|| {
            panic!("no {series} in {}", self.text());
        });
        value.parse().unwrap()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, SCRAPE_TIMEOUT).unwrap();
    stream.set_read_timeout(Some(SCRAPE_TIMEOUT)).unwrap();
    stream
}

/// Sends a request and reads until the server closes.
pub fn ask(address: SocketAddr, request: &str) -> Reply {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    answer(stream).unwrap()
}

pub fn answer(mut stream: TcpStream) -> io::Result<Reply> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or(io::ErrorKind::UnexpectedEof)? + 4;
    let body = bytes.split_off(end);
    let head = String::from_utf8(bytes).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let reply = Reply { status, head, body };
    if let Some(length) = reply.header("content-length")
        && reply.body.len() != length.parse::<usize>().unwrap()
        && !reply.body.is_empty()
    {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(reply)
}

pub fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"))
}

/// One whole scrape, on a connection of its own, within Prometheus's time limit.
pub fn scrape(address: SocketAddr) -> Reply {
    let reply = get(address, "/metrics");
    assert_eq!(reply.status, 200);
    assert!(reply.text().ends_with('\n') && reply.text().contains("tcpwatch_http_requests_total"));
    reply
}
