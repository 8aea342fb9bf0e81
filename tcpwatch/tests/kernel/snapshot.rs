//! The snapshot of existing sockets.

use std::{
    fs,
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tcpwatch_core::event::{Endpoint, KnownKind, KnownSocket, Netns, TcpState, Via};
use tcpwatch_kernel::source::snapshot::{self, FindOwners, Snapshot, SnapshotScope};

fn everything() -> Snapshot {
    snapshot::take(SnapshotScope::Every, FindOwners::Find).unwrap()
}

fn at(address: SocketAddr) -> Endpoint {
    Endpoint { address: address.ip(), port: address.port() }
}

fn own_netns() -> Netns {
    let inode = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    Netns(u32::try_from(inode).unwrap())
}

fn find(snapshot: &Snapshot, local: SocketAddr, remote: Option<SocketAddr>) -> KnownSocket {
    seen(snapshot, local, remote).unwrap_or_else(|| panic!("{local} is not in the snapshot"))
}

/// The same, for a socket that may be missed: one that becomes a mini-socket during a dump can be in neither part of
/// it.
fn seen(snapshot: &Snapshot, local: SocketAddr, remote: Option<SocketAddr>) -> Option<KnownSocket> {
    let mut found = snapshot.sockets.iter().filter(|known| {
        known.netns == own_netns()
            && known.ends.local == at(local)
            && remote.is_none_or(|remote| known.ends.remote == at(remote))
    });
    let first = found.next().copied();
    assert_eq!(found.next(), None, "{local} is there once");
    first
}

/// A connection over `address`: client, server.
fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// The socket once it is in `state`; acknowledgments may be delayed.
fn wait_for(state: TcpState, local: SocketAddr, remote: SocketAddr) -> KnownSocket {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let known = seen(&everything(), local, Some(remote));
        if let Some(known) = known.filter(|known| known.state == state) {
            return known;
        }
        assert!(Instant::now() < deadline, "never in {state}: {known:?}");
    }
}

#[test]
fn a_listener_and_both_ends_of_a_connection_are_found_with_state_and_owner() {
    needs_root!();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let listening = listener.local_addr().unwrap();
        let snapshot = everything();
        let known = find(&snapshot, listening, None);
        assert_eq!((known.state, known.kind), (TcpState::Listen, KnownKind::Full));

        let (client, server) = pair(&listener);
        let snapshot = everything();
        for end in [&client, &server] {
            let (local, remote) = (end.local_addr().unwrap(), end.peer_addr().unwrap());
            let known = find(&snapshot, local, Some(remote));
            assert_eq!((known.state, known.kind), (TcpState::Established, KnownKind::Full));
            assert_eq!(known.timer_left, None);
            assert!(known.seen >= snapshot.started, "{known:?}");
            let owner = known.owner.expect("this process holds it");
            assert_eq!((owner.pid, owner.via), (Some(std::process::id()), Via::Fd));
            let comm = fs::read_to_string("/proc/self/comm").unwrap();
            assert_eq!(owner.comm.to_string(), comm.trim_end());
        }
    }
}

#[test]
fn an_ipv4_peer_of_an_ipv6_listener_is_told_as_ipv4() {
    needs_root!();
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (server, _) = listener.accept().unwrap();
    let known =
        find(&everything(), client.peer_addr().unwrap(), Some(client.local_addr().unwrap()));
    assert!(server.local_addr().unwrap().is_ipv6(), "the application sees IPv6");
    assert_eq!(known.state, TcpState::Established);
}

#[test]
fn a_connection_that_nobody_accepted_has_no_owner() {
    needs_root!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (local, remote) = (client.peer_addr().unwrap(), client.local_addr().unwrap());
    let known = find(&everything(), local, Some(remote));
    assert_eq!((known.state, known.inode, known.owner), (TcpState::Established, 0, None));
}

