//! Lost SYNs and lost answers.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tcpwatch_core::timing::{self, Schedule, SynOptions, Sysctls};

use crate::harness::{
    connections::{
        about, adds_up, await_connection, connection, keeps_to, lasted, retries, same, sees, turned,
    },
    kernel::SYN_LINEAR_TIMEOUTS,
    line::Line,
    lives::{life, seconds},
    netns::Netns,
    sockets::{self, V4, lose_acks, lose_all, lose_nothing},
    watch::Watch,
};

use super::{SOON, rate};

/// A namespace with these retransmissions of a SYN; `None`, with a message, if the kernel has no linear ones.
fn netns(retries: u8, linear: u8) -> Option<Netns> {
    let netns = Netns::with(&[("ipv4.tcp_syn_retries", &retries.to_string())]);
    match netns.set("ipv4.tcp_syn_linear_timeouts", &linear.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && linear > 0 => {
            SYN_LINEAR_TIMEOUTS.is_lacking();
            None
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
        _ => Some(netns),
    }
}

fn local(client: &Socket) -> SocketAddr {
    client.local_addr().unwrap().as_socket().unwrap()
}

/// The SYN is lost: `at` and `end` are the kernel's seconds.
pub(super) fn lost(address: &str, (retries, linear): (u8, u8), at: &[u64], end: u64) {
    let sysctls =
        Sysctls { syn_retries: retries, syn_linear_timeouts: linear, ..Sysctls::default() };
    let schedule = timing::syn(&sysctls, SynOptions::default(), rate());
    let promised = schedule.attempts.iter().map(|attempt| attempt.window.promise.as_secs());
    assert_eq!(promised.collect::<Vec<_>>(), at);
    assert_eq!(schedule.gives_up.promise, Duration::from_secs(end));
    if let Some(netns) = netns(retries, linear) {
        is_repeated(&netns, &[], address, &schedule, |_| ());
    }
}

/// The application's own time limit.
const PATIENCE: Option<Duration> = Some(Duration::from_millis(2500));

/// The SYN is lost, and the application has a short time limit.
pub(super) fn lost_with_a_user_timeout() {
    let Some(netns) = netns(6, 0) else { return };
    let sysctls = Sysctls { syn_linear_timeouts: 0, ..Sysctls::default() };
    let schedule =
        timing::syn(&sysctls, SynOptions { retries: None, user_timeout: PATIENCE }, rate());
    assert_eq!(schedule.attempts.len(), 1, "a second, and what is left");
    is_repeated(&netns, &[], V4, &schedule, |socket| {
        socket.set_tcp_user_timeout(PATIENCE).unwrap();
    });
}

/// The SYN is lost, and the kernel chooses the local port of the filter only afterwards.
pub(super) fn lost_while_the_port_is_asked_for() {
    let Some(netns) = netns(1, 0) else { return };
    netns.set("ipv4.ip_local_port_range", "40000 40100").unwrap();
    let sysctls = Sysctls { syn_retries: 1, syn_linear_timeouts: 0, ..Sysctls::default() };
    let schedule = timing::syn(&sysctls, SynOptions::default(), rate());
    is_repeated(&netns, &["--local-port", "40000-40100"], V4, &schedule, |_| ());
}

fn is_repeated(
    netns: &Netns,
    args: &[&str],
    address: &str,
    schedule: &Schedule,
    prepare: fn(&Socket),
) {
    let watch = Watch::with(netns, args);
    let (listener, client) = netns.inside(|| {
        let listener = TcpListener::bind(address).unwrap();
        lose_all(&listener);
        let to = listener.local_addr().unwrap();
        let client = sockets::unbound(to);
        prepare(&client);
        (listener, sockets::start_connect(client, to))
    });
    let ends = (local(&client), listener.local_addr().unwrap());
    await_connection(&watch, schedule.gives_up.latest + SOON, ends);
    let log = watch.stop();
    assert_eq!(client.take_error().unwrap().unwrap().raw_os_error(), Some(libc::ETIMEDOUT));

    let life = life(&log.lines, ends.0, ends.1);
    assert_eq!((life.path().as_str(), life.reason()), ("CLOSED SYN_SENT CLOSED", "timed_out"));
    let (first, last) = (life.entered("SYN_SENT").mono_ns, life.entered("CLOSED").mono_ns);
    let told = told(&log.lines, "syn", ends);
    keeps_to(schedule, &told, first, last);
    lasted(seconds(first, last), schedule.gives_up);
    let most = u32::try_from(schedule.attempts.len()).unwrap();
    for (number, line) in (1..).zip(&told) {
        assert_eq!((line.state.as_str(), line.early), ("SYN_SENT", false), "{line}");
        assert_eq!(line.attempts_at_most, Some(most), "{line}");
        let gap = schedule.gap(number).unwrap().promise;
        same(line.expected_s, gap.as_secs_f64());
    }
    sees(&log.lines, ends, libc::ETIMEDOUT);

    let connection = connection(&log.lines, ends);
    adds_up(connection);
    assert_eq!(connection.end.as_deref(), Some("timed_out"), "{connection}");
    assert!(connection.failed && connection.handshake_s.is_none(), "{connection}");
    assert_eq!(connection.closed_by, None, "there was nothing to close: {connection}");
    assert_eq!(connection.retransmits, Some(most), "{connection}");
    assert_eq!(connection.retries, [("syn".to_owned(), most)].into(), "{connection}");
    assert_eq!((connection.bytes_sent, connection.bytes_received), (Some(0), Some(0)));
    assert_eq!((connection.srtt_s, connection.min_rtt_s), (None, None), "nothing was measured");
}

/// Retransmissions by the process that runs this test, or its listener.
fn told<'a>(lines: &'a [Line], kind: &str, ends: (SocketAddr, SocketAddr)) -> Vec<&'a Line> {
    let told = retries(lines, kind, ends);
    for line in &told {
        let owner = line.process.as_ref().map(|owner| owner.pid);
        assert_eq!(owner, Some(std::process::id()), "{line}");
    }
    told
}

