//! Scenarios that run side by side inside one test.

use std::{ops::RangeInclusive, thread};

use nix::sched::{CloneFlags, unshare};
use tcpwatch_kernel::clock;

use super::netns;
use crate::coverage::{
    Coverage,
    rerun::{self, Reason},
};

/// A name and what to do.
pub(crate) type Scenario<'a> = (&'a str, fn());

/// The maximal number of runs of a scenario.
const TRIES: usize = 3;

/// One that failed.
struct Failed<'a> {
    scenario: Scenario<'a>,
    /// When it ran, on the kernel's clock.
    span: RangeInclusive<u64>,
    /// Inodes of the network namespaces that it made.
    netns: Vec<u32>,
}

/// Runs scenarios side by side. One that fails is run again only if the kernel ran no BPF program for an
/// event in its network namespaces while it ran.
pub(crate) fn side_by_side(scenarios: &[Scenario<'_>]) {
    let mut left = scenarios.to_vec();
    for attempt in 1..=TRIES {
        let coverage = Coverage::start();
        let failed = run(&left);
        let found = coverage.and_then(Coverage::stop);
        let reason = |it: &Failed<'_>| Reason::uncovered(&found, &it.span, &it.netns);
        let mut hopeless = Vec::new();
        left.clear();
        for it in failed {
            match reason(&it) {
                Ok(reason) if attempt < TRIES => {
                    rerun::note(it.scenario.0, &reason);
                    left.push(it.scenario);
                }
                Ok(reason) => {
                    hopeless.push(format!("{}, for the last time: {reason:?}", it.scenario.0));
                }
                Err(why) => hopeless.push(format!("{}: {why}", it.scenario.0)),
            }
        }
        assert!(hopeless.is_empty(), "failed: {hopeless:#?}");
        if left.is_empty() {
            return;
        }
    }
}

/// Returns those that failed.
fn run<'a>(scenarios: &[Scenario<'a>]) -> Vec<Failed<'a>> {
    thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .iter()
            .map(|&(name, scenario)| {
                let thread = thread::Builder::new().name(name.to_owned());
                let act = move || attempt((name, scenario));
                thread.spawn_scoped(scope, act).unwrap()
            })
            .collect();
        running.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Gives the calling thread, and those it starts, a table of open files of their own: what others have open stays open in
/// it, and what it opens is no one else's. With a common table, a process that another scenario starts holds this one's
/// sockets until it has called `execve`: a close here is not the last close then, and the process that is being started
/// is the one that closes.
pub(crate) fn own_open_files() {
    unshare(CloneFlags::CLONE_FILES).unwrap();
}

/// `None` if it passed.
fn attempt((name, scenario): Scenario<'_>) -> Option<Failed<'_>> {
    own_open_files();
    let begun = clock::now().0;
    let result = std::panic::catch_unwind(scenario);
    let netns = netns::take_made_here();
    let span = begun..=clock::now().0;
    result.is_err().then_some(Failed { scenario: (name, scenario), span, netns })
}
