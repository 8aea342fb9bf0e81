//! Listeners that several processes share, or that one has handed to another.

use std::{
    env,
    io::Read as _,
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{self, Command, Stdio},
};

use crate::harness::{
    connections::connection,
    lives::life,
    netns::Netns,
    peer::{Peer, listen},
    sockets::V4,
    watch::Watch,
};

const SERVE: &str = "TCPWATCH_SERVE";
const SERVICE: &str = "owners::listeners::a_service_accepts_from_its_standard_input";

#[test]
#[ignore = "runs in the child process of another test"]
fn a_service_accepts_from_its_standard_input() {
    if env::var_os(SERVE).is_none() {
        return;
    }
    let input = rustix::io::dup(rustix::stdio::stdin()).unwrap();
    let (mut stream, _) = TcpListener::from(input).accept().unwrap();
    let mut byte = [0];
    assert_eq!(stream.read(&mut byte).unwrap(), 0, "the client closes");
}

#[test]
fn a_service_that_inherits_its_listener_is_the_owner_of_what_it_accepts_and_closes() {
    needs_root!();
    let netns = Netns::new();
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let listening = listener.local_addr().unwrap();
    let watch = Watch::on(&netns);
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", SERVICE, "--ignored", "--nocapture", "--test-threads=1"])
        .env(SERVE, "1")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null());
    let mut service = command.spawn().unwrap();
    let client = netns.inside(|| TcpStream::connect(listening).unwrap());
    let connected = client.local_addr().unwrap();
    drop(client);
    assert!(service.wait().unwrap().success());
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();
    let theirs = life(&log.lines, listening, connected);
    let guess = theirs.entered("ESTABLISHED").process.clone().unwrap();
    assert_eq!((guess.pid, guess.via.as_str()), (process::id(), "listen"), "{theirs}");
    let owner = theirs.entered("LAST_ACK").process.clone().unwrap();
    assert_eq!((owner.pid, owner.via.as_str()), (service.id(), "close"), "{theirs}");
    let whole = connection(&log.lines, (listening, connected)).process.clone().unwrap();
    assert_eq!(whole.pid, service.id());
}

const CONNECTIONS: usize = 12;

#[test]
fn of_listeners_that_share_a_port_the_one_that_the_kernel_chose_names_the_owner() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    // One is a peer's, the other this process's.
    let mut peer = Peer::start(&netns, "a-server");
    let listening = peer.listen("127.0.0.1:0 shared");
    let mine = netns.inside(|| listen(listening, true));
    mine.set_nonblocking(true).unwrap();
    let clients: Vec<_> =
        netns.inside(|| (0..CONNECTIONS).map(|_| TcpStream::connect(listening).unwrap()).collect());
    let accepted: Vec<_> =
        std::iter::from_fn(|| mine.accept().ok()).map(|(_, from)| from).collect();
    watch.wait_count(2 * CONNECTIONS, "all", |line| line.to == "ESTABLISHED");
    let log = watch.stop();
    for client in clients {
        let from = client.local_addr().unwrap();
        let theirs = life(&log.lines, listening, from);
        let expected = if accepted.contains(&from) { process::id() } else { peer.pid() };
        let owner = theirs.entered("ESTABLISHED").process.clone().unwrap();
        assert_eq!((owner.pid, owner.via.as_str()), (expected, "listen"), "{theirs}");
    }
}