/// The SYN+ACK is lost: the client retransmits its SYN and the listener its answer, at the same time.
pub(super) fn a_syn_that_crosses_its_answer_is_one_attempt() {
    let Some(netns) = netns(2, 0) else { return };
    netns.set("ipv4.tcp_synack_retries", "2").unwrap();
    let watch = Watch::on(&netns);
    let (listener, client) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let to = listener.local_addr().unwrap();
        let client = sockets::unbound(to);
        lose_all(&client);
        (listener, sockets::start_connect(client, to))
    });
    let ours = (local(&client), listener.local_addr().unwrap());
    let theirs = (ours.1, ours.0);
    await_connection(&watch, SOON, ours);
    await_connection(&watch, SOON, theirs);
    let log = watch.stop();

    let sysctls = Sysctls { syn_retries: 2, syn_linear_timeouts: 0, ..Sysctls::default() };
    let schedule = timing::syn(&sysctls, SynOptions::default(), rate());
    let client = life(&log.lines, ours.0, ours.1);
    let (first, last) = (client.entered("SYN_SENT").mono_ns, client.entered("CLOSED").mono_ns);
    keeps_to(&schedule, &told(&log.lines, "syn", ours), first, last);

    // A SYN that arrives before the timer runs out moves it: which of them is first decides when.
    let request = life(&log.lines, theirs.0, theirs.1);
    assert_eq!(
        (request.path().as_str(), request.reason()),
        ("LISTEN SYN_RECV CLOSED", "timed_out")
    );
    let mut before = request.entered("SYN_RECV").mono_ns;
    let answers = told(&log.lines, "syn_ack", theirs);
    assert!((2..=4).contains(&answers.len()), "two timeouts and two SYNs: {request}");
    for (number, line) in (1..).zip(&answers) {
        assert_eq!(line.attempt, Some(number), "{line}");
        assert_eq!(line.state, "SYN_RECV", "{line}");
        let passed = seconds(before, line.mono_ns);
        same(line.since_last_s, passed);
        assert!(passed > 0.5, "two that cross are one attempt: {line}");
        assert_eq!(line.early, line.expected_s.is_none(), "{line}");
        before = line.mono_ns;
    }
    let half_open = connection(&log.lines, theirs);
    adds_up(half_open);
    assert_eq!(half_open.end.as_deref(), Some("half_open"), "{half_open}");
    let count = u32::try_from(answers.len()).unwrap();
    assert_eq!(half_open.retries, [("syn_ack".to_owned(), count)].into(), "{half_open}");
    assert_eq!(half_open.retransmits, Some(count), "{half_open}");
    assert!(half_open.failed && half_open.bytes_sent.is_none(), "{half_open}");
    assert_eq!(connection(&log.lines, ours).end.as_deref(), Some("timed_out"));
}

