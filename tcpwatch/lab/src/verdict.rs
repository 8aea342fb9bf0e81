//! A verdict: what was expected, what was measured, and whether that holds.

use std::time::Duration;

use tcpwatch_core::timing::Window;

/// What became of one expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is judged: `client stays in FIN_WAIT_2`.
    pub what: String,
    /// What was expected, in words or as a time.
    pub expected: String,
    /// What was measured, in words or as a time.
    pub measured: String,
    /// For times: what the kernel allows, and what it took.
    pub times: Option<Times>,
    /// Where the expected comes from: `tcp_fin_timeout = 60, timer wheel 2.05 s`.
    pub because: Option<String>,
    /// It holds.
    pub holds: bool,
}

/// A measured time and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the promise to the latest, tolerances included.
    pub allowed: Window,
    /// What it took.
    pub measured: Duration,
}
