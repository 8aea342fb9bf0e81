//! A port that the kernel has not chosen yet is not that of the socket's former connection. The truth is what
//! `getsockname()` returns.

use std::net::{SocketAddr, TcpListener};

use socket2::Socket;

use super::{changes_of, cookie, disconnect, port, ports_entering};
use crate::harness::{
    netns::Netns,
    sockets::{self, unbound},
    watch::Watch,
};

const OLD: u16 = 45_001;
const NEW: u16 = 45_000;
/// Of both families, at first without a listener.
const SERVERS: [&str; 2] = ["127.0.0.1:7009", "[::1]:7009"];

/// The only port that the kernel can choose.
fn only_port(netns: &Netns, port: u16) {
    netns.set("ipv4.ip_local_port_range", &format!("{port} {port}")).unwrap();
}

/// One socket: its connect from port OLD is refused, the next one, from port NEW, succeeds.
fn refused_then_connected(netns: &Netns, server: SocketAddr) -> u64 {
    only_port(netns, OLD);
    let socket = netns.inside(|| unbound(server));
    let refused = socket.connect(&server.into()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED), "{refused}");
    only_port(netns, NEW);
    let listener = netns.inside(|| TcpListener::bind(server).unwrap());
    socket.connect(&server.into()).unwrap();
    assert_eq!(port(&socket), NEW);
    let cookie = cookie(&socket);
    sockets::close_first(socket.into(), listener.accept().unwrap().0);
    cookie
}

fn wait_for_time_wait(watch: &Watch, cookie: u64) {
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT" && line.socket == Some(cookie));
}

#[test]
fn a_socket_that_was_refused_and_connects_again_never_shows_its_old_port() {
    needs_root!();
    for server in SERVERS {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let cookie = refused_then_connected(&netns, server.parse().unwrap());
        wait_for_time_wait(&watch, cookie);
        assert_eq!(ports_entering(&watch.stop(), cookie, "SYN_SENT"), [OLD, NEW], "{server}");
    }
}

#[test]
fn a_socket_that_is_disconnected_and_connects_again_never_shows_its_old_port() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    only_port(&netns, OLD);
    let (listener, socket) = netns.inside(|| {
        let listener = TcpListener::bind(SERVERS[0]).unwrap();
        let socket = unbound(listener.local_addr().unwrap());
        (listener, socket)
    });
    let server = listener.local_addr().unwrap();
    socket.connect(&server.into()).unwrap();
    assert_eq!(port(&socket), OLD);
    disconnect(&socket);
    only_port(&netns, NEW);
    socket.connect(&server.into()).unwrap();
    assert_eq!(port(&socket), NEW);
    let cookie = cookie(&socket);
    drop(listener.accept().unwrap());
    sockets::close_first(socket.into(), listener.accept().unwrap().0);
    wait_for_time_wait(&watch, cookie);
    assert_eq!(ports_entering(&watch.stop(), cookie, "SYN_SENT"), [OLD, NEW]);
}

#[test]
fn a_connect_that_waits_has_no_port_before_the_kernel_says_it_and_then_its_own() {
    needs_root!();
    let netns = Netns::new();
    let server: SocketAddr = SERVERS[0].parse().unwrap();
    only_port(&netns, OLD);
    let watch = Watch::on(&netns);
    let socket = netns.inside(|| unbound(server));
    drop(socket.connect(&server.into()).unwrap_err());
    only_port(&netns, NEW);
    let listener = netns.inside(|| TcpListener::bind(server).unwrap());
    sockets::lose_all(&socket);
    let socket = sockets::start_connect(socket, server);
    let (cookie, chosen) = (cookie(&socket), port(&socket));
    assert_eq!(chosen, NEW);
    watch.wait_count(1, "the SYN, again", |line| {
        line.event == "retransmit" && line.socket == Some(cookie) && line.has_port(NEW)
    });
    drop((socket, listener));
    watch.wait_count(2, "both ends", |line| line.to == "CLOSED" && line.socket == Some(cookie));
    let log = watch.stop();
    let ports = ports_entering(&log, cookie, "SYN_SENT");
    assert!(ports == [OLD, 0] || ports == [OLD, NEW], "{ports:?}");
    assert_eq!(ports_entering(&log, cookie, "CLOSED"), [OLD, NEW]);
}