/// The listener's side of a handshake that is never completed, with two retransmissions of the SYN+ACK.
fn stays_half_open(watch: Watch, ends: (SocketAddr, SocketAddr)) {
    let sysctls = Sysctls { synack_retries: 2, ..Sysctls::default() };
    let schedule = timing::syn_ack(&sysctls, None, rate());
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let life = life(&log.lines, ends.0, ends.1);
    assert_eq!((life.path().as_str(), life.reason()), ("LISTEN SYN_RECV CLOSED", "timed_out"));
    let told = told(&log.lines, "syn_ack", ends);
    let mut before = life.entered("SYN_RECV").mono_ns;
    for (number, line) in (1..).zip(&told) {
        let gap = schedule.gap(number).unwrap();
        let passed = seconds(before, line.mono_ns);
        lasted(passed, gap);
        same(line.since_last_s, passed);
        same(line.expected_s, gap.promise.as_secs_f64());
        assert_eq!(line.attempt, Some(u32::try_from(number).unwrap()), "{line}");
        // By the timer itself: more exact than the schedule, which ignores buckets.
        let (soonest, latest) = match (line.next_in_s, line.gives_up_in_s) {
            (Some(soonest), None) => (soonest, line.next_in_at_most_s.unwrap()),
            (None, Some(soonest)) => (soonest, line.gives_up_in_at_most_s.unwrap()),
            both => panic!("{both:?}: {line}"),
        };
        assert_eq!(number == told.len(), line.gives_up_in_s.is_some(), "{line}");
        let next = schedule.gap(number + 1).or_else(|| Some(schedule.after(number)?.wait)).unwrap();
        same(Some(soonest), next.promise.as_secs_f64());
        assert!(soonest < latest && latest <= next.latest.as_secs_f64(), "{line}");
        let came = told.get(number).map_or(life.entered("CLOSED").mono_ns, |next| next.mono_ns);
        let wait = timing::Window {
            promise: Duration::from_secs_f64(soonest),
            latest: Duration::from_secs_f64(latest),
        };
        lasted(seconds(line.mono_ns, came), wait);
        before = line.mono_ns;
    }
    assert_eq!(told.len(), 2, "{life}");
    let connection = connection(&log.lines, ends);
    adds_up(connection);
    assert_eq!(connection.end.as_deref(), Some("half_open"), "{connection}");
    assert_eq!(connection.retries, [("syn_ack".to_owned(), 2)].into(), "{connection}");
    assert!(connection.failed && connection.handshake_s.is_none(), "{connection}");
}

pub(super) fn an_ack_that_is_lost_leaves_a_connection_half_open(address: &str) {
    let netns = Netns::with(&[("ipv4.tcp_synack_retries", "2")]);
    let watch = Watch::on(&netns);
    let listener = netns.inside(|| TcpListener::bind(address).unwrap());
    let listening = listener.local_addr().unwrap();
    lose_acks(&listener);
    let client = netns.inside(|| TcpStream::connect(listening).unwrap());
    stays_half_open(watch, (listening, client.local_addr().unwrap()));
}

