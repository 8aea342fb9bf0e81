//! `tcpwatch doctor`: each finding is caused by a small program in network namespaces of its own, beside a neighbour
//! that looks alike and must not cause it. One run of the doctor sees all of them at once; the recording that it makes
//! is judged the same.

mod close;
mod connects;
mod families;
mod host;
mod listeners;
mod live;
mod peers;
mod windows;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    process::{Child, Command, Output, Stdio},
    sync::RwLock,
    thread,
};

use serde_json::Value;

use self::host::Host;
use crate::{
    carried,
    harness::{netns::Netns, program, scenarios::own_open_files},
};

/// Longer than it takes an idle connection to be used, and to get no answer.
const SECONDS: &str = "20";

/// What makes a situation, and the findings in the namespace of this host and of its neighbour: these, and no others.
struct Case {
    name: &'static str,
    make: fn(&Host) -> host::Kept,
    here: &'static [&'static str],
    there: &'static [&'static str],
}

/// All tables.
fn cases() -> Vec<Case> {
    [close::cases(), connects::cases(), families::cases(), listeners::cases(), windows::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// What the findings of some cases say.
const SAYS: [(&str, &str); 4] = [
    ("nobody accepts", "has not called accept()"),
    ("accepted too slowly", "accepts too slowly"),
    ("a dual-stack listener that is not accepted from", "has not called accept()"),
    ("ports that are taken one after the other", "at this rate none is left in"),
];

/// Findings of a run, and of its verdict.
struct Judged {
    findings: Vec<Value>,
    verdict: Value,
    status: Option<i32>,
}

impl Judged {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let (findings, mut rest): (Vec<_>, Vec<_>) =
            lines.partition(|line| line["event"] == "finding");
        let verdict = rest.pop().unwrap_or_else(|| panic!("no verdict: {output:?}"));
        Self { findings, verdict, status: output.status.code() }
    }

    /// The kinds, by network namespace.
    fn by_netns(&self) -> BTreeMap<u64, BTreeSet<String>> {
        let mut found: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for finding in &self.findings {
            let kind = finding["finding"].as_str().unwrap().to_owned();
            found.entry(finding["netns"].as_u64().unwrap()).or_default().insert(kind);
        }
        found
    }
}

fn doctor(args: &[&str]) -> Command {
    let mut command = program::tcpwatch();
    command.args(["doctor", "--format", "json"]).args(args);
    command
}

fn finished(mut child: Child) -> Output {
    let mut stdout = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    let status = child.wait().unwrap();
    Output { status, stdout, stderr: Vec::new() }
}

fn replayed(recording: &str) -> Judged {
    let mut command = Command::new(carried::program());
    let output = command.args(["doctor", "--format", "json", "--replay", recording]).output();
    Judged::of(&output.unwrap())
}

/// Makes all situations while the doctor looks, and keeps what their programs hold until it has judged.
fn judged_beside(hosts: &[(Case, Host)], doctor: Child) -> Judged {
    let judging = RwLock::new(());
    thread::scope(|scope| {
        let until_judged = judging.write().unwrap();
        for (case, host) in hosts {
            scope.spawn(|| {
                own_open_files();
                let kept = (case.make)(host);
                drop(judging.read());
                drop(kept);
            });
        }
        let judged = Judged::of(&finished(doctor));
        drop(until_judged);
        judged
    })
}

#[test]
fn each_fault_is_found_with_its_owner_its_neighbour_is_not_and_a_replay_judges_the_same() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let recording = recording.to_str().unwrap();
    let hosts: Vec<(Case, Host)> = cases().into_iter().map(|case| (case, Host::new())).collect();
    let mut command = doctor(&["-d", SECONDS, "--record", recording]);
    let (child, _stderr) = program::started(&mut command, Stdio::piped());
    let judged = judged_beside(&hosts, child);
    assert_eq!(judged.status, Some(1));
    let found = judged.by_netns();
    let mut wrong = Vec::new();
    for (case, host) in &hosts {
        for (netns, expected) in [(&host.here, case.here), (&host.there, case.there)] {
            let expected: BTreeSet<String> =
                expected.iter().map(|word| (*word).to_owned()).collect();
            let is = found.get(&u64::from(netns.inode)).cloned().unwrap_or_default();
            if is != expected {
                wrong.push(format!(
                    "{} (netns {}): {is:?} instead of {expected:?}",
                    case.name, netns.inode
                ));
            }
        }
    }
    for (name, words) in SAYS {
        let (_, host) = hosts.iter().find(|(case, _)| case.name == name).unwrap();
        let of_it = |finding: &&Value| finding["netns"] == host.here.inode;
        let says = |finding: &Value| finding["what"].as_str().unwrap().contains(words);
        if !judged.findings.iter().filter(of_it).any(says) {
            wrong.push(format!("{name}: nothing says {words:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{:#?}", wrong.join("\n"), judged.findings);
    let again = replayed(recording);
    assert_eq!(again.findings.len(), judged.findings.len(), "a replay judges the same");
    let fields = ["finding", "netns", "severity", "certainty", "count", "since", "process", "what"];
    let told = |judged: &Judged| -> BTreeSet<String> {
        let of = |finding: &Value| fields.map(|field| finding[field].to_string()).join(" ");
        judged.findings.iter().map(of).collect()
    };
    let (live, replayed) = (told(&judged), told(&again));
    let only_live: Vec<_> = live.difference(&replayed).collect();
    let only_replayed: Vec<_> = replayed.difference(&live).collect();
    assert!(
        only_live.is_empty() && only_replayed.is_empty(),
        "only live: {only_live:#?}\nonly in the replay: {only_replayed:#?}"
    );
}

#[test]
fn a_host_without_faults_is_all_clear_with_what_was_checked() {
    needs_root!();
    let netns = Netns::new();
    let output = doctor(&["-d", "1", "--netns", &netns.word()]).output().unwrap();
    let judged = Judged::of(&output);
    assert_eq!((judged.status, judged.findings.len()), (Some(0), 0), "{output:?}");
    assert_eq!(judged.verdict["findings"], 0);
    assert_eq!(judged.verdict["namespaces"], 1);
    let checked = judged.verdict["checked"].as_array().unwrap();
    assert!(
        checked.len() > 15 && checked.iter().any(|kind| kind == "close_wait_leak"),
        "{checked:?}"
    );
}

#[test]
fn every_line_of_the_doctor_is_as_its_schema_says() {
    needs_root!();
    let host = Host::new();
    let netns = host.here.word();
    let mut command = doctor(&["-d", "3", "--netns", &netns]);
    let (child, _stderr) = program::started(&mut command, Stdio::piped());
    let _kept = connects::refused(&host);
    let judged = Judged::of(&finished(child));
    let schema: Value =
        serde_json::from_str(tcpwatch_view::json_lines::finding::FINDINGS_SCHEMA).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert_eq!(judged.findings.len(), 1, "{:?}", judged.findings);
    for line in judged.findings.iter().chain([&judged.verdict]) {
        schema.validate(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let finding = &judged.findings[0];
    assert_eq!(finding["process"]["pid"], std::process::id(), "{finding}");
    assert_eq!(finding["examples"].as_array().unwrap().len(), 3, "{finding}");
}
