//! `tcpwatch list` beside `ss`, which shares no code with it.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    harness::{
        let_pass,
        netns::Netns,
        poll,
        program::tcpwatch,
        sockets::{self, Pair, V4, V6, half_close, lose_acks, lose_all, lose_nothing},
    },
    ss,
};

/// What `ss` calls a timer, and JSON.
const TIMERS: [(&str, &str); 4] = [
    ("on", "retransmit"),
    ("keepalive", "keepalive"),
    ("timewait", "time_wait"),
    ("persist", "window_probe"),
];
/// `ss` leaves out fractions of seconds above nine, and seconds above nine minutes (`print_ms_timer`, `misc/ss.c`).
/// Below that it is exact to a tick of the kernel, of at most 10 ms.
fn cut_off(left: Duration) -> Duration {
    match left.as_secs() {
        0..=9 => Duration::from_millis(10),
        10..540 => Duration::from_secs(1),
        _ => Duration::from_mins(1),
    }
}

fn list(args: &[&str]) -> Vec<Value> {
    let output = tcpwatch().arg("list").args(["--format", "json"]).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn by_cookie(lines: Vec<Value>) -> BTreeMap<u64, Value> {
    let lines = lines.into_iter();
    lines.map(|line| (line["socket"].as_u64().expect("a cookie"), line)).collect()
}

/// Sockets in every state that stays, and what keeps them there.
struct Scenes {
    streams: Vec<TcpStream>,
    _listeners: Vec<TcpListener>,
    _waiting: Vec<socket2::Socket>,
}

impl Drop for Scenes {
    /// Resets, so that no orphan goes on sending.
    fn drop(&mut self) {
        self.streams.drain(..).for_each(sockets::reset);
    }
}

impl Scenes {
    fn make(address: &str) -> Self {
        let (mut streams, mut listeners, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let listen = || TcpListener::bind(address).unwrap();
        let pair = |listeners: &mut Vec<TcpListener>| {
            let listener = listen();
            let pair = Pair::over(&listener);
            listeners.push(listener);
            pair
        };
        // ESTABLISHED; one with keepalive.
        let open = pair(&mut listeners);
        socket2::SockRef::from(&open.client).set_keepalive(true).unwrap();
        streams.extend([open.client, open.server]);
        // CLOSE_WAIT and FIN_WAIT_2 without a process.
        let leaked = pair(&mut listeners);
        drop(leaked.client);
        streams.push(leaked.server);
        // FIN_WAIT_2 that an application holds.
        let half = pair(&mut listeners);
        half_close(&half.client);
        streams.extend([half.client, half.server]);
        // TIME_WAIT.
        pair(&mut listeners).close_client_first();
        // Not accepted.
        let busy = listen();
        streams.push(TcpStream::connect(busy.local_addr().unwrap()).unwrap());
        listeners.push(busy);
        // SYN_SENT.
        let deaf = listen();
        lose_all(&deaf);
        let at = deaf.local_addr().unwrap();
        waiting.push(sockets::start_connect(sockets::unbound(at), at));
        listeners.push(deaf);
        // SYN_RECV.
        let unheard = listen();
        lose_acks(&unheard);
        streams.push(TcpStream::connect(unheard.local_addr().unwrap()).unwrap());
        listeners.push(unheard);
        // FIN_WAIT_1, with a process and without, and data that are not acknowledged.
        for close in [true, false] {
            let mut stuck = pair(&mut listeners);
            lose_all(&stuck.server);
            stuck.client.write_all(b"never acknowledged").unwrap();
            if close {
                drop(stuck.client);
            } else {
                streams.push(stuck.client);
            }
            streams.push(stuck.server);
        }
        // LAST_ACK.
        let last = pair(&mut listeners);
        half_close(&last.client);
        poll("the FIN is there", || last.server.peek(&mut [0]).ok().filter(|read| *read == 0));
        lose_all(&last.client);
        drop(last.server);
        streams.push(last.client);
        Self { streams, _listeners: listeners, _waiting: waiting }
    }
}

#[test]
fn every_socket_has_the_state_the_cookie_and_the_timer_that_ss_shows() {
    needs_root!();
    let netns = Netns::new();
    let scenes = netns.inside(|| [V4, V6].map(Scenes::make));
    let mut compared = BTreeMap::<String, u32>::new();
    let mut timers = BTreeMap::<String, u32>::new();
    // Segments are on their way in some looks.
    for _ in 0..20 {
        let before = netns.inside(ss::look);
        let looked = Instant::now();
        let lines = by_cookie(list(&["--netns", &netns.word()]));
        let between = looked.elapsed();
        let after: BTreeMap<u64, ss::Socket> =
            netns.inside(ss::look).into_iter().map(|socket| (socket.cookie, socket)).collect();
        for socket in &before {
            let Some(after) = after.get(&socket.cookie) else { continue };
            if after.state != socket.state {
                continue;
            }
            let line = lines.get(&socket.cookie).unwrap_or_else(|| panic!("{socket:?}"));
            same_socket(socket, line);
            *compared.entry(socket.state.clone()).or_default() += 1;
            if let Some(kind) = same_timer((socket, after), between, line) {
                *timers.entry(kind).or_default() += 1;
            }
        }
        let known: Vec<u64> = before.iter().map(|socket| socket.cookie).collect();
        for (cookie, line) in &lines {
            assert!(known.contains(cookie) || after.contains_key(cookie), "{line}");
        }
        let_pass(Duration::from_millis(50));
    }
    drop(scenes);
    println!("measured: {compared:?}, {timers:?}");
    for state in [
        "LISTEN",
        "SYN_SENT",
        "SYN_RECV",
        "ESTABLISHED",
        "FIN_WAIT_1",
        "FIN_WAIT_2",
        "CLOSE_WAIT",
        "LAST_ACK",
        "TIME_WAIT",
    ] {
        assert!(compared.get(state).is_some_and(|count| *count >= 10), "{state}: {compared:?}");
    }
    for kind in ["on", "keepalive", "timewait"] {
        assert!(timers.get(kind).is_some_and(|count| *count >= 10), "{kind}: {timers:?}");
    }
}

fn same_socket(socket: &ss::Socket, line: &Value) {
    assert_eq!(line["state"], *socket.state, "{socket:?}: {line}");
    for (end, name) in [(socket.local, "local"), (socket.remote, "remote")] {
        assert_eq!(line[name]["port"], end.port(), "{socket:?}: {line}");
        assert_eq!(line[name]["addr"], end.ip().to_string(), "{socket:?}: {line}");
    }
}

/// Compares the timer of a line with that of both looks of `ss`, which are at least `between` apart. A timer that has
/// less time passed was started anew, and is not compared.
fn same_timer(
    (before, after): (&ss::Socket, &ss::Socket),
    between: Duration,
    line: &Value,
) -> Option<String> {
    match (&before.timer, &after.timer) {
        (None, None) => {
            assert!(line["timer"].is_null() && line["until"].is_null(), "{before:?}: {line}");
            None
        }
        (Some((kind, most)), Some((same, least)))
            if kind == same && *least + between <= *most + cut_off(*most) =>
        {
            let (_, word) = TIMERS.iter().find(|(ss, _)| ss == kind).expect("a kind of timer");
            assert_eq!(line["timer"], *word, "{before:?}: {line}");
            let left = Duration::from_secs_f64(line["timer_left_s"].as_f64().unwrap());
            assert!(
                *least <= left && left <= *most + cut_off(*most),
                "{before:?}, {after:?}: {line}"
            );
            assert!(line["until"].is_string(), "{line}");
            Some(kind.clone())
        }
        _ => None,
    }
}

/// The line about the socket with this local end.
fn line_of<'a>(lines: &'a [Value], state: &str, port: u16) -> &'a Value {
    let mut found =
        lines.iter().filter(|line| line["state"] == state && line["local"]["port"] == port);
    found.next().unwrap_or_else(|| panic!("{state} at {port}: {lines:#?}"))
}

