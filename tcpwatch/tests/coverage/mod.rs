//! Whether the kernel ran BPF programs for every event: a witness beside tcpwatch, by two independent methods.
//!
//! Some hardened kernels run no BPF program on a tracepoint, and make no `perf` sample, while a shielded task is
//! current: events in a softirq that interrupts such a task reach no BPF tool and no counter. This module measures
//! that: [`ftrace`] has every event of the tracepoints that tcpwatch uses, [`bpf`] has those for which another, minimal
//! BPF program ran. An event that only ftrace has is one that tcpwatch cannot have seen. If both have an event and
//! tcpwatch has not, it is tcpwatch's fault.
//!
//! Without tracefs, or without room for its events, there is no such witness, and no failure is excused.

mod bpf;
mod compare;
mod ftrace;
mod kernel;
mod pages;
pub(crate) mod rerun;
#[cfg(test)]
mod tests;
mod tracefs;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        OnceLock,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use self::{
    bpf::Programs,
    ftrace::{Counts, Events, Fired},
    kernel::Places,
};

/// The watched tracepoints. The programs use the same numbers (`tcpwatch-ebpf/src/bin/coverage.rs`).
const TRACEPOINTS: [&str; 9] = [
    "sock/inet_sock_set_state",
    "tcp/tcp_retransmit_skb",
    "tcp/tcp_retransmit_synack",
    "tcp/tcp_send_reset",
    "tcp/tcp_receive_reset",
    "timer/timer_start",
    "timer/timer_cancel",
    "timer/timer_expire_entry",
    // Its events do not have the socket: they are counted, but not compared.
    "sock/inet_sk_error_report",
];

/// How often both buffers are emptied.
const PAUSE: Duration = Duration::from_millis(10);

/// An event that the kernel traced without running a BPF program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uncovered {
    /// On the kernel's clock, in nanoseconds.
    pub(crate) at: u64,
    /// Inode of the socket's network namespace, if another run about the socket has it.
    pub(crate) netns: Option<u32>,
    fired: Fired,
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fired { tracepoint, states: (old, new), ports: (local, remote), cpu, thread, .. } =
            self.fired;
        write!(
            f,
            "{} {old}>{new}, ports {local} and {remote}, at {} on CPU {cpu} while thread {thread} was \
             current",
            TRACEPOINTS[tracepoint], self.at
        )
    }
}

/// Compares from its start until it is stopped.
pub(crate) struct Coverage {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Result<Vec<Uncovered>, String>>,
}

impl Coverage {
    /// Starts to compare.
    ///
    /// # Errors
    /// Why this machine cannot measure it.
    pub(crate) fn start() -> Result<Self, String> {
        let places = places()?;
        // In this order: an event in between has a run and no trace, which excuses nothing.
        let programs = Programs::attach(places, true)?;
        let events = Events::collect(places.handlers)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("coverage".to_owned());
        let thread = thread.spawn(move || follow(programs, events, &stopped)).unwrap();
        Ok(Self { stop, thread })
    }

    /// The events for which no program ran.
    ///
    /// # Errors
    /// Why that is not known.
    pub(crate) fn stop(self) -> Result<Vec<Uncovered>, String> {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

/// Determined once: the kernel stays the same.
fn places() -> Result<&'static Places, String> {
    static PLACES: OnceLock<Result<Places, String>> = OnceLock::new();
    PLACES.get_or_init(Places::find).as_ref().map_err(Clone::clone)
}

fn follow(
    mut programs: Programs,
    mut events: Events,
    stopped: &mpsc::Receiver<()>,
) -> Result<Vec<Uncovered>, String> {
    let (mut fired, mut ran) = (Vec::new(), Vec::new());
    loop {
        let is_over = stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout);
        if is_over {
            events.stop()?;
        }
        events.drain(&mut fired)?;
        programs.drain(&mut ran);
        if is_over {
            break;
        }
    }
    let (lost, dropped) = (events.lost()?, programs.dropped());
    if lost + dropped > 0 {
        return Err(format!("{lost} events and {dropped} records found no room"));
    }
    let found = compare::without_run(&ftrace::of_sockets(fired), &ran);
    Ok(unexplained(found, programs.skipped()))
}

/// Without those of tracepoints whose program the kernel skipped as often because it was running: such runs are missing
/// for another reason, and which ones is not known.
fn unexplained(
    found: Vec<(Fired, Option<u32>)>,
    skipped: [u64; TRACEPOINTS.len()],
) -> Vec<Uncovered> {
    let mut counts = [0; TRACEPOINTS.len()];
    for (fired, _) in &found {
        counts[fired.tracepoint] += 1;
    }
    let uncovered = |(fired, netns): (Fired, _)| Uncovered { at: fired.at, netns, fired };
    let is_unexplained =
        |(fired, _): &(Fired, _)| counts[fired.tracepoint] > skipped[fired.tracepoint];
    found.into_iter().filter(is_unexplained).map(uncovered).collect()
}

/// The number of events by the name of the tracepoint.
pub(crate) type PerTracepoint = BTreeMap<&'static str, u64>;

/// Only counts, for loads of which not every event can be kept.
pub(crate) struct Tally {
    programs: Programs,
    counts: Counts,
    ran: [u64; TRACEPOINTS.len()],
    fired: [u64; TRACEPOINTS.len()],
}

impl Tally {
    /// Starts to count.
    ///
    /// # Errors
    /// Why this machine cannot measure it.
    pub(crate) fn start() -> Result<Self, String> {
        let places = places()?;
        let programs = Programs::attach(places, false)?;
        let counts = Counts::open(places.handlers)?;
        // In this order: an event between the two has a run and no trace, which excuses nothing.
        let ran = programs.runs();
        let fired = counts.read();
        Ok(Self { programs, counts, ran, fired })
    }

    /// Events so far for which no program ran, of any socket, without those that the kernel skipped because the program
    /// was running. Those of `timer_cancel` are of any timer.
    pub(crate) fn uncovered(&self) -> PerTracepoint {
        let fired = self.counts.read();
        let (ran, skipped) = (self.programs.runs(), self.programs.skipped());
        let of = |slot: usize| {
            let fired = fired[slot] - self.fired[slot];
            fired.saturating_sub(ran[slot] - self.ran[slot] + skipped[slot])
        };
        let name = |slot: usize| TRACEPOINTS[slot].rsplit('/').next().unwrap();
        (0..TRACEPOINTS.len()).map(|slot| (name(slot), of(slot))).collect()
    }
}