/// A queue for two that is not emptied, with one in it. Of two more that finish their handshake, the last one finds it
/// full; when that one sends again, it is returned.
fn overflow(netns: &Netns, watch: &Watch) -> (Socket, TcpStream, [TcpStream; 2]) {
    let listener = netns.inside(|| {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        listener.bind(&V4.parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(1).unwrap();
        listener
    });
    let listening = local(&listener);
    let connect = || netns.inside(|| TcpStream::connect(listening).unwrap());
    let first = connect();
    lose_acks(&listener);
    let (mut second, third) = (connect(), connect());
    lose_nothing(&listener);
    second.write_all(b"the ACK comes with this").unwrap();
    watch.wait_count(2, "a full queue", |line| line.is("SYN_RECV>ESTABLISHED"));
    (listener, third, [first, second])
}

pub(super) fn a_full_accept_queue_leaves_a_connection_half_open() {
    let netns = Netns::with(&[("ipv4.tcp_synack_retries", "2")]);
    let watch = Watch::on(&netns);
    let (listener, third, _queued) = overflow(&netns, &watch);
    stays_half_open(watch, (local(&listener), third.local_addr().unwrap()));
}

/// An administrator demands a reset where a queue is full (`tcp_abort_on_overflow`).
pub(super) fn a_full_accept_queue_can_reset_a_connection() {
    let netns = Netns::with(&[("ipv4.tcp_abort_on_overflow", "1")]);
    let watch = Watch::on(&netns);
    let (listener, third, _queued) = overflow(&netns, &watch);
    let ends = (local(&listener), third.local_addr().unwrap());
    // Retransmitted, the SYN+ACK is acknowledged once more.
    await_connection(&watch, SOON, ends);
    await_connection(&watch, SOON, turned(ends));
    let log = watch.stop();
    let server = connection(&log.lines, ends);
    assert_eq!(server.end.as_deref(), Some("reset_sent"), "{server}");
    assert_eq!(life(&log.lines, ends.0, ends.1).reason(), "reset_sent");
    let client = connection(&log.lines, turned(ends));
    assert_eq!(client.end.as_deref(), Some("reset_received"), "{client}");
}

/// Two sockets that connect to each other and receive nothing, until one of them receives a SYN.
pub(super) fn a_simultaneous_open_is_given_up() {
    let Some(netns) = netns(2, 0) else { return };
    let watch = Watch::on(&netns);
    let (here, there) = ("127.0.0.1:11111".parse().unwrap(), "127.0.0.1:11112".parse().unwrap());
    let connect = |from, to| {
        netns.inside(|| {
            let socket = sockets::bound(from);
            lose_all(&socket);
            sockets::start_connect(socket, to)
        })
    };
    let (_deaf, hearing) = (connect(here, there), connect(there, here));
    lose_nothing(&hearing);
    await_connection(&watch, SOON, (here, there));
    await_connection(&watch, SOON, (there, here));
    let log = watch.stop();

    let life = life(&log.lines, there, here);
    assert_eq!(life.path(), "CLOSED SYN_SENT SYN_RECV CLOSED");
    let end = life.entered("CLOSED");
    let told: Vec<_> = about(&log.lines, "retransmit", (there, here))
        .filter(|line| line.mono_ns > life.entered("SYN_RECV").mono_ns)
        .collect();
    let last = told.last().unwrap_or_else(|| panic!("a SYN+ACK is repeated: {life}"));
    assert!(told.iter().all(|line| line.kind.as_deref() == Some("syn_ack")), "{told:?}");
    let announced = timing::Window {
        promise: Duration::from_secs_f64(last.gives_up_in_s.unwrap_or_else(|| panic!("{last}"))),
        latest: Duration::from_secs_f64(last.gives_up_in_at_most_s.unwrap()),
    };
    lasted(seconds(last.mono_ns, end.mono_ns), announced);
    let whole = connection(&log.lines, (there, here));
    assert_eq!(whole.end.as_deref(), Some("half_open"), "{whole}");
    assert_eq!(whole.direction.as_deref(), Some("both"), "{whole}");
    adds_up(whole);
}