#[test]
fn a_time_wait_socket_is_found_with_the_time_it_has_left() {
    needs_root!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, mut server) = pair(&listener);
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let full = find(&everything(), local, Some(remote));
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0, "the client's FIN");
    drop(server);

    let known = wait_for(TcpState::TimeWait, local, remote);
    assert_eq!((known.kind, known.owner), (KnownKind::TimeWait, None));
    assert_eq!(known.socket, full.socket, "the cookie lives on");
    let left = known.timer_left.expect("a mini-socket has a timer");
    let (least, most) = (Duration::from_secs(55), Duration::from_secs(62));
    assert!(left > least && left <= most, "{left:?}");
}

#[test]
fn an_orphan_in_fin_wait_2_is_found_with_the_time_it_has_left() {
    needs_root!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, mut server) = pair(&listener);
    let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0, "the client's FIN");
    let known = wait_for(TcpState::FinWait2, local, remote);
    assert_eq!((known.kind, known.owner), (KnownKind::TimeWait, None));
    assert!(known.timer_left.is_some_and(|left| left <= Duration::from_secs(62)), "{known:?}");
    assert_eq!(find(&everything(), remote, Some(local)).state, TcpState::CloseWait);
}

/// Calls `test` while a thread of this process listens in a namespace of its own.
fn beside_another_namespace(test: impl FnOnce(Netns, u16)) {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        #[expect(deprecated, reason = "CLONE_NEWNET does not touch the file table")]
        rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        tell.send((own_netns(), listener.local_addr().unwrap().port())).unwrap();
        stopped.recv().unwrap_err();
    });
    let (netns, port) = told.recv().unwrap();
    test(netns, port);
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn a_socket_in_the_namespace_of_a_single_thread_is_found() {
    needs_root!();
    beside_another_namespace(|netns, port| {
        let before = own_netns();
        assert_ne!(netns, before);
        for scope in [SnapshotScope::Every, SnapshotScope::Only(netns)] {
            let snapshot = snapshot::take(scope, FindOwners::Find).unwrap();
            let listening =
                |known: &&KnownSocket| known.netns == netns && known.ends.local.port == port;
            let known = snapshot.sockets.iter().find(listening).expect("the listener");
            assert_eq!(known.state, TcpState::Listen);
            assert_eq!(known.owner.and_then(|owner| owner.pid), Some(std::process::id()));
            assert!(snapshot.namespaces.contains(&netns));
            assert_eq!(snapshot.namespaces.contains(&before), scope == SnapshotScope::Every);
        }
        assert_eq!(own_netns(), before, "the caller stays where it is");
        assert_eq!(snapshot::resolve(&netns.0.to_string()).unwrap(), netns);
    });
}

#[test]
fn a_namespace_that_does_not_exist_is_skipped_with_a_reason() {
    needs_root!();
    let snapshot = snapshot::take(SnapshotScope::Only(Netns(1)), FindOwners::Skip).unwrap();
    assert!(snapshot.sockets.is_empty() && snapshot.namespaces.is_empty());
    let [skipped] = &snapshot.skipped[..] else { panic!("{:?}", snapshot.skipped) };
    assert_eq!(
        skipped.to_string(),
        "network namespace 1: no process, thread or mount that can be seen holds it"
    );
}

/// A namespace made by `ip netns`, deleted in the end.
struct Named(String);

impl Named {
    fn new() -> Self {
        let name = format!("snapshot-{}", std::process::id());
        assert!(Command::new("ip").args(["netns", "add", &name]).status().unwrap().success());
        Self(name)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

#[test]
fn a_named_namespace_without_any_process_is_resolved_and_dumped() {
    needs_root!();
    let named = Named::new();
    let netns = snapshot::resolve(&named.0).unwrap();
    assert_eq!(snapshot::resolve(&format!("/run/netns/{}", named.0)).unwrap(), netns);
    assert_eq!(snapshot::resolve(&netns.0.to_string()).unwrap(), netns);
    let snapshot = snapshot::take(SnapshotScope::Only(netns), FindOwners::Skip).unwrap();
    assert_eq!(snapshot.namespaces, [netns], "{:?}", snapshot.skipped);
    let error = snapshot::resolve("no-such-name").unwrap_err().to_string();
    assert!(error.contains(&named.0), "the names that exist are listed: {error}");
}
