//! For every way in which a connection ends, log and metrics have the same reason, and the kernel's own counters
//! confirm it.

mod connects;
mod laboratory;
mod minis;
mod orphans;
mod rare;
mod resets;

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    net::UdpSocket,
    process::Command,
    time::{Duration, Instant},
};

use crate::harness::{
    DEADLINE,
    exporter::{Exporter, Samples},
    line::Line,
    lives::transcript,
    netns::{Netns, neighbour_of},
    poll, poll_within,
    watch::{Log, Watch},
};

/// The longest situation waits for two timers of a handshake.
const SPAN: Duration = Duration::from_secs(15);
/// The maximal number of attempts until the kernel has skipped no run of a hook, which it counts.
const TRIES: usize = 3;

/// A situation in which connections end.
struct Situation {
    sysctls: &'static [(&'static str, &'static str)],
    /// Creates it in the namespace; no socket is left when it returns.
    act: fn(&Netns),
    /// State and reason of every end, without listeners, sorted.
    ends: &'static [&'static str],
    /// The increments of the kernel's counters (`TcpExt`).
    counters: &'static [(&'static str, u64)],
}

type Counts = BTreeMap<String, i64>;

impl Situation {
    fn holds(&self) {
        for _ in 1..TRIES {
            match self.try_once() {
                Ok(()) => return,
                Err(skipped) => println!("once more: the kernel skipped {skipped} runs"),
            }
        }
        self.try_once().unwrap_or_else(|skipped| panic!("the kernel skipped {skipped} runs"));
    }

    /// Fails with the number of runs that the kernel skipped.
    fn try_once(&self) -> Result<(), i64> {
        let netns = Netns::with(self.sysctls);
        let exporter = Exporter::on(&netns);
        let before = exporter.samples();
        let counters = kernel_counters(&netns);
        let watch = Watch::on(&netns);
        (self.act)(&netns);
        let most = self.ends.len();
        watch.wait_within(SPAN, "the ends", |lines| (ends(lines).count() >= most).then_some(()));
        let grown_in_kernel = kernel_counters(&netns);
        let log = watch.stop();
        let said = in_log(&log);
        let asked = Instant::now();
        let grown = poll_within(SPAN, "metrics that count no less than the log", || {
            let grown = exporter.samples().since(&before);
            let counted = in_metrics(&grown);
            let enough = said.iter().all(|(series, count)| counted.get(series) >= Some(count));
            // What is less for so long is shown below.
            (enough || grown.missed() > 0 || asked.elapsed() > DEADLINE).then_some(grown)
        });
        let skipped = grown.missed() + i64::from(!log.summary.lost.is_empty());
        if skipped > 0 {
            return Err(skipped);
        }
        let mut reasons: Vec<_> = ends(&log.lines).map(end).collect();
        reasons.sort();
        assert_eq!(reasons, self.ends, "{}", transcript(&log.lines));
        assert_eq!(in_metrics(&grown), said, "{}", transcript(&log.lines));
        for (name, expected) in self.counters {
            let counted = grown_in_kernel[*name] - counters[*name];
            assert_eq!(counted, *expected, "{name}: {}", transcript(&log.lines));
            if *name == "TCPAbortOnData" {
                let late = log.lines.iter().filter(|line| line.late_data.is_some()).count();
                assert_eq!(u64::try_from(late).unwrap(), counted, "{}", transcript(&log.lines));
            }
        }
        Ok(())
    }
}

/// Last changes of connections.
fn ends(lines: &[Line]) -> impl Iterator<Item = &Line> {
    lines.iter().filter(|line| line.is_state() && line.to == "CLOSED" && line.from != "LISTEN")
}

fn end(line: &Line) -> String {
    format!("{} {}", line.from, line.reason.as_deref().unwrap_or_default())
}

/// The counts that the metrics must have by the log, without zeros.
fn in_log(log: &Log) -> Counts {
    in_log_lines(&log.lines)
}

fn in_log_lines(lines: &[Line]) -> Counts {
    let mut counts = Counts::new();
    for line in ends(lines) {
        *counts.entry(line.change()).or_default() += 1;
        let reason = line.reason.as_deref().unwrap_or_default();
        *counts.entry(series(line, reason)).or_default() += 1;
    }
    for line in lines.iter().filter(|line| line.event == "reset") {
        let way = line.direction.as_deref().unwrap_or_default();
        *counts.entry(format!("resets_{way}_total")).or_default() += 1;
    }
    counts
}

fn series(line: &Line, reason: &str) -> String {
    // A simultaneous open was counted as a connect.
    let both = line.direction.as_deref() == Some("both");
    let connects = line.from == "SYN_SENT" || line.from == "SYN_RECV" && both;
    match (connects, reason) {
        (true, "normal") => "connects_canceled_total".to_owned(),
        (true, "reset_received") => "connect_failures_total{reason=\"reset\"}".to_owned(),
        (true, "killed" | "unknown") => "connect_failures_total{reason=\"other\"}".to_owned(),
        (true, reason) => format!("connect_failures_total{{reason=\"{reason}\"}}"),
        (false, reason) => format!("connection_ends_total{{reason=\"{reason}\"}}"),
    }
}

fn in_metrics(grown: &Samples) -> Counts {
    let families = ["connection_ends_total", "connect_failures_total", "connects_canceled_total"];
    let families = families.iter().chain(&["resets_sent_total", "resets_received_total"]);
    let mut counts = grown.changes();
    counts.retain(|change, _| change.ends_with(">CLOSED") && change != "LISTEN>CLOSED");
    for family in families {
        for series in grown.0.keys().filter_map(|series| series.strip_prefix("tcpwatch_")) {
            if series.starts_with(family) && grown.count(series) != 0 {
                counts.insert(series.to_owned(), grown.count(series));
            }
        }
    }
    counts
}

/// Waits until there is a socket in this state, in the spelling of `ss`. A FIN may be acknowledged 40 ms later.
fn await_one(netns: &Netns, state: &str) {
    poll(state, || (sockets_in(netns, state) > 0).then_some(()));
}

/// Waits until there is none.
fn await_none(netns: &Netns, state: &str) {
    poll(state, || (sockets_in(netns, state) == 0).then_some(()));
}

fn sockets_in(netns: &Netns, state: &str) -> usize {
    let output = netns.inside(|| Command::new("ss").args(["-Htn", "state", state]).output());
    String::from_utf8(output.unwrap().stdout).unwrap().lines().count()
}

/// A neighbour that reports 10.9.1.0/24 as unreachable, and whose link address is known.
fn router_to_nowhere(netns: &Netns) -> Netns {
    let router = neighbour_of(netns);
    router.set("ipv4.ip_forward", "1").unwrap();
    router.run("ip route add unreachable 10.9.1.0/24");
    netns.run("ip route add 10.9.1.0/24 via 10.9.0.2");
    netns.inside(|| {
        let asks = UdpSocket::bind("10.9.0.1:0").unwrap();
        asks.connect("10.9.0.2:9").unwrap();
        asks.send(b"?").unwrap();
        let refused = asks.recv(&mut [0]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
    });
    router
}

/// `TcpExt` of `/proc/net/netstat`.
fn kernel_counters(netns: &Netns) -> BTreeMap<String, u64> {
    let text = netns.inside(|| fs::read_to_string("/proc/thread-self/net/netstat").unwrap());
    let mut rows = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
    let pairs = names.split_whitespace().zip(values.split_whitespace()).skip(1);
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}
