//! `tcpwatch lab from`: what is recorded of a run, made into a scenario and run, gives the same chain of states.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tcpwatch_lab::catalog;
use tempfile::TempDir;

use crate::{
    carried,
    program::{Answer, data, lab, list, text, written},
};

/// The states of each connection of each host, in the order in which they appear.
type Chains = BTreeMap<String, Vec<Vec<String>>>;

/// The option for a family, and the addresses that the laboratory has in it.
type FamilyOption = (&'static str, &'static str);

/// A recorder of the laboratory's addresses of a family, as a user starts one.
struct Recorder(Child);

impl Recorder {
    fn start(file: &Path, addresses: &str) -> Self {
        let mut command = Command::new(carried::program());
        command.args(["--addr", addresses, "--record"]).arg(file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Its first line says that everything is attached.
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("Ctrl-C to stop"), "{line}");
        Self(child)
    }

    fn stop(mut self) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

/// The changes of connections in a report's first run.
fn changes(report: &Value) -> impl Iterator<Item = &Value> {
    let story = list(&list(report, "runs")[0], "story").iter();
    story.filter(|moment| moment["event"] == "state" && moment["remote"]["port"] != 0)
}

/// One connection of a host, as far as the story goes.
struct Chain<'r> {
    host: &'r str,
    socket: &'r Value,
    ports: (&'r Value, &'r Value),
    states: Vec<String>,
}

fn chains(report: &Value) -> Chains {
    let mut lives: Vec<Chain<'_>> = Vec::new();
    for change in changes(report).filter(|change| change["from"] != change["to"]) {
        let host = text(change, "host");
        let ports = (&change["local"]["port"], &change["remote"]["port"]);
        let socket = &change["socket"];
        let begins = change["from"] == "LISTEN";
        let known = lives.iter_mut().rev().find(|known| {
            let is_nameless = socket.is_null() || known.socket.is_null();
            let same = if is_nameless { known.ports == ports } else { known.socket == socket };
            known.host == host && same && !begins
        });
        let to = text(change, "to").to_owned();
        if let Some(known) = known {
            known.socket = if known.socket.is_null() { socket } else { known.socket };
            known.states.push(to);
        } else {
            let states = vec![text(change, "from").to_owned(), to];
            lives.push(Chain { host, socket, ports, states });
        }
    }
    let mut chains = Chains::new();
    for Chain { host, states, .. } in lives {
        chains.entry(host.to_owned()).or_default().push(states);
    }
    chains
}

/// Whether each chain begins as the first run's did: the second run also has what came when the first one's hosts ended.
fn are_in(first: &Chains, second: &Chains) -> bool {
    first.iter().all(|(host, chains)| {
        let others = second.get(host).map_or(&[][..], Vec::as_slice);
        chains.len() <= others.len()
            && chains.iter().zip(others).all(|(chain, other)| other.starts_with(chain))
    })
}

fn swapped(chains: &Chains) -> Chains {
    let other = |host: &String| if host == "client" { "server" } else { "client" };
    chains.iter().map(|(host, chains)| (other(host).to_owned(), chains.clone())).collect()
}

/// What is wrong with the scenario that is made of a recorded run.
fn made_again(name: &str, folder: &Path, family: FamilyOption) -> Result<(), String> {
    let (option, addresses) = family;
    let recording = folder.join(format!("{name}.rec"));
    let recorder = Recorder::start(&recording, addresses);
    let (answer, report) = written(&[name, "--profile", "quick", option]);
    recorder.stop();
    if answer.status != Some(0) {
        return Err(format!("the first run does not hold: {}", answer.stdout));
    }
    // Other laboratories may have the same addresses.
    let mut sockets: Vec<u64> =
        changes(&report).filter_map(|change| change["socket"].as_u64()).collect();
    if sockets.is_empty() {
        let mut listener = list(&list(&report, "runs")[0], "story").iter();
        sockets.extend(listener.find_map(|moment| moment["socket"].as_u64()));
    }
    let mut from = vec!["from".to_owned(), recording.display().to_string()];
    for socket in sockets {
        from.extend(["--socket".to_owned(), socket.to_string()]);
    }
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    let made = Answer::of(&mut lab(&from));
    if made.status != Some(0) {
        return Err(made.stderr);
    }
    let file = folder.join(format!("{name}.toml"));
    fs::write(&file, &made.stdout).unwrap();
    let (again, second) = written(&[file.to_str().unwrap(), option]);
    if again.status != Some(0) {
        return Err(format!("{}\n{}{}", made.stdout, again.stdout, again.stderr));
    }
    let (first, second) = (chains(&report), chains(&second));
    // The client is the first to connect, which need not be the scenario's.
    if are_in(&first, &second) || are_in(&swapped(&first), &second) {
        return Ok(());
    }
    Err(format!("{first:?} became {second:?} by\n{}", made.stdout))
}

#[test]
fn every_built_in_scenario_that_is_recorded_and_made_again_has_the_same_chain_of_states() {
    needs_root!();
    let folder = TempDir::new().unwrap();
    let left: Mutex<Vec<&str>> =
        Mutex::new(catalog::all().iter().rev().map(|built_in| built_in.name).collect());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        // Each recorder sees nothing of the other runs: the number of a network namespace is used again when it is gone,
        // and a recorder reads its sysctls once.
        for family in [("-4", "192.168.122.0/24"), ("-6", "fd00:122::/64")] {
            let (left, wrong, folder) = (&left, &wrong, folder.path());
            scope.spawn(move || {
                loop {
                    let Some(name) = left.lock().unwrap().pop() else { break };
                    if let Err(why) = made_again(name, folder, family) {
                        wrong.lock().unwrap().push(format!("{name}: {why}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_a_scenario_cannot_be_made_of_is_said() {
    let recording = |name: &str| {
        let file = carried::file("tests/data").join(name);
        file.to_str().unwrap().to_owned()
    };
    let several = recording("connect_is_refused.jsonl");
    let answer = Answer::of(&mut lab(&["from", &several]));
    answer.refuses(2, &["connections", "choose with --socket"]);
    let answer = Answer::of(&mut lab(&["from", &several, "--socket", "1"]));
    answer.refuses(2, &["no socket of the recording has the cookie 1", "replay --format json"]);
    let report = data("report.json");
    let answer = Answer::of(&mut lab(&["from", report.to_str().unwrap()]));
    answer.refuses(1, &["report.json"]);
}

#[test]
fn a_recording_that_is_cut_off_is_a_scenario_that_says_so() {
    let file = carried::file("tests/data").join("client_closes_first_v4.jsonl");
    let whole = fs::read(file).unwrap();
    let folder = TempDir::new().unwrap();
    let cut = folder.path().join("cut.jsonl");
    fs::write(&cut, &whole[..3000]).unwrap();
    let answer = Answer::of(&mut lab(&["from", cut.to_str().unwrap()]));
    assert_eq!(answer.status, Some(0), "{answer:?}");
    assert!(answer.stdout.contains("# guess: lost records of the recording: 1"), "{answer:?}");
}

#[test]
fn what_is_assumed_stands_in_the_scenario_as_a_comment() {
    let file = carried::file("tests/data").join("connect_is_refused.jsonl");
    let answer = Answer::of(&mut lab(&["from", file.to_str().unwrap(), "--socket", "10716397"]));
    assert_eq!(answer.status, Some(0), "{answer:?}");
    assert!(
        answer.stdout.contains("# guess: the server's end is not in the recording"),
        "{answer:?}"
    );
    assert!(answer.stdout.contains("ends = \"refused\""), "{answer:?}");
}
