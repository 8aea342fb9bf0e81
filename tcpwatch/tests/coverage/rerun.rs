//! The only way in which a test may run something again: with a measured reason, counted and printed.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write as _},
    ops::RangeInclusive,
    thread,
};

use super::Uncovered;

/// The variable with the file to which each rerun is written as a line; `cargo xtask test` sets it and prints their
/// number.
pub(crate) const NOTED_IN: &str = "TCPWATCH_RERUNS";

/// Why something may be run again.
#[derive(Debug)]
pub(crate) struct Reason(String);

impl Reason {
    /// The kernel ran no BPF program for events of these network namespaces in this span of its clock.
    ///
    /// # Errors
    /// Why a rerun is not allowed: a program ran for every event there, or that is not known.
    pub(crate) fn uncovered(
        found: &Result<Vec<Uncovered>, String>,
        span: &RangeInclusive<u64>,
        netns: &[u32],
    ) -> Result<Self, String> {
        let found = found
            .as_ref()
            .map_err(|why| format!("whether BPF was kept from it is not known: {why}"))?;
        let there = |it: &&Uncovered| {
            span.contains(&it.at) && it.netns.is_some_and(|inode| netns.contains(&inode))
        };
        let mut there = found.iter().filter(there);
        let first = there.next().ok_or_else(|| {
            let other = found.len();
            format!(
                "a BPF program ran for every event of it ({other} events elsewhere without one)"
            )
        })?;
        let more = there.count();
        Ok(Self(format!("the kernel ran no BPF program for {} events: {first}", more + 1)))
    }

    /// tcpwatch or the kernel has counted what was lost.
    pub(crate) fn counted(what: &str) -> Self {
        Self(what.to_owned())
    }
}

/// Reports that `what` is run again.
pub(crate) fn note(what: &str, reason: &Reason) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{test}: {what}: {}", reason.0);
    writeln!(io::stderr(), "RERUN: {line}").unwrap();
    if let Some(path) = env::var_os(NOTED_IN) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        writeln!(file.unwrap(), "{}", line.replace('\n', " ")).unwrap();
    }
}
