//! A real rsyslog with the example configuration sends the events of a real tcpwatch to a collector.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

use super::{
    files,
    netns::Netns,
    sockets::{Pair, reset},
    tools::{directory_of, is_here},
};

/// Time limit for what rsyslog sends.
const PATIENCE: Duration = Duration::from_mins(1);
/// Connections of each kind.
const EACH: usize = 20;

/// A program that is killed with its guard.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has already ended.
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

/// tcpwatch appends the events of a network namespace to a file, as the example unit has it.
fn tcpwatch(of: &Netns, events: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwatch"));
    command.args(["--lives", "--format", "json", "--summary", "--netns", &of.word()]);
    command.stdout(OpenOptions::new().append(true).create(true).open(events).unwrap());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let attached = stderr.find(|line| line.as_ref().unwrap().contains("Ctrl-C"));
    assert!(attached.is_some(), "tcpwatch has ended");
    thread::spawn(move || stderr.for_each(|line| println!("{}", line.unwrap())));
    Running(child)
}

/// rsyslog with the example configuration, its paths and the collector's address replaced.
fn rsyslog(program: &Path, folder: &Path, port: u16) -> Running {
    let shipped = files::text("events/rsyslog.conf");
    let replaced = [
        ("/var/log/tcpwatch", folder.to_str().unwrap()),
        ("target=\"collector.example\"", "target=\"127.0.0.1\""),
        ("port=\"5170\"", &format!("port=\"{port}\"")),
    ];
    let text = replaced.into_iter().fold(shipped, |text, (from, to)| {
        assert!(text.contains(from), "the example has {from}");
        text.replace(from, to)
    });
    let config = folder.join("rsyslog.conf");
    let work = folder.display();
    fs::write(&config, format!("global(workDirectory=\"{work}\")\n{text}")).unwrap();
    let said = File::create(folder.join("said")).unwrap();
    let mut command = Command::new(program);
    command.args(["-n", "-iNONE", "-f"]).arg(config).stdout(said.try_clone().unwrap()).stderr(said);
    Running(command.spawn().unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_event_arrives_at_the_collector_once_as_it_was_with_the_name_of_the_host() {
    let program = directory_of("TCPWATCH_RSYSLOG", &["rsyslogd"]);
    let program = program.filter(|_| geteuid().is_root());
    if !is_here(program.is_some(), "rsyslogd and root") {
        return;
    }
    let program = program.unwrap().join("rsyslogd");
    let folder = tempfile::tempdir().unwrap();
    let (watched, events) = (Netns::new(), folder.path().join("events.json"));
    let mut tcpwatch = tcpwatch(&watched, &events);
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = collector.local_addr().unwrap().port();
    let _rsyslog = rsyslog(&program, folder.path(), port);
    watched.inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for _ in 0..EACH {
            Pair::over(&listener).close_server_first();
            reset(Pair::over(&listener).client);
            TcpStream::connect(closed).unwrap_err();
        }
    });
    kill_process(Pid::from_child(&tcpwatch.0), Signal::INT).unwrap();
    assert!(tcpwatch.0.wait().unwrap().success());

    let written = lines(&fs::read_to_string(&events).unwrap());
    let (stream, _) = collector.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let arriving = BufReader::new(stream).lines().take(written.len());
    let arrived: String = arriving
        .map(|line| {
            let said = || fs::read_to_string(folder.path().join("said")).unwrap();
            line.unwrap_or_else(|error| panic!("{error}\n{}", said())) + "\n"
        })
        .collect();
    let arrived: Vec<_> = lines(&arrived)
        .into_iter()
        .map(|mut line| {
            let host = line.as_object_mut().unwrap().remove("host");
            assert!(host.is_some_and(|host| host.as_str().is_some_and(|host| !host.is_empty())));
            line
        })
        .collect();
    assert_eq!(arrived, written);

    let failed = |line: &&Value| line["event"] == "connection" && line["failed"] == true;
    let failed: Vec<_> = written.iter().filter(failed).collect();
    assert!(failed.len() >= 2 * EACH, "resets and refusals: {written:?}");
    let kept = lines(&fs::read_to_string(folder.path().join("failed.json")).unwrap());
    assert_eq!(kept.iter().collect::<Vec<_>>(), failed, "those alone are kept on the host");
}
