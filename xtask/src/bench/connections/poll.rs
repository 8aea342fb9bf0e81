//! Runs `ss` every 10 ms and counts the states that it shows.

use std::{
    collections::HashSet,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::bench::{
    proc_files,
    workload::{self, Working},
};

/// Time from the start of one `ss` to the start of the next, if the first has ended by then.
const INTERVAL: Duration = Duration::from_millis(10);

/// A thread that runs `ss` repeatedly.
#[derive(Debug)]
pub(super) struct Poll {
    stop: Arc<AtomicBool>,
    polling: Working<u64>,
    before: Duration,
}

/// The cost and the result of polling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polled {
    /// CPU time of all runs of `ss` together.
    pub(super) cpu: Duration,
    /// Number of different stays of a socket in a state that were shown; stays in LISTEN and TIME_WAIT, which last, are
    /// not counted.
    pub(super) shown: u64,
}

impl Poll {
    /// Starts to poll in the network namespace of this thread.
    pub(super) fn start() -> Result<Self> {
        let before = proc_files::ended_children()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let polling = workload::begin(move || poll(&stopped))?;
        Ok(Self { stop, polling, before })
    }

    pub(super) fn end(self) -> Result<Polled> {
        self.stop.store(true, Ordering::Relaxed);
        let shown = self.polling.end()?;
        let cpu = proc_files::ended_children()?.saturating_sub(self.before);
        Ok(Polled { cpu, shown })
    }
}

fn poll(stop: &AtomicBool) -> Result<u64> {
    let mut shown = HashSet::new();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let ss = Command::new("ss").args(["-H", "-tan"]).output().context("cannot start ss")?;
        ensure!(ss.status.success(), "ss failed: {}", String::from_utf8_lossy(&ss.stderr));
        shown.extend(String::from_utf8_lossy(&ss.stdout).lines().filter_map(stay));
        sleep(INTERVAL.saturating_sub(start.elapsed()));
    }
    u64::try_from(shown.len()).context("too many states")
}

/// State and both endpoints of a line, unless it is a state that lasts.
fn stay(line: &str) -> Option<(String, String, String)> {
    let mut words = line.split_whitespace();
    let state = words.next().filter(|state| !matches!(*state, "LISTEN" | "TIME-WAIT"))?;
    let mut ends = words.skip(2).map(str::to_owned);
    Some((state.to_owned(), ends.next()?, ends.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_in_a_state_that_lasts_is_not_counted() {
        let ends = "127.0.0.1:11111 127.0.0.1:40000";
        let line = |state| format!("{state} 0      0      {ends}  ");
        let word = |text: &str| text.to_owned();
        let expected = (word("FIN-WAIT-2"), word("127.0.0.1:11111"), word("127.0.0.1:40000"));
        assert_eq!(stay(&line("FIN-WAIT-2")), Some(expected), "state, local, remote");
        assert_eq!(stay(&line("TIME-WAIT")), None, "it lasts a minute");
        assert_eq!(stay("LISTEN 0 128 0.0.0.0:11111 0.0.0.0:*"), None, "it lasts as it likes");
    }
}
