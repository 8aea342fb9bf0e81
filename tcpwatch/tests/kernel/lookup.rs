//! Queries of single sockets by `sock_diag`: namespaces, mini-sockets, sockets bound to an interface.

use std::{
    fs,
    io::Read,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{UnshareFlags, gettid};
use tcpwatch_core::event::{Endpoint, Endpoints, KnownKind, KnownSocket, Netns, TcpState};
use tcpwatch_kernel::source::snapshot::{Lookup, LookupAnswer, SocketQuestion};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const DEADLINE: Duration = Duration::from_secs(10);

/// A network namespace that only one thread holds.
struct Inside {
    netns: Netns,
    path: String,
    work: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    thread: thread::JoinHandle<()>,
}

impl Inside {
    #[expect(deprecated, reason = "the safe call is named `unshare`, the new one is unsafe")]
    fn new() -> Self {
        let (work, todo) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
            let inode = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
            let path = format!("/proc/{}/ns/net", gettid());
            tell.send((Netns(inode.try_into().unwrap()), path)).unwrap();
            for job in todo {
                job();
            }
        });
        let (netns, path) = told.recv().unwrap();
        let inside = Self { netns, path, work, thread };
        inside.run(|| ip("link set lo up"));
        inside
    }

    fn start(&self, job: impl FnOnce() + Send + 'static) {
        self.work.send(Box::new(job)).unwrap();
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        self.start(move || drop(tell.send(job())));
        told.recv().unwrap()
    }

    fn end(self) -> Netns {
        drop(self.work);
        self.thread.join().unwrap();
        self.netns
    }
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success());
}

fn end(at: SocketAddr) -> Endpoint {
    Endpoint { address: at.ip().to_canonical(), port: at.port() }
}

fn ends(stream: &TcpStream) -> Endpoints {
    let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    Endpoints { local: end(local), remote: end(remote) }
}

fn own() -> Netns {
    Netns(fs::metadata("/proc/thread-self/ns/net").unwrap().ino().try_into().unwrap())
}

fn pair() -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap().0;
    (listener, client, server)
}

fn ask(lookup: &mut Lookup, netns: Netns, ends: Endpoints) -> LookupAnswer {
    let mut last = None;
    lookup.ask(&[SocketQuestion { netns, ends }], |_, answer| last = Some(answer));
    last.unwrap()
}

fn found(answer: LookupAnswer) -> KnownSocket {
    let LookupAnswer::Is(known) = answer else { panic!("{answer:?}") };
    known
}

