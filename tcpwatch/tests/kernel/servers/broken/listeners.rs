//! What is wrong with listeners.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::{
    super::{
        agreement::PORT,
        nginx, redis,
        system::{ROOT, System},
    },
    at, await_server, doctor, finds, needs_packages,
};
use crate::harness::{
    let_pass,
    netns::{Netns, two_hosts},
};

#[test]
fn a_redis_that_is_blocked_does_not_accept() {
    needs_packages!();
    let netns = Netns::new();
    let (system, mut words) = redis::installed();
    words.extend(["--tcp-backlog", "4", "--enable-debug-command", "yes"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _server = system.start(&netns, ROOT, &words);
    await_server(&netns, at("127.0.0.1", PORT));
    let mut blocker = netns.inside(|| TcpStream::connect(at("127.0.0.1", PORT)).unwrap());
    let child = doctor(&netns, "10");
    blocker.write_all(b"DEBUG SLEEP 14\r\n").unwrap();
    let_pass(Duration::from_millis(200));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            netns.inside(|| {
                let to = at("127.0.0.1", PORT);
                TcpStream::connect_timeout(&to, Duration::from_millis(300))
            })
        })
        .collect();
    finds(child, "accept_queue", &["redis-server", "has not called accept()"]);
    drop(clients);
    blocker.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_syn_flood_at_nginx_is_named() {
    needs_packages!();
    let (here, there) = two_hosts();
    here.run("ip route add default via 10.9.0.2");
    let nginx = nginx::on("10.9.0.1:443 backlog=128");
    let _server = nginx.start(&here, ROOT, &nginx::PROGRAM);
    await_server(&there, at("10.9.0.1", 443));
    let child = doctor(&here, "10");
    let flood = System::of("hping3");
    let words = ["hping3", "-q", "-S", "-p", "443", "--rand-source", "-i", "u2000", "-c", "5000"];
    let _flood = flood.start(&there, ROOT, &[&words[..], &["10.9.0.1"]].concat());
    finds(child, "syn_queue_full", &["port 443", "nginx", "SYN cookies"]);
}
