//! A reader that is killed at work: the kernel removes everything that it had attached.

use std::{collections::BTreeSet, thread, time::Duration};

use aya::{maps::loaded_maps, programs::loaded_links};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    paths::JSON,
    reader::Reader,
    snmp::time_wait,
    workload::{Churn, Much},
};
use crate::harness::{
    exporter::Exporter,
    netns::Netns,
    poll,
    program::{ids_of, loaded_programs},
};

/// How long the churn goes on, during which the reader is killed.
const SPAN: Duration = Duration::from_millis(600);

/// Programs, maps and links.
#[derive(Debug)]
struct Holdings([BTreeSet<u32>; 3]);

impl Holdings {
    fn of(pid: u32) -> Self {
        let holdings = ["prog_id:", "map_id:", "link_id:"].map(|key| ids_of(pid, key));
        assert!(holdings.iter().all(|ids| !ids.is_empty()), "{holdings:?}");
        Self(holdings)
    }

    /// The kernel frees them a moment after the process.
    fn await_end(&self) {
        let gone = || {
            let maps = loaded_maps().flatten().map(|map| map.id()).collect();
            let links = loaded_links().flatten().map(|link| link.id()).collect();
            let loaded: [BTreeSet<u32>; 3] = [loaded_programs(), maps, links];
            let is_gone = self.0.iter().zip(&loaded).all(|(own, all)| own.is_disjoint(all));
            is_gone.then_some(())
        };
        poll("all of it is gone", gone);
    }
}

/// Kills the process while all CPUs churn.
fn kill_amidst(netns: &Netns, pid: u32) {
    let mut churn = Churn::new(netns);
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            churn.run(Much::For(SPAN));
            churn.made()
        });
        let moved = || (time_wait(netns) > 10).then_some(());
        poll("the churn is on", moved);
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
        assert!(working.join().unwrap().whole > 0, "the churn goes on without it");
    });
}

#[test]
fn nothing_is_left_of_a_log_that_is_killed() {
    needs_root!();
    let netns = Netns::new();
    let word = netns.word();
    let args: Vec<_> = ["--netns", &word].into_iter().chain(JSON.args.iter().copied()).collect();
    let reader = Reader::start(&args);
    let holdings = Holdings::of(reader.pid());
    kill_amidst(&netns, reader.pid());
    reader.wait();
    holdings.await_end();
}

#[test]
fn nothing_is_left_of_metrics_that_are_killed() {
    needs_root!();
    let netns = Netns::new();
    let exporter = Exporter::on(&netns);
    let holdings = Holdings::of(exporter.pid());
    kill_amidst(&netns, exporter.pid());
    holdings.await_end();
}