#[test]
fn a_connect_that_finds_no_free_port_does_not_show_the_sockets_old_one() {
    needs_root!();
    let netns = Netns::new();
    let server: SocketAddr = SERVERS[0].parse().unwrap();
    let watch = Watch::on(&netns);
    only_port(&netns, OLD);
    let socket = netns.inside(|| unbound(server));
    drop(socket.connect(&server.into()).unwrap_err());
    only_port(&netns, NEW);
    let listener = netns.inside(|| TcpListener::bind(server).unwrap());
    let other = netns.inside(|| sockets::Pair::over(&listener));
    let failed = socket.connect(&server.into()).unwrap_err();
    assert_eq!(failed.raw_os_error(), Some(libc::EADDRNOTAVAIL), "{failed}");
    let cookie = cookie(&socket);
    watch.wait_count(2, "both ends", |line| line.to == "CLOSED" && line.socket == Some(cookie));
    let log = watch.stop();
    assert_eq!(ports_entering(&log, cookie, "SYN_SENT"), [OLD, 0]);
    assert_eq!(ports_entering(&log, cookie, "CLOSED"), [OLD, 0]);
    let reason = changes_of(&log, cookie).last().unwrap().reason.clone();
    assert_eq!(reason.as_deref(), Some("no_port"));
    drop(other);
}

#[test]
fn a_filter_on_the_local_port_follows_the_whole_connection_of_a_socket_that_is_used_again() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--local-port", &NEW.to_string()]);
    let cookie = refused_then_connected(&netns, SERVERS[0].parse().unwrap());
    wait_for_time_wait(&watch, cookie);
    let log = watch.stop();
    let changes = changes_of(&log, cookie);
    let to: Vec<&str> = changes.iter().map(|line| line.to.as_str()).collect();
    assert_eq!(to, ["SYN_SENT", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT"]);
    for line in changes {
        assert_eq!(line.local.unwrap().port, NEW, "{line}");
        assert_eq!(
            line.process.as_ref().map(|owner| owner.pid),
            Some(std::process::id()),
            "{line}"
        );
        assert_eq!(line.direction.as_deref(), Some("outgoing"), "{line}");
    }
}

#[test]
fn a_filter_on_the_local_port_does_not_take_a_socket_for_what_it_was_before() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--local-port", &OLD.to_string()]);
    let all = Watch::on(&netns);
    let cookie = refused_then_connected(&netns, SERVERS[0].parse().unwrap());
    wait_for_time_wait(&all, cookie);
    let log = watch.stop();
    let changes = log.lines.iter().filter(|line| line.is_state());
    let to: Vec<&str> = changes.map(|line| line.to.as_str()).collect();
    assert_eq!((to, log.summary.open), (vec!["SYN_SENT", "CLOSED"], 0));
}

/// A socket that listens without `bind()`, and its port.
fn listen_anywhere(netns: &Netns) -> (Socket, u16) {
    let socket = netns.inside(|| unbound("127.0.0.1:0".parse().unwrap()));
    socket.listen(3).unwrap();
    let port = port(&socket);
    (socket, port)
}

#[test]
fn a_listener_without_bind_has_the_port_that_the_kernel_chose_each_time() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (socket, first) = listen_anywhere(&netns);
    let cookie = cookie(&socket);
    let listens = |line: &crate::harness::line::Line| line.is("CLOSED>LISTEN");
    watch.wait_count(1, "LISTEN", listens);
    disconnect(&socket);
    socket.listen(3).unwrap();
    let second = port(&socket);
    watch.wait_count(2, "LISTEN again", listens);
    drop(socket);
    watch.wait_count(2, "the end", |line| line.is("LISTEN>CLOSED"));
    let log = watch.stop();
    assert_eq!(ports_entering(&log, cookie, "LISTEN"), [first, second]);
    assert_eq!(ports_entering(&log, cookie, "CLOSED"), [first, second]);
}

#[test]
fn a_filter_on_ports_knows_the_port_of_a_listener_without_bind() {
    needs_root!();
    let netns = Netns::new();
    only_port(&netns, NEW);
    let [local, any, other] = [("--local-port", NEW), ("--port", NEW), ("--local-port", OLD)]
        .map(|(option, port)| Watch::with(&netns, &[option, &port.to_string()]));
    let (socket, chosen) = listen_anywhere(&netns);
    assert_eq!(chosen, NEW);
    for watch in [&local, &any] {
        watch.wait_count(1, "LISTEN", |line| line.is("CLOSED>LISTEN"));
    }
    drop(socket);
    for watch in [local, any] {
        watch.wait_count(1, "the end", |line| line.is("LISTEN>CLOSED"));
        let log = watch.stop();
        let told: Vec<_> =
            log.lines.iter().map(|line| (line.change(), line.local.unwrap().port)).collect();
        assert_eq!(told, [("CLOSED>LISTEN".to_owned(), NEW), ("LISTEN>CLOSED".to_owned(), NEW)]);
    }
    let log = other.stop();
    assert!(log.lines.is_empty(), "{:?}", log.lines);
}
