//! The parts of the tests: namespaces, the program under test, sockets and processes.

pub(crate) mod cgroup;
pub(crate) mod churn;
pub(crate) mod connections;
pub(crate) mod every_state;
pub(crate) mod exporter;
pub(crate) mod info;
pub(crate) mod kernel;
pub(crate) mod line;
pub(crate) mod lives;
pub(crate) mod netns;
pub(crate) mod options;
pub(crate) mod peer;
pub(crate) mod program;
pub(crate) mod scenarios;
pub(crate) mod segment;
pub(crate) mod sockets;
pub(crate) mod tapped;
pub(crate) mod watch;
pub(crate) mod witness;

use std::{
    thread,
    time::{Duration, Instant},
};

pub(crate) use scenarios::side_by_side;

/// How long a test waits for an expected event. A deadline, never a pace.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The first pause of [`poll`]. Each is longer than the one before, because a question may start a program, and
/// an emulated processor would do nothing else.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Polls until there is a result, for what sends no event.
pub(crate) fn poll<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    poll_within(DEADLINE, what, ask)
}

/// The same with a longer time limit.
pub(crate) fn poll_within<T>(span: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + span;
    let mut pause = SHORTEST_PAUSE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// Lets time pass that is part of the scenario itself.
pub(crate) fn let_pass(span: Duration) {
    thread::sleep(span);
}
