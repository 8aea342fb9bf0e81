//! Full queues of listeners, on the lines of the connections that meet them.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::harness::{
    connections::{await_connection, connection, retries},
    line::{Line, Queues},
    lives::{life, transcript},
    netns::Netns,
    options, side_by_side,
    sockets::{self, V4, V6, lose_acks, lose_nothing},
    watch::{Log, Watch},
};

const SOON: Duration = Duration::from_secs(20);

/// Bound to every address of the family; two connections fit into its queue.
fn listener(netns: &Netns, address: &str, backlog: i32) -> TcpListener {
    let address: SocketAddr = address.parse().unwrap();
    let everywhere: SocketAddr =
        if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    netns.inside(|| {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&everywhere.into()).unwrap();
        socket.listen(backlog).unwrap();
        socket.into()
    })
}

/// Where the listener is reached by this address.
fn reached(listener: &TcpListener, address: &str) -> SocketAddr {
    let address: SocketAddr = address.parse().unwrap();
    (address.ip(), listener.local_addr().unwrap().port()).into()
}

fn connect(netns: &Netns, to: SocketAddr) -> TcpStream {
    netns.inside(|| TcpStream::connect(to).unwrap())
}

/// Says which listener it was: the one whose LISTEN line is in the log.
fn is_of(queues: Queues, log: &Log, listener: &TcpListener) {
    let bound = listener.local_addr().unwrap();
    assert_eq!((queues.addr, queues.port), (bound.ip(), bound.port()), "{queues:?}");
    let listens = log.lines.iter().find(|line| line.is("CLOSED>LISTEN")).unwrap();
    assert_eq!(queues.socket, listens.socket, "{queues:?}");
}

/// A client whose last ACK comes when two wait already that nobody accepts.
struct Late {
    client: TcpStream,
    ends: (SocketAddr, SocketAddr),
    _waiting: [TcpStream; 2],
}

impl Late {
    fn to(netns: &Netns, listener: &TcpListener, address: &str) -> Self {
        let to = reached(listener, address);
        lose_acks(listener);
        let mut client = connect(netns, to);
        let ends = (to, client.local_addr().unwrap());
        lose_nothing(listener);
        let waiting = [connect(netns, to), connect(netns, to)];
        client.write_all(b"the ACK comes with this").unwrap();
        Self { client, ends, _waiting: waiting }
    }
}

#[test]
fn a_connection_that_meets_a_full_queue_says_so_on_its_own_lines() {
    needs_root!();
    side_by_side(&[
        ("ack", || an_ack_that_finds_the_accept_queue_full(V4)),
        ("ack_v6", || an_ack_that_finds_the_accept_queue_full(V6)),
        ("abort", || a_reset_because_the_accept_queue_is_full(V4)),
        ("abort_v6", || a_reset_because_the_accept_queue_is_full(V6)),
        ("syn", || a_syn_that_was_dropped_shows_on_the_next(V4)),
        ("syn_v6", || a_syn_that_was_dropped_shows_on_the_next(V6)),
        ("syn_queue", a_syn_queue_that_is_full_without_cookies),
        ("cookies", a_syn_queue_that_is_full_with_cookies),
        ("deferred", an_ack_that_is_deferred_meets_nothing),
        ("room", a_queue_with_room_says_nothing),
    ]);
}

