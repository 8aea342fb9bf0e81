//! What is wrong on the way.

use std::{fs, net::TcpStream, os::unix::fs::chown, time::Duration};

use super::{
    super::{
        agreement::PORT,
        postgresql,
        system::{NOBODY, ROOT, System},
    },
    at, await_server, doctor, finds, needs_packages,
};
use crate::harness::{
    let_pass,
    netns::{Netns, two_hosts},
};

/// What a firewall lets pass: what it knows, and what begins with a SYN. It forgets after 10 s.
const RULES: &str = "
table ip firewall {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established accept
        tcp flags & (syn | ack) == syn accept
    }
}";

/// Two hosts and what is between them: `10.9.0.1`, and `10.8.0.1` behind `10.9.0.2`.
fn through_a_firewall() -> (Netns, Netns, Netns) {
    let (here, firewall) = two_hosts();
    let there = Netns::new();
    firewall.run(&format!("ip link add far type veth peer name cable netns {}", there.holder));
    for (netns, address, link) in
        [(&firewall, "10.8.0.2/24", "far"), (&there, "10.8.0.1/24", "cable")]
    {
        netns.run(&format!("ip address add {address} dev {link}"));
        netns.run(&format!("ip link set {link} up"));
    }
    here.run("ip route add default via 10.9.0.2");
    there.run("ip route add default via 10.8.0.2");
    firewall.set("ipv4.ip_forward", "1").unwrap();
    let nft = System::of("nftables");
    fs::write(nft.work().join("rules"), RULES).unwrap();
    firewall.inside(|| nft.run(ROOT, &["nft", "-f", "/work/rules"]));
    firewall.set("netfilter.nf_conntrack_tcp_loose", "0").unwrap();
    firewall.set("netfilter.nf_conntrack_tcp_timeout_established", "10").unwrap();
    (here, firewall, there)
}

/// A pool in front of it, on the client's host.
fn pool() -> System {
    let system = System::of("pgbouncer");
    let text = format!(
        "[databases]\npostgres = host=10.8.0.1 port={PORT} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = 6432\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
         server_round_robin = 1\n"
    );
    fs::write(system.work().join("pool.ini"), text).unwrap();
    chown(system.work(), Some(65534), Some(65534)).unwrap();
    system
}

#[test]
fn a_pool_whose_connections_a_firewall_has_forgotten_is_named() {
    needs_packages!();
    let (here, _firewall, there) = through_a_firewall();
    let (system, words) = postgresql::installed_on("10.8.0.1");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _server = system.start(&there, NOBODY, &words);
    await_server(&here, at("10.8.0.1", PORT));
    let pool = pool();
    let _pool = pool.start(&here, NOBODY, &["pgbouncer", "/work/pool.ini"]);
    let to_pool = at("127.0.0.1", 6432);
    await_server(&here, to_pool);
    let mut clients: Vec<TcpStream> =
        (0..3).map(|_| here.inside(|| TcpStream::connect(to_pool).unwrap())).collect();
    // All at once, so that each takes a connection of its own.
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| postgresql::begin(client, "select pg_sleep(0.5)"));
        }
    });
    let child = doctor(&here, "22");
    let_pass(Duration::from_secs(13));
    for client in &mut clients {
        postgresql::send_query(client, "select 1");
    }
    // The server is alive, and the firewall lets new connections pass.
    let mut new = here.inside(|| TcpStream::connect(at("10.8.0.1", PORT)).unwrap());
    postgresql::ask(&mut new);
    finds(child, "idle_forgotten", &["pgbouncer", "10.8.0.1", "answers on other connections"]);
}
