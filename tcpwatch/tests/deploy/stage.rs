//! A network namespace with tcpwatch and a Prometheus that scrapes it every second; tcpwatch counts the events of
//! another one.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{files, http, netns::Netns, tools::program};

/// Where both listen, in a namespace of their own.
const TCPWATCH: u16 = 10911;
const PROMETHEUS: u16 = 9090;

/// Time limit for anything to appear: what ends with TIME_WAIT takes more than a minute.
const DEADLINE: Duration = Duration::from_secs(100);

pub(crate) struct Stage {
    /// Where both run; the gauges are about this one.
    pub(crate) outside: Netns,
    /// The namespace that is counted.
    pub(crate) inside: Netns,
    folder: TempDir,
    children: Vec<Child>,
}

impl Stage {
    /// Everything runs, and nothing has happened yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut stage =
            Self { outside: Netns::new(), inside: Netns::new(), folder, children: Vec::new() };
        stage.start_tcpwatch();
        stage.start_prometheus();
        stage
    }

    /// Ends what is in TIME_WAIT. The namespace stays: another one would soon get its inode, and be counted, too.
    pub(crate) fn end_time_waits(&self) {
        self.inside.run("ss --kill --tcp --numeric --no-header state time-wait");
    }

    fn start_tcpwatch(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwatch"));
        command.args(["serve", "--netns", &self.inside.word()]).stderr(Stdio::piped());
        let mut child = self.outside.inside(move || command.spawn().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        self.children.push(child);
        let serving = stderr.find(|line| line.as_ref().unwrap().contains("/metrics"));
        assert!(serving.is_some(), "tcpwatch has ended");
        thread::spawn(move || stderr.for_each(|line| println!("{}", line.unwrap())));
    }

    /// With the example configuration and the rules, but short intervals.
    fn start_prometheus(&mut self) {
        let folder = self.folder.path();
        let config = files::text("prometheus/prometheus.yml").replace("15s", "1s");
        let rules = files::text("prometheus/tcpwatch.rules.yml");
        let quick = |line: &str| match line.split_once("for: ") {
            Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 1s\n"),
            _ => format!("{line}\n"),
        };
        fs::write(folder.join("prometheus.yml"), config).unwrap();
        fs::write(folder.join("tcpwatch.rules.yml"), rules.lines().map(quick).collect::<String>())
            .unwrap();
        let mut command = program("prometheus");
        command
            .arg(argument("--config.file", &folder.join("prometheus.yml")))
            .arg(argument("--storage.tsdb.path", &folder.join("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{PROMETHEUS}"))
            .stderr(File::create(folder.join("log")).unwrap());
        self.children.push(self.outside.inside(move || command.spawn().unwrap()));
        self.poll("Prometheus", || http::get(PROMETHEUS, "/-/ready").map(drop));
        self.poll("the first scrape", || self.value("up{job=\"tcpwatch\"} == 1").map(drop));
    }

    /// The page as Prometheus gets it.
    pub(crate) fn page(&self) -> String {
        self.outside.inside(|| http::get(TCPWATCH, "/metrics").unwrap())
    }

    /// The result of a query: the series that have numbers.
    pub(crate) fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let answer = self.ask(&format!("query?query={}", http::escaped(query)));
        let answer = answer.unwrap_or_else(|| panic!("no answer to {query}"));
        let series = answer["result"].as_array().unwrap().iter();
        let number = |series: &Value| {
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            (series["metric"].clone(), value)
        };
        series.map(number).filter(|(_, value)| f64::is_finite(*value)).collect()
    }

    /// The result of a query with one number.
    pub(crate) fn value(&self, query: &str) -> Option<f64> {
        match &self.query(query)[..] {
            [] => None,
            [(_, value)] => Some(*value),
            more => panic!("{query}: {more:?}"),
        }
    }

    /// The firing alerts with their labels, without the one for a scrape of more than a second, which may happen on a
    /// busy machine.
    pub(crate) fn firing(&self) -> Vec<Value> {
        let answer = self.ask("alerts").unwrap();
        let alerts = answer["alerts"].as_array().unwrap().iter();
        let labels = alerts.filter(|it| it["state"] == "firing").map(|it| it["labels"].clone());
        labels.filter(|labels| labels["alertname"] != "TcpwatchDown").collect()
    }

    fn ask(&self, what: &str) -> Option<Value> {
        let path = format!("/api/v1/{what}");
        let text = self.outside.inside(|| http::get(PROMETHEUS, &path))?;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["status"], "success", "{what}: {answer}");
        Some(answer["data"].clone())
    }

    /// Repeats a query until it has a result: Prometheus has new values after its next scrape.
    pub(crate) fn poll<T: Send>(&self, what: &str, ask: impl Fn() -> Option<T> + Sync) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(answer) = self.outside.inside(&ask) {
                return answer;
            }
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("never: {what}\n{log}\n{}", self.page());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn argument(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.children {
            // An error means that it has already ended.
            if child.kill().is_ok() {
                drop(child.wait());
            }
        }
    }
}
