//! What is wrong between a proxy and what is behind it.

use std::{fs, io::Write as _, net::TcpStream, time::Duration};

use super::{
    super::{
        agreement::PORT,
        http, nginx, redis,
        system::{NOBODY, ROOT, System},
    },
    at, await_server, doctor, finds, needs_packages,
};
use crate::harness::{
    let_pass,
    netns::{Netns, two_hosts},
};

/// It reads, and never closes.
const LEAK: &str = "require('net').createServer({ allowHalfOpen: true }, s => s.resume()).listen(9000, '127.0.0.1');";

#[test]
fn a_backend_that_leaks_behind_nginx_is_named() {
    needs_packages!();
    let netns = Netns::new();
    let node = System::of("nodejs");
    fs::write(node.work().join("leak.js"), LEAK).unwrap();
    let _backend = node.start(&netns, NOBODY, &["node", "/work/leak.js"]);
    await_server(&netns, at("127.0.0.1", 9000));
    let nginx = nginx::proxy_to("127.0.0.1:9000");
    let _proxy = nginx.start(&netns, ROOT, &nginx::PROGRAM);
    await_server(&netns, at("127.0.0.1", PORT));
    let child = doctor(&netns, "25");
    for _ in 0..14 {
        let mut client = netns.inside(|| TcpStream::connect(at("127.0.0.1", PORT)).unwrap());
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        http::read_to_end(client);
    }
    finds(child, "close_wait_leak", &["port 9000", "node", "does not call close()"]);
}

/// A haproxy for TCP with these settings, from a port to a server.
fn haproxy(bind: &str, server: &str, settings: &str) -> System {
    let system = System::of("haproxy");
    let text = format!(
        "global\n maxconn 1000\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n \
         retries 0\n{settings}listen proxy\n bind {bind}\n server one {server}\n"
    );
    fs::write(system.work().join("haproxy.cfg"), text).unwrap();
    system
}

const HAPROXY: [&str; 4] = ["haproxy", "-db", "-f", "/work/haproxy.cfg"];

#[test]
fn a_proxy_with_too_few_ports_is_named() {
    needs_packages!();
    let (here, there) = two_hosts();
    here.set("ipv4.ip_local_port_range", "40000 40099").unwrap();
    let (system, mut words) = redis::installed();
    words.extend(["--bind", "10.9.0.2", "--protected-mode", "no"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _server = system.start(&there, ROOT, &words);
    await_server(&here, at("10.9.0.2", PORT));
    let proxy = haproxy("10.9.0.1:8000", &format!("10.9.0.2:{PORT}"), "");
    let _proxy = proxy.start(&here, ROOT, &HAPROXY);
    await_server(&there, at("10.9.0.1", 8000));
    let child = doctor(&here, "10");
    let clients: Vec<_> = (0..130)
        .map(|_| there.inside(|| TcpStream::connect(at("10.9.0.1", 8000)).unwrap()))
        .collect();
    finds(child, "ports_run_out", &["haproxy", "found no local port", "100 of 100 in use"]);
    drop(clients);
}

#[test]
fn a_proxy_that_closes_with_linger_0_is_named() {
    needs_packages!();
    let netns = Netns::new();
    let nginx = nginx::installed();
    let _server = nginx.start(&netns, ROOT, &nginx::PROGRAM);
    await_server(&netns, at("127.0.0.1", PORT));
    let proxy = haproxy("127.0.0.1:9000", &format!("127.0.0.1:{PORT}"), " option nolinger\n");
    let _proxy = proxy.start(&netns, ROOT, &HAPROXY);
    await_server(&netns, at("127.0.0.1", 9000));
    let child = doctor(&netns, "10");
    for _ in 0..40 {
        let mut client = netns.inside(|| TcpStream::connect(at("127.0.0.1", 9000)).unwrap());
        http::ask(&mut client);
        drop(client);
        let_pass(Duration::from_millis(50));
    }
    finds(child, "reset_linger_0", &["haproxy", "SO_LINGER 0"]);
}