#[test]
fn a_line_says_what_a_socket_waits_for_whose_it_is_and_at_least_how_long() {
    needs_root!();
    let netns = Netns::new();
    let (listener, unaccepted, leaked) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let leaked = Pair::over(&listener);
        drop(leaked.client);
        let unaccepted = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener, unaccepted, leaked.server)
    });
    let_pass(Duration::from_millis(400));
    let port = listener.local_addr().unwrap().port();
    let word = netns.word();
    let lines = list(&["--netns", &word]);
    let pid = u64::from(std::process::id());
    let listening = line_of(&lines, "LISTEN", port);
    assert_eq!(listening["waits_for"], "accept");
    assert_eq!(
        (&listening["accept_queue"], &listening["process"]["pid"]),
        (&1.into(), &pid.into())
    );
    let queued = line_of(&lines, "ESTABLISHED", port);
    assert_eq!(
        (&queued["waits_for"], &queued["direction"]),
        (&"accept".into(), &"incoming".into())
    );
    assert_eq!(queued["process"]["pid"], pid, "its listener's");
    let waiting = line_of(&lines, "CLOSE_WAIT", port);
    assert_eq!((&waiting["waits_for"], &waiting["age_basis"]), (&"close".into(), &"bound".into()));
    let age = waiting["age_s"].as_f64().unwrap();
    assert!((0.3..10.0).contains(&age), "{waiting}");
    for (filter, count) in [
        (["--state", "CLOSE_WAIT"], 1),
        (["--local-port", &port.to_string()], 3),
        (["--remote-port", "1"], 0),
        (["--addr", "192.0.2.0/24"], 0),
        (["--pid", "1"], 0),
        (["--pid", &pid.to_string()], 4),
    ] {
        let shown = list(&[&["--netns", &word], filter.as_slice()].concat());
        assert_eq!(shown.len(), count, "{filter:?}: {shown:#?}");
    }
    drop((unaccepted, leaked));
}

