//! A real Prometheus scrapes a real tcpwatch while connections are opened and closed, and is queried afterwards.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::Value;

use super::{
    coverage::{
        Coverage,
        rerun::{self, Reason},
    },
    files,
    netns::Netns,
    sockets::{Pair, half_close, lose_all, lose_nothing, reset, start_connect, unbound},
    stage::Stage,
    tools::{needs_prometheus, promtool},
};

/// The operations of a load generator.
#[derive(Debug, Default)]
struct Done {
    connected: u32,
    refused: u32,
    given_up: u32,
    reset: u32,
}

impl Done {
    const fn connects(&self) -> u32 {
        self.connected + self.refused + self.given_up
    }
}

/// Connects to a closed port of loopback.
fn be_refused(closed: SocketAddr) {
    let error = TcpStream::connect(closed).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED), "{error}");
}

/// Until `stop`, and at least once each: connections that are closed, refused, abandoned, reset.
fn load(stop: &AtomicBool) -> Done {
    let mut done = Done::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    lose_all(&deaf);
    let deaf_at = deaf.local_addr().unwrap();
    let closed = {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap()
    };
    while !stop.load(Ordering::Relaxed) || done.connected == 0 {
        for _ in 0..20 {
            Pair::over(&listener).close_client_first();
            done.connected += 1;
        }
        for _ in 0..3 {
            be_refused(closed);
            done.refused += 1;
        }
        drop(start_connect(unbound(deaf_at), deaf_at));
        done.given_up += 1;
        for _ in 0..2 {
            let pair = Pair::over(&listener);
            reset(pair.client);
            done.connected += 1;
            done.reset += 1;
        }
    }
    done
}

/// The expected counts, as queries.
fn counts(done: &Done) -> impl Iterator<Item = (String, u32)> {
    let (connects, closed) = (done.connects(), done.connected - done.reset);
    [
        ("tcpwatch_connects_total", connects),
        ("sum(tcpwatch_connect_failures_total)", done.refused),
        ("tcpwatch_connect_failures_total{reason=\"refused\"}", done.refused),
        ("tcpwatch_connects_canceled_total", done.given_up),
        ("tcpwatch_accepts_total", done.connected),
        ("tcpwatch_connect_duration_seconds_count", done.connected),
        ("tcpwatch_connect_syn_attempts_count", connects),
        ("tcpwatch_connections_closed_total{initiator=\"local\"}", closed),
        ("tcpwatch_connections_closed_total{initiator=\"remote\"}", closed),
        ("tcpwatch_resets_received_total", done.refused + done.reset),
        ("sum(tcpwatch_state_transitions_total)", changes(done).map(|(_, count)| count).sum()),
    ]
    .into_iter()
    .map(|(query, count)| (query.to_owned(), count))
}

/// All changes of state that this makes, as queries, after TIME_WAIT has ended.
fn changes(done: &Done) -> impl Iterator<Item = (String, u32)> {
    let closed = done.connected - done.reset;
    [
        ("closed", "listen", 3),
        ("listen", "closed", 3),
        ("closed", "syn_sent", done.connects()),
        ("syn_sent", "established", done.connected),
        ("syn_sent", "closed", done.refused + done.given_up),
        ("listen", "syn_recv", done.connected),
        ("syn_recv", "established", done.connected),
        ("established", "fin_wait_1", closed),
        ("established", "close_wait", closed),
        ("established", "closed", 2 * done.reset),
        ("fin_wait_1", "fin_wait_2", closed),
        ("fin_wait_2", "time_wait", closed),
        ("time_wait", "closed", closed),
        ("close_wait", "last_ack", closed),
        ("last_ack", "closed", closed),
    ]
    .into_iter()
    .map(|(from, to, count)| {
        (format!("tcpwatch_state_transitions_total{{from=\"{from}\",to=\"{to}\"}}"), count)
    })
}