/// Queries in the own namespace until the socket is as `wanted`.
fn until(
    lookup: &mut Lookup,
    ends: Endpoints,
    wanted: impl Fn(&KnownSocket) -> bool,
) -> KnownSocket {
    let start = Instant::now();
    loop {
        let known = found(ask(lookup, own(), ends));
        if wanted(&known) {
            return known;
        }
        assert!(start.elapsed() < DEADLINE, "still {known:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Queries until the answer is `wanted`.
fn until_it_is(wanted: LookupAnswer, lookup: &mut Lookup, netns: Netns, ends: Endpoints) {
    let start = Instant::now();
    while ask(lookup, netns, ends) != wanted {
        assert!(start.elapsed() < DEADLINE, "never {wanted:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Claim: a close without the peer's FIN leaves a mini-socket in FIN_WAIT_2 or a full orphan; the
/// peer's FIN makes it TIME_WAIT under the same cookie.
#[test]
fn an_orphan_goes_from_fin_wait_2_to_time_wait_under_one_cookie() {
    needs_root!();
    let (_listener, client, mut server) = pair();
    let asked = ends(&client);
    let mut lookup = Lookup::new().unwrap();
    let cookie = found(ask(&mut lookup, own(), asked)).socket;
    drop(client);
    server.read_to_end(&mut Vec::new()).unwrap();
    let known = until(&mut lookup, asked, |known| known.state == TcpState::FinWait2);
    assert_eq!((known.socket, known.inode), (cookie, 0));
    assert!(known.timer_left.is_none_or(|left| left <= Duration::from_secs(61)));
    drop(server);
    let known = until(&mut lookup, asked, |known| known.state == TcpState::TimeWait);
    assert_eq!((known.socket, known.kind), (cookie, KnownKind::TimeWait));
    assert!(known.timer_left.unwrap() > Duration::from_secs(50));
}

#[test]
fn a_closed_connection_is_gone_also_where_a_listener_would_match() {
    needs_root!();
    let (_listener, client, mut server) = pair();
    let (client_ends, server_ends) = (ends(&client), ends(&server));
    let mut lookup = Lookup::new().unwrap();
    drop(client);
    server.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(found(ask(&mut lookup, own(), server_ends)).state, TcpState::CloseWait);
    drop(server);
    until_it_is(LookupAnswer::Gone, &mut lookup, own(), server_ends);
    assert_eq!(found(ask(&mut lookup, own(), client_ends)).state, TcpState::TimeWait);
}

/// Claim: a half-open connection is found while its SYN+ACK is lost (the server has a wrong hardware address for the
/// client).
#[test]
fn a_request_is_found() {
    needs_root!();
    let (left, right) = (Inside::new(), Inside::new());
    let there = right.path.clone();
    left.run(move || {
        ip(&format!("link add left type veth peer name right netns {there}"));
        ip("addr add 192.0.2.1/24 dev left");
        ip("link set left up");
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "4000 4001").unwrap();
    });
    let listener = right.run(|| {
        ip("addr add 192.0.2.2/24 dev right");
        ip("link set right up");
        ip("neigh add 192.0.2.1 lladdr 02:00:00:00:00:99 dev right");
        TcpListener::bind((SERVER, 80)).unwrap()
    });
    left.start(|| {
        let server = SocketAddr::from((SERVER, 80));
        TcpStream::connect_timeout(&server, Duration::from_secs(3)).unwrap_err();
    });
    let local = Endpoint { address: SERVER.into(), port: 80 };
    let remote = |port| Endpoint { address: CLIENT.into(), port };
    let questions = [4000, 4001].map(|port| SocketQuestion {
        netns: right.netns,
        ends: Endpoints { local, remote: remote(port) },
    });
    let mut lookup = Lookup::new().unwrap();
    let start = Instant::now();
    let mut request = None;
    while request.is_none() {
        assert!(start.elapsed() < DEADLINE, "no request");
        lookup.ask(&questions, |_, answer| {
            if let LookupAnswer::Is(known) = answer {
                request = Some(known);
            }
        });
    }
    let known = request.unwrap();
    assert_eq!((known.state, known.kind), (TcpState::SynRecv, KnownKind::Request));
    assert_eq!(known.timer_left, None);
    drop(listener);
}

#[test]
fn a_namespace_is_entered_while_it_lives_and_unknown_after() {
    needs_root!();
    let inside = Inside::new();
    let (listener, client, server) = inside.run(pair);
    let asked = [ends(&client), ends(&server)];
    let mut lookup = Lookup::new().unwrap();
    let before = own();
    for ends in asked {
        let known = found(ask(&mut lookup, inside.netns, ends));
        assert_eq!((known.netns, known.state), (inside.netns, TcpState::Established));
        assert_eq!(ask(&mut lookup, before, ends), LookupAnswer::Gone, "it lives elsewhere");
    }
    assert_eq!(own(), before, "the caller stays");
    drop((listener, client, server));
    let netns = inside.end();
    until_it_is(LookupAnswer::Unknown, &mut lookup, netns, asked[0]);
}

/// Claim: a query without an interface does not find these; tcpwatch does.
#[test]
fn sockets_bound_to_an_interface_are_found() {
    needs_root!();
    let inside = Inside::new();
    let (_listener, client, server) = inside.run(|| {
        ip("link add left type veth peer name right");
        ip("link set left up");
        ip("link set right up");
        ip("-6 addr add fe80::1/64 dev left nodad");
        let index = fs::read_to_string("/proc/thread-self/net/igmp")
            .unwrap()
            .lines()
            .find(|line| line.contains("left"))
            .and_then(|line| line.split('\t').next()?.parse::<u32>().ok())
            .unwrap();
        let address: Ipv6Addr = "fe80::1".parse().unwrap();
        let scoped = |port| SocketAddrV6::new(address, port, 0, index);
        let listener = TcpListener::bind(scoped(0)).unwrap();
        let client = TcpStream::connect(scoped(listener.local_addr().unwrap().port())).unwrap();
        let server = listener.accept().unwrap().0;
        (listener, client, server)
    });
    let mut lookup = Lookup::new().unwrap();
    for stream in [&client, &server] {
        assert_eq!(
            found(ask(&mut lookup, inside.netns, ends(stream))).state,
            TcpState::Established
        );
    }
    let mut other = ends(&client);
    other.local.port = 1;
    assert_eq!(ask(&mut lookup, inside.netns, other), LookupAnswer::Gone);
}
