//! A verdict: what was expected, what was measured, and whether that holds.

use std::time::Duration;

use tcpwatch_core::timing::Window;

/// The result of one expectation.
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
    /// The origin of the expected value: `tcp_fin_timeout = 60, timer wheel 2.05 s`.
    pub because: Option<String>,
    /// Whether the expectation holds.
    pub holds: bool,
}

/// A measured time and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the nominal time to the latest one, tolerances included.
    pub allowed: Window,
    /// The measured time.
    pub measured: Duration,
}