/// What Prometheus has of a load.
#[derive(Debug)]
enum Told {
    /// All of it.
    Exactly,
    /// The kernel skipped runs of a hook, and counted them: those events are in no metric.
    Skipped,
    /// Less than all, although nothing was counted as lost: the queries and the missing numbers.
    Short(Vec<String>),
}

/// The maximal number of attempts.
const TRIES: usize = 4;

#[test]
fn prometheus_has_exactly_what_happened() {
    needs_prometheus!(as root);
    for attempt in 1..=TRIES {
        let Err((lacking, reason)) = told_of_a_load() else { return };
        let reason = reason.unwrap_or_else(|why| panic!("{why}: {lacking:#?}"));
        assert!(attempt < TRIES, "run {TRIES} times, at last {reason:?}: {lacking:#?}");
        rerun::note("a load", &reason);
    }
}

/// If Prometheus does not have all of it: what it lacks, and why the load may be run again or may not.
fn told_of_a_load() -> Result<(), (Vec<String>, Result<Reason, String>)> {
    let stage = Stage::new();
    assert_eq!(stage.value("tcpwatch_connects_total > 0"), None, "nothing yet");
    let (begun, coverage) = (now(), Coverage::start());
    let stop = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        let load = scope.spawn(|| stage.inside.inside(|| load(&stop)));
        stage.poll("five scrapes under load", || {
            stage.value("changes(tcpwatch_connects_total[1m]) >= 5").map(drop)
        });
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    println!("{done:?}");
    let counted: Vec<_> = counts(&done).chain(changes(&done)).collect();
    let told = stage.poll("an end of counting", || told(&stage, &counted));
    let found = coverage.and_then(Coverage::stop);
    let more = |(query, count): &(String, u32)| {
        stage.value(&format!("{query} > {count}")).map(|more| format!("{query}: {more} of {count}"))
    };
    let more: Vec<_> = counted.iter().filter_map(more).collect();
    assert!(more.is_empty(), "more than happened: {more:#?}");
    promtool(&["check", "metrics"], &stage.page());
    match told {
        Told::Exactly => Ok(()),
        Told::Skipped => Err((
            Vec::new(),
            Ok(Reason::counted("the kernel skipped runs of a hook and counted them")),
        )),
        Told::Short(lacking) => {
            Err((lacking, Reason::uncovered(&found, &(begun..=now()), &[stage.inside.inode])))
        }
    }
}

/// The kernel's clock, in nanoseconds.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

/// `None` while more may still come.
fn told(stage: &Stage, counted: &[(String, u32)]) -> Option<Told> {
    if stage.value("tcpwatch_events_lost_total{cause=\"recursion\"} > 0").is_some() {
        return Some(Told::Skipped);
    }
    let lacks = |(query, count): &(String, u32)| {
        let told = stage.value(query).unwrap_or_default();
        (told < f64::from(*count)).then(|| format!("{query}: {told} of {count}"))
    };
    let short: Vec<_> = counted.iter().filter_map(lacks).collect();
    if short.is_empty() {
        return Some(Told::Exactly);
    }
    // The final state of some of them is known only when they end, which would take a minute.
    stage.end_time_waits();
    let quiet = "count_over_time(tcpwatch_connects_total[10s]) >= 8 \
                 and sum without (from, to) (changes(tcpwatch_state_transitions_total[10s])) == 0";
    stage.value(quiet)?;
    Some(Told::Short(short))
}

/// One socket through every state whose time is measured, and one with each kind of failure.
fn something_of_everything() -> impl Send {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Pair::over(&listener).close_client_first();
    let closing = Pair::over(&listener);
    lose_all(&closing.server);
    half_close(&closing.client);
    half_close(&closing.server);
    lose_nothing(&closing.server);
    reset(Pair::over(&listener).client);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    be_refused(gone);
    (closing, listener)
}

/// A query as Grafana would send it, over the whole time.
fn filled_in(query: &str) -> String {
    query
        .replace("$job", ".*")
        .replace("$instance", ".*")
        .replace("$cgroup", ".*")
        .replace("$__rate_interval", "10m")
}

