//! The events of a run on the kernel's clock: system calls, events of the live log, segments that passed or were
//! dropped.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tcpwatch_core::{
    event::{KernelTime, Netns, SegmentEvent, TcpState},
    timing::{Sysctls, wheel::TickRate},
    track::TrackedEvent,
};
use tcpwatch_kernel::probe::filters::FamilyFilter;

use super::{
    host::Host,
    lacking::Lacking,
    scenario::{Scenario, Signal},
    verdict::Verdict,
};

/// An event on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoryEvent {
    /// When it happened.
    pub at: KernelTime,
    /// The host.
    pub host: Host,
    /// What happened.
    pub what: MomentKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MomentKind {
    /// A system call began; only calls that may take long are reported twice.
    Called(SystemCall),
    /// A system call returned.
    Returned(SystemCall),
    /// The process got a signal.
    Signal(Signal),
    /// An event of the live log: a change, a retransmission, a reset, an error.
    TrackedEvent(Box<TrackedEvent>),
    /// A segment passed the host's link, or was dropped there.
    Segment(Box<SegmentEvent>),
    /// A rule was set on the host's link, by its slot.
    RuleSet(usize),
    /// A rule was removed.
    RuleReleased(usize),
    /// `sock_diag` listed sockets of the host in these states, listeners included. Only if the states differ from those
    /// of the previous query.
    Witness(Vec<TcpState>),
}

/// A system call of a host's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCall {
    /// The socket's name in the scenario.
    pub socket: String,
    /// `connect`, `accept`…
    pub name: String,
    /// As strace shows it without the result: `accept(3)`, `listen(3, 16)`.
    pub call: String,
    /// What it returned: a number from 0, or the name of an error (`ECONNREFUSED`). `None` while it
    /// has not returned.
    pub result: Option<Result<i64, String>>,
}

impl SystemCall {
    /// As strace shows it: `accept(3) = 4`, `connect(3) = -1 ECONNREFUSED`.
    #[must_use]
    pub fn line(&self) -> String {
        match &self.result {
            None => self.call.clone(),
            Some(Ok(value)) => format!("{} = {value}", self.call),
            Some(Err(error)) => format!("{} = -1 {error}", self.call),
        }
    }
}

/// A run from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Run {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The profile.
    pub profile: Profile,
    /// The protocol of the addresses.
    pub family: FamilyFilter,
    /// The client's and the server's sysctls during the run.
    pub sysctls: [Sysctls; 2],
    /// Ticks of the kernel per second.
    pub rate: TickRate,
    /// When the first step began.
    pub started: KernelTime,
    /// When the last step was done.
    pub ended: KernelTime,
    /// Its events, in order.
    pub story: Vec<StoryEvent>,
    /// Segments that each rule dropped, by slot.
    pub dropped: Vec<u64>,
    /// The client's and the server's network namespace.
    pub netns: [Netns; 2],
    /// Lost records, so that the story may have holes: those counted as lost, and those that must have existed by other
    /// events of the run.
    pub lost: u64,
    /// Of these, the records that were counted as lost.
    pub counted: u64,
    /// Earlier runs of the scenario that proved nothing, and that this one replaces.
    pub discarded: Vec<Discarded>,
    /// A step that could not be done, or a wait that was too long: the condition, and the state instead.
    pub failure: Option<String>,
    /// The verdicts on its expectations.
    pub verdicts: Vec<Verdict>,
    /// Notes for the reader, for example about a rule that never matched.
    pub warnings: Vec<String>,
}

impl Run {
    /// Whether all verdicts hold and no step failed.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failure.is_none() && self.verdicts.iter().all(|verdict| verdict.holds)
    }

    /// This run as a replacement of `first`, which proved nothing; it has a warning about that.
    #[must_use]
    pub fn in_place_of(mut self, first: Self) -> Self {
        let discarded = Discarded::from(&first);
        let Discarded { lost, why, .. } = &discarded;
        self.warnings.push(format!(
            "an earlier run was discarded, because {lost} records of what the kernel did were missing: {why}"
        ));
        self.discarded = first.discarded;
        self.discarded.push(discarded);
        self
    }

    /// A host's sysctls.
    #[must_use]
    pub const fn sysctls(&self, host: Host) -> &Sysctls {
        let [client, server] = &self.sysctls;
        match host {
            Host::Client => client,
            Host::Server => server,
        }
    }
}

/// A run that did not hold and had lost records, so that it proved nothing.
#[derive(Clone, Debug)]
pub struct Discarded {
    /// When its first step began.
    pub started: KernelTime,
    /// When its last step was done.
    pub ended: KernelTime,
    /// The client's and the server's network namespace.
    pub netns: [Netns; 2],
    /// As in [`Run::lost`].
    pub lost: u64,
    /// As in [`Run::counted`].
    pub counted: u64,
    /// The failure, or the first verdict that did not hold.
    pub why: String,
}

impl From<&Run> for Discarded {
    fn from(run: &Run) -> Self {
        let fails = run.verdicts.iter().find(|verdict| !verdict.holds);
        let fails = fails.map(|verdict| format!("{}: {}", verdict.what, verdict.measured));
        Self {
            started: run.started,
            ended: run.ended,
            netns: run.netns,
            lost: run.lost,
            counted: run.counted,
            why: run.failure.clone().or(fails).unwrap_or_default(),
        }
    }
}

/// A run that is not made.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The protocol of the addresses.
    pub family: FamilyFilter,
    /// Why it is not made.
    pub why: Lacking,
}

/// How long a scenario may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Timers are shortened as far as sysctls allow.
    Quick,
    /// The kernel's defaults.
    #[default]
    Full,
}
