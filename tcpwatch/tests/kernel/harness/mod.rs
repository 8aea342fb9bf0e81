//! What the tests are made of: namespaces, the program under test, sockets and processes.

pub(crate) mod churn;
pub(crate) mod connections;
pub(crate) mod exporter;
pub(crate) mod info;
pub(crate) mod kernel;
pub(crate) mod line;
pub(crate) mod lives;
pub(crate) mod netns;
pub(crate) mod peer;
pub(crate) mod program;
pub(crate) mod segment;
pub(crate) mod sockets;
pub(crate) mod tapped;
pub(crate) mod watch;
pub(crate) mod witness;

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for what has to come. A deadline, never a pace.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Asks again and again until there is an answer, for what sends no event.
pub(crate) fn poll<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    poll_within(DEADLINE, what, ask)
}

/// The same, for what takes longer.
pub(crate) fn poll_within<T>(span: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + span;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Lets a span of time pass that is part of the scenario itself.
pub(crate) fn let_pass(span: Duration) {
    thread::sleep(span);
}

/// Runs scenarios side by side; every one that fails is told.
pub(crate) fn side_by_side(scenarios: &[Scenario<'_>]) {
    let mut failed = run(scenarios);
    if (1..=REPEATED).contains(&failed.len()) {
        println!("once more, because hooks may have been left out: {:?}", names(&failed));
        failed = run(&failed);
    }
    assert!(failed.is_empty(), "failed: {:?}", names(&failed));
}

/// A name and what to do.
pub(crate) type Scenario<'a> = (&'a str, fn());

/// Scenarios that are run once more if they fail. In a loaded machine the kernel was seen to leave out
/// all hooks for some microseconds, in every watcher at once and without counting a skipped run; what
/// happens then is told by nobody.
const REPEATED: usize = 2;

/// Returns those that failed.
fn run<'a>(scenarios: &[Scenario<'a>]) -> Vec<Scenario<'a>> {
    thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .iter()
            .map(|(name, scenario)| {
                let thread = thread::Builder::new().name((*name).to_owned());
                ((*name, *scenario), thread.spawn_scoped(scope, scenario).unwrap())
            })
            .collect();
        let ended = running.into_iter().map(|(scenario, thread)| (scenario, thread.join()));
        ended.filter(|(_, result)| result.is_err()).map(|(scenario, _)| scenario).collect()
    })
}

fn names<'a>(scenarios: &[Scenario<'a>]) -> Vec<&'a str> {
    scenarios.iter().map(|(name, _)| *name).collect()
}
