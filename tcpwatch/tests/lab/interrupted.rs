//! A run that is ended at any point and by any means: no process, network namespace, socket, link, program or map of it
//! is left, and the caller's own network is as before.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, Lines, Read as _},
    os::fd::OwnedFd,
    process::{Child, ChildStdout, ExitStatus, Stdio},
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    harness::{DEADLINE, inside},
    hosts::outside,
    leftovers::wait_until_gone,
    program::{file, lab, path},
};

/// A run in progress, and everything that exists because of it.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    hosts: Vec<u32>,
    netns: Vec<u32>,
    /// Held open to list the sockets in it.
    inside: Vec<OwnedFd>,
    programs: BTreeSet<u32>,
    links: BTreeSet<u32>,
    maps: BTreeSet<u32>,
}

/// The processes that any of its threads started.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = threads.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let numbers: Vec<_> = lists.collect();
    numbers
        .iter()
        .flat_map(|list| list.split_whitespace())
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// The values that its open files have under this key.
fn numbers(pid: u32, key: &str) -> BTreeSet<u32> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten();
    let texts: Vec<_> = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.filter_map(|line| line.strip_prefix(key)).map(|id| id.trim().parse().unwrap()).collect()
}

impl Running {
    /// Starts it and waits for the line that has all these words.
    fn until(args: &[&str], words: &[&str]) -> Self {
        let mut command = lab(&["run"]);
        let command = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.by_ref().map(Result::unwrap);
        let line = { told }.find(|line| words.iter().all(|word| line.contains(word)));
        assert!(line.is_some(), "{words:?} is printed");
        let pid = child.id();
        let hosts = children(pid);
        let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        let names: BTreeSet<_> = hosts.iter().map(name).collect();
        assert!(names.contains("lab-client\n") && names.contains("lab-server\n"), "{names:?}");
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let mut ways: Vec<_> = hosts.iter().map(|pid| format!("/proc/{pid}/ns/net")).collect();
        // Its threads may be in namespaces of their own.
        for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            ways.push(format!("{}/ns/net", task.path().display()));
        }
        ways.retain(|way| fs::read_link(way).is_ok_and(|netns| netns != own));
        let inode = |way: &String| {
            let name = fs::read_link(way).unwrap();
            let name = name.to_str().unwrap().strip_prefix("net:[").unwrap();
            name.strip_suffix(']').unwrap().parse().unwrap()
        };
        let inside = ways.iter().map(|way| File::open(way).unwrap().into()).collect();
        let netns = ways.iter().map(inode).collect();
        let [programs, attached, maps] =
            ["prog_id:", "link_id:", "map_id:"].map(|key| numbers(pid, key));
        assert!(programs.len() > 5 && !attached.is_empty(), "{programs:?} {attached:?}");
        assert!(!maps.is_empty(), "it has maps");
        Self { child, lines, hosts, netns, inside, programs, links: attached, maps }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end and until nothing is left of it; returns its exit status and its last lines.
    fn ended(mut self) -> (ExitStatus, String) {
        drop(self.lines);
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        for netns in &self.inside {
            wait_for(|| {
                let sockets = inside(netns, || {
                    let all = ["tcp", "tcp6"].map(|name| format!("/proc/thread-self/net/{name}"));
                    all.map(|path| fs::read_to_string(path).unwrap()).concat()
                });
                // Each has a title.
                if sockets.lines().count() == 2 { Ok(()) } else { Err(sockets) }
            });
        }
        // Now only this test holds them.
        drop(self.inside);
        wait_until_gone(&self.hosts, &self.netns);
        wait_for(|| {
            let programs = aya::programs::loaded_programs().flatten().map(|program| program.id());
            let programs: Vec<_> = programs.filter(|id| self.programs.contains(id)).collect();
            let links = aya::programs::loaded_links().flatten().map(|link| link.id());
            let links: Vec<_> = links.filter(|id| self.links.contains(id)).collect();
            let maps = aya::maps::loaded_maps().flatten().map(|map| map.id());
            let maps: Vec<_> = maps.filter(|id| self.maps.contains(id)).collect();
            let nothing = programs.is_empty() && links.is_empty() && maps.is_empty();
            let left = || format!("programs {programs:?}, links {links:?}, maps {maps:?}");
            if nothing { Ok(()) } else { Err(left()) }
        });
        (status, said)
    }
}

/// Waits until nothing is left, which the kernel frees after the end of a process.
fn wait_for(mut left: impl FnMut() -> Result<(), String>) {
    let begun = Instant::now();
    while let Err(what) = left() {
        assert!(begun.elapsed() < DEADLINE, "left: {what}");
        std::thread::yield_now();
    }
}

/// A minute of FIN_WAIT_2 has begun.
fn long() -> Running {
    Running::until(&["fin-wait-2"], &["FIN_WAIT_2 \u{25cf}"])
}

/// An orphan in FIN_WAIT_1 retransmits for a minute and a half.
fn retrying() -> Running {
    Running::until(&["fin-wait-1"], &["FIN retry 1"])
}

#[test]
fn an_interrupted_run_says_so_and_leaves_nothing() {
    needs_root!();
    let before = outside();
    let runs = [(long(), Signal::INT), (retrying(), Signal::INT), (long(), Signal::TERM)];
    for (run, signal) in runs {
        run.signal(signal);
        let (status, said) = run.ended();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("interrupted"), "{said}");
    }
    assert_eq!(outside(), before);
}

#[test]
fn a_killed_run_leaves_nothing_not_even_what_retries() {
    needs_root!();
    let before = outside();
    for run in [long(), retrying()] {
        run.signal(Signal::KILL);
        let (status, said) = run.ended();
        assert_eq!(status.code(), None, "{said}");
    }
    assert_eq!(outside(), before);
}

#[test]
fn many_runs_at_once_are_interrupted_like_one() {
    needs_root!();
    // `listen` is over first, when the other is in its minute.
    let run = Running::until(&["listen", "fin-wait-2"], &["listen"]);
    run.signal(Signal::INT);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("interrupted"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_a_normal_end_at_once() {
    needs_root!();
    // Further lines follow the one that is waited for, so that the missing reader is noticed soon.
    let text = fs::read_to_string("lab/src/scenarios/fin-wait-1.toml").unwrap();
    let retries = file(&text);
    let begun = Instant::now();
    let (status, said) = Running::until(&[path(&retries)], &["FIN retry 1"]).ended();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    assert!(begun.elapsed().as_secs() < 30, "it would take a minute and a half");
}