#[test]
fn the_age_of_a_syn_and_of_time_wait_is_what_has_passed() {
    needs_root!();
    let netns = Netns::new();
    let (deaf, waiting) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        Pair::over(&listener).close_client_first();
        lose_all(&listener);
        let at = listener.local_addr().unwrap();
        (listener, sockets::start_connect(sockets::unbound(at), at))
    });
    let began = Instant::now();
    for _ in 0..12 {
        let_pass(Duration::from_millis(250));
        let before = began.elapsed();
        let lines = list(&["--netns", &netns.word(), "--state", "SYN_SENT,TIME_WAIT"]);
        let after = began.elapsed();
        let line = |state: &str| lines.iter().find(|line| line["state"] == state).unwrap();
        let seconds = |line: &Value, name: &str| {
            Duration::from_secs_f64(line[name].as_f64().unwrap_or_else(|| panic!("{line}")))
        };
        let syn = line("SYN_SENT");
        assert_eq!(syn["age_basis"], "schedule");
        let (least, most) = (seconds(syn, "age_s"), seconds(syn, "age_at_most_s"));
        // The SYN was sent some microseconds before the first reading of the clock here.
        let slack = Duration::from_millis(10);
        assert!(least <= after + slack && before <= most + slack, "{before:?}: {syn}");
        let time_wait = line("TIME_WAIT");
        assert_eq!(time_wait["age_basis"], "timer");
        let age = seconds(time_wait, "age_s");
        assert!(before <= age + slack && age <= after + Duration::from_secs(1), "{time_wait}");
    }
    lose_nothing(&deaf);
    drop((deaf, waiting));
}

#[test]
fn text_that_is_piped_has_whole_addresses_and_a_netns_that_is_gone_is_an_error() {
    needs_root!();
    let netns = Netns::new();
    let (listener, pair) = netns.inside(|| {
        let listener = TcpListener::bind(V6).unwrap();
        let pair = Pair::over(&listener);
        (listener, pair)
    });
    let word = netns.word();
    let output =
        || tcpwatch().args(["list", "--netns", &word]).env("COLUMNS", "40").output().unwrap();
    let text = String::from_utf8(output().stdout).unwrap();
    let (client, server) = pair.ends();
    for end in [client, server, listener.local_addr().unwrap()] {
        assert!(text.contains(&end.to_string()), "{end}: {text}");
    }
    assert!(text.starts_with("STATE "), "{text}");
    drop((listener, pair, netns));
    poll("the namespace is gone", || {
        let answer = output();
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        let gone = said.contains(&format!("no network namespace {word}"));
        gone.then(|| assert_eq!(answer.status.code(), Some(2), "{said}"))
    });
}