fn an_ack_that_finds_the_accept_queue_full(address: &str) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let listener = listener(&netns, address, 1);
    let late = Late::to(&netns, &listener, address);
    let ends = late.ends;
    watch.wait_for("a SYN+ACK again", |lines| {
        lines.iter().find(|line| line.kind.as_deref() == Some("syn_ack")).map(drop)
    });
    let _accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
    let (accepted, _) = listener.accept().unwrap();
    drop(late.client);
    sockets::reset(accepted);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();

    let told = retries(&log.lines, "syn_ack", ends);
    let queues = told[0].listener.unwrap();
    is_of(queues, &log, &listener);
    assert!(queues.accept_queue_full && told[0].ack_dropped, "{}", told[0]);
    assert_eq!((queues.accept_queue, queues.accept_queue_max, queues.syn_queue), (2, 1, 1));
    assert!(queues.dropped > 0, "the ACK: {queues:?}");
    let established = entered(&log.lines, "ESTABLISHED", ends);
    assert!(established.ack_dropped, "{established}");
    let whole = connection(&log.lines, ends);
    assert!(whole.ack_dropped, "{whole}");
    assert_eq!(whole.listener, Some(queues), "the fullest: {whole}");

    // The one that filled the queue, and the first, which found it empty.
    let mut filled = log.lines.iter().filter(|line| line.is("SYN_RECV>ESTABLISHED"));
    let (first, second) = (filled.next().unwrap(), filled.next().unwrap());
    assert_eq!((first.listener, first.ack_dropped), (None, false), "{first}");
    let last_place = second.listener.unwrap();
    assert!(last_place.last_place && !last_place.accept_queue_full, "{last_place:?}");
    assert_eq!((last_place.accept_queue, last_place.accept_queue_max), (1, 1));
}

/// The line on which the socket enters this state.
fn entered<'l>(
    lines: &'l [Line],
    state: &str,
    (local, remote): (SocketAddr, SocketAddr),
) -> &'l Line {
    let mut found = lines.iter().filter(|line| line.is_state() && line.to == state);
    found.find(|line| line.joins(local, remote)).unwrap_or_else(|| panic!("{}", transcript(lines)))
}

fn a_reset_because_the_accept_queue_is_full(address: &str) {
    let netns = Netns::with(&[("ipv4.tcp_abort_on_overflow", "1")]);
    let watch = Watch::on(&netns);
    let listener = listener(&netns, address, 1);
    let late = Late::to(&netns, &listener, address);
    await_connection(&watch, SOON, late.ends);
    let log = watch.stop();
    let end = life(&log.lines, late.ends.0, late.ends.1).entered("CLOSED").clone();
    assert_eq!(end.reason.as_deref(), Some("reset_sent"), "{end}");
    let queues = end.listener.unwrap();
    is_of(queues, &log, &listener);
    assert!(queues.accept_queue_full, "{queues:?}");
    assert_eq!((queues.accept_queue, queues.accept_queue_max), (2, 1));
    assert_eq!(connection(&log.lines, late.ends).listener, Some(queues));
}

/// No half-open connection is made of it: the line of the next SYN that comes through has the number.
fn a_syn_that_was_dropped_shows_on_the_next(address: &str) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let listener = listener(&netns, address, 1);
    let to = reached(&listener, address);
    let _waiting = [connect(&netns, to), connect(&netns, to)];
    let third = netns.inside(|| sockets::start_connect(sockets::unbound(to), to));
    let _accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
    watch.wait_count(3, "the third", |line| line.is("SYN_RECV>ESTABLISHED"));
    let client = third.local_addr().unwrap().as_socket().unwrap();
    let log = watch.stop();
    let line = entered(&log.lines, "SYN_RECV", (to, client));
    let again = retries(&log.lines, "syn", (client, to)).len();
    // One more may have been dropped before accept() made room.
    assert!(
        (1..=again).contains(&usize::try_from(line.listener_dropped.unwrap()).unwrap()),
        "{line}"
    );
    let within = line.listener_dropped_within_s.unwrap();
    assert!((0.9..SOON.as_secs_f64()).contains(&within), "{line}");
    assert_eq!((line.listener, line.ack_dropped), (None, false), "{line}");
    // Nothing was dropped before, and it is said once.
    let drops = log.lines.iter().filter(|line| line.listener_dropped.is_some()).count();
    assert_eq!(drops, 1, "{}", transcript(&log.lines));
}

/// Clients whose last ACKs are lost, as many as are let in, and one more.
fn fill_syn_queue(netns: &Netns, listener: &TcpListener) -> (Vec<TcpStream>, Socket) {
    let to = reached(listener, V4);
    lose_acks(listener);
    let half_open = (0..3).map(|_| connect(netns, to)).collect();
    (half_open, netns.inside(|| sockets::start_connect(sockets::unbound(to), to)))
}