/// Connections from all ports that there are to one destination.
fn all_ports_in_use(inside: &Netns) -> (TcpListener, Vec<Pair>) {
    inside.set("ipv4.ip_local_port_range", "40000 40009").unwrap();
    inside.inside(|| {
        let listener = TcpListener::bind("127.0.0.1:2000").unwrap();
        let pairs = (0..10).map(|_| Pair::over(&listener)).collect();
        (listener, pairs)
    })
}

#[test]
fn prometheus_asks_for_open_metrics_and_has_the_time_at_which_counters_began() {
    needs_prometheus!(as root);
    let stage = Stage::new();
    stage.poll("a counter's creation", || {
        stage.value("tcpwatch_connects_created == on (job, instance) process_start_time_seconds")
    });
    stage.poll("a histogram's creation, and its bounds", || {
        stage.value(
            "count(tcpwatch_state_duration_seconds_created) \
             == count(tcpwatch_state_duration_seconds_bucket{le=\"1.0\"})",
        )
    });
}

#[test]
fn every_query_of_the_dashboard_has_an_answer() {
    needs_prometheus!(as root);
    let stage = Stage::new();
    let kept = stage.inside.inside(something_of_everything);
    let (mut leak, listener) = stage.inside.inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (Pair::over(&listener), listener)
    });
    let ports = all_ports_in_use(&stage.inside);
    half_close(&leak.client);
    assert_eq!(leak.server.read(&mut [0]).unwrap(), 0, "a FIN without an answer");
    let queries = files::queries(&files::dashboard());
    assert!(queries.len() > 60, "{}", queries.len());
    for (title, query) in queries {
        let query = filled_in(&query);
        assert!(!query.contains('$'), "{title}: {query}");
        let found = stage.poll(&format!("{title}: {query}"), || {
            Some(stage.query(&query)).filter(|series| !series.is_empty())
        });
        println!("{title}: {} series", found.len());
    }
    drop((kept, leak, listener, ports));
}

#[test]
fn an_accept_queue_that_nobody_empties_raises_its_alerts_and_no_others() {
    needs_prometheus!(as root);
    let stage = Stage::new();
    stage.poll("rules that were evaluated", || {
        stage
            .value("changes(tcpwatch_network_namespace_last_read_timestamp_seconds[1m]) >= 3")
            .map(drop)
    });
    assert_eq!(stage.firing(), Vec::<Value>::new(), "all is well");
    let (listener, clients) = stage.inside.inside(|| {
        let socket = unbound(([127, 0, 0, 1], 0).into());
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(4).unwrap();
        let listener: TcpListener = socket.into();
        let at = listener.local_addr().unwrap();
        // Five fit; the SYNs of the others are dropped repeatedly.
        let clients = [(); 8].map(|()| start_connect(unbound(at), at));
        (listener, clients)
    });
    let port = listener.local_addr().unwrap().port().to_string();
    let alerts = ["TcpAcceptQueueNearLimit", "TcpAcceptQueueFull", "TcpAcceptQueueOverflow"];
    stage.poll("all three alerts", || {
        let firing = stage.firing();
        alerts.iter().all(|name| firing.iter().any(|it| it["alertname"] == *name)).then_some(())
    });
    for alert in stage.firing() {
        let name = alert["alertname"].as_str().unwrap();
        assert!(alerts.contains(&name), "{alert}");
        if name != "TcpAcceptQueueOverflow" {
            assert_eq!(alert["local_port"], port.as_str(), "{alert}");
        }
    }
    drop(clients);
    while listener.set_nonblocking(true).is_ok() && listener.accept().is_ok() {}
    stage.poll("an end of the first one", || {
        let firing = stage.firing();
        firing.iter().all(|it| it["alertname"] != "TcpAcceptQueueNearLimit").then_some(())
    });
}
