//! A running `tcpwatch serve`, and the content of its page.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStderr, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    DEADLINE,
    netns::Netns,
    poll,
    program::{spawn, tcpwatch},
};

pub(crate) const PAGE: &str = "tcpwatch: metrics at http://";

/// A running tcpwatch that counts.
pub(crate) struct Exporter {
    child: Child,
    address: SocketAddr,
    /// Kept open: a closed pipe does not end it, but is unusual.
    _stderr: BufReader<ChildStderr>,
}

/// The samples of a page, by name and labels as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Samples(pub(crate) BTreeMap<String, f64>);

impl Exporter {
    /// Counts one namespace; everything from now on is counted.
    pub(crate) fn on(netns: &Netns) -> Self {
        Self::start(&["serve", "--netns", &netns.word(), "--web.listen-address", "127.0.0.1:0"])
    }

    /// Starts it with these arguments, which make it listen on a port that the kernel chooses.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(spawn(tcpwatch().args(args), Stdio::null()))
    }

    /// The same of a process that was started otherwise.
    pub(crate) fn of(mut child: Child) -> Self {
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended: {said}");
            if let Some(rest) = line.strip_prefix(PAGE) {
                break rest.trim().strip_suffix("/metrics").unwrap().parse().unwrap();
            }
            said.push_str(&line);
        };
        Self { child, address, _stderr: stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page as text.
    pub(crate) fn page(&self) -> String {
        self.page_as("")
    }

    /// The page that is asked for with these headers, each with the end of its line.
    pub(crate) fn page_as(&self, headers: &str) -> String {
        page(self.address, headers)
    }

    pub(crate) fn samples(&self) -> Samples {
        Samples::parse(&self.page())
    }

    /// Waits until a series has grown by `number` since `before`; returns all increments.
    pub(crate) fn wait_for(&self, before: &Samples, series: &str, number: i64) -> Samples {
        self.wait_within(DEADLINE, before, series, number)
    }

    /// The same with a longer time limit.
    pub(crate) fn wait_within(
        &self,
        span: Duration,
        before: &Samples,
        series: &str,
        number: i64,
    ) -> Samples {
        super::poll_within(span, series, || {
            let grown = self.samples().since(before);
            (grown.count(series) >= number).then_some(grown)
        })
    }

    /// Ends it; it must end with success.
    pub(crate) fn stop(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        poll("its end", || self.child.try_wait().unwrap())
    }
}

/// The page that a tcpwatch serves at this address.
fn page(address: SocketAddr, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_owned()
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // An error means that it has already ended.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

impl Samples {
    /// The page of a tcpwatch at this address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::parse(&page(address, ""))
    }

    pub(crate) fn parse(page: &str) -> Self {
        let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        let mut by_series = BTreeMap::new();
        for (series, value) in samples {
            assert_eq!(by_series.insert(series, value), None, "a series is there once: {page}");
        }
        Self(by_series)
    }

    /// The value of a series, written without `tcpwatch_`.
    pub(crate) fn get(&self, series: &str) -> f64 {
        *self.0.get(&format!("tcpwatch_{series}")).unwrap_or_else(|| panic!("no series {series}"))
    }

    /// The value of a series of counts: a whole number.
    pub(crate) fn count(&self, series: &str) -> i64 {
        self.get(series).to_string().parse().unwrap()
    }

    /// The increments since an earlier page.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().map(|(series, value)| {
            (series.clone(), value - before.0.get(series).copied().unwrap_or_default())
        });
        Self(grown.collect())
    }

    /// Changes between states, without those that did not happen.
    pub(crate) fn changes(&self) -> BTreeMap<String, i64> {
        let changes = self.0.keys().filter_map(|series| {
            let labels = series.strip_prefix("tcpwatch_state_transitions_total")?;
            let mut words = labels.split('"').skip(1).step_by(2);
            let (from, to) = (words.next().unwrap(), words.next().unwrap());
            let count = self.count(series.strip_prefix("tcpwatch_")?);
            (count != 0).then(|| (format!("{from}>{to}").to_uppercase(), count))
        });
        changes.collect()
    }

    /// Stays in a state that took more than one bound and at most another.
    pub(crate) fn stays(&self, state: &str, (above, at_most): (&str, &str)) -> i64 {
        let up_to = |bound: &str| {
            let labels = format!("state=\"{state}\",le=\"{bound}\"");
            self.count(&format!("state_duration_seconds_bucket{{{labels}}}"))
        };
        up_to(at_most) - if above == "0" { 0 } else { up_to(above) }
    }

    /// Runs that the kernel skipped: their events are not counted.
    pub(crate) fn missed(&self) -> i64 {
        self.count("events_lost_total{cause=\"recursion\"}")
    }
}