fn a_syn_queue_that_is_full_without_cookies() {
    let netns = Netns::with(&[("ipv4.tcp_syncookies", "0")]);
    let watch = Watch::on(&netns);
    let listener = listener(&netns, V4, 2);
    let (half_open, _dropped) = fill_syn_queue(&netns, &listener);
    let ends = (half_open[0].peer_addr().unwrap(), half_open[0].local_addr().unwrap());
    watch.wait_for("a SYN+ACK again", |lines| {
        lines.iter().find(|line| line.kind.as_deref() == Some("syn_ack")).map(drop)
    });
    let log = watch.stop();
    let line = retries(&log.lines, "syn_ack", ends)[0];
    let queues = line.listener.unwrap();
    is_of(queues, &log, &listener);
    assert!((2..=3).contains(&queues.syn_queue) && queues.accept_queue == 0, "{queues:?}");
    assert_eq!((queues.accept_queue_max, queues.accept_queue_full), (2, false), "{queues:?}");
    assert!(!line.ack_dropped, "it never came to TCP: {line}");
}

/// The one that finds it full has a cookie, and no listener's line: no request socket was there.
fn a_syn_queue_that_is_full_with_cookies() {
    let netns = Netns::with(&[("ipv4.tcp_syncookies", "1")]);
    let watch = Watch::on(&netns);
    let listener = listener(&netns, V4, 2);
    let (_half_open, with_cookie) = fill_syn_queue(&netns, &listener);
    let mut with_cookie: TcpStream = with_cookie.into();
    lose_nothing(&listener);
    with_cookie.set_nonblocking(false).unwrap();
    with_cookie.write_all(b"the cookie comes back with this").unwrap();
    watch.wait_count(1, "a cookie", |line| line.handshake.as_deref() == Some("syn_cookie"));
    let log = watch.stop();
    let ends = (with_cookie.peer_addr().unwrap(), with_cookie.local_addr().unwrap());
    let line = entered(&log.lines, "ESTABLISHED", ends);
    assert_eq!(line.handshake.as_deref(), Some("syn_cookie"), "{line}");
    assert_eq!((line.listener, line.ack_dropped), (None, false), "{line}");
}

/// The kernel marks a half-open connection whose ACK it defers in the same way.
fn an_ack_that_is_deferred_meets_nothing() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let listener = listener(&netns, V4, 16);
    options::set(&listener, libc::TCP_DEFER_ACCEPT, 1);
    let client = connect(&netns, reached(&listener, V4));
    let ends = (client.peer_addr().unwrap(), client.local_addr().unwrap());
    watch.wait_within(SOON, "a SYN+ACK again, or the end of its wait", |lines| {
        lines.iter().find(|line| line.event == "retransmit" || line.to == "ESTABLISHED").map(drop)
    });
    watch.wait_within(SOON, "ESTABLISHED", |lines| {
        lines.iter().find(|line| line.to == "ESTABLISHED" && line.joins(ends.0, ends.1)).map(drop)
    });
    let log = watch.stop();
    assert!(!log.lines.iter().any(|line| line.ack_dropped || line.listener.is_some()));
}

fn a_queue_with_room_says_nothing() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let listener = listener(&netns, V4, 16);
    let _clients: Vec<_> = (0..16).map(|_| connect(&netns, reached(&listener, V4))).collect();
    watch.wait_count(16, "all of them", |line| line.is("SYN_RECV>ESTABLISHED"));
    let log = watch.stop();
    let said = |line: &Line| {
        line.listener.is_some() || line.ack_dropped || line.listener_dropped.is_some()
    };
    assert!(!log.lines.iter().any(said), "{}", transcript(&log.lines));
    assert!(listener.local_addr().unwrap().ip() == IpAddr::from([0; 4]));
}
