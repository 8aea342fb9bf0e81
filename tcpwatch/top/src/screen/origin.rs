//! Where what is shown comes from, and what may be assumed about its reader.

use tcpwatch_core::{
    event::{KernelTime, Netns, WallClock},
    timing::{Sysctls, wheel::TickRate},
};
use tcpwatch_doctor::Finding;
use tcpwatch_kernel::source::ancestry::Ancestry;
use tcpwatch_view::time_of_day::TimeOfDay;

use crate::{filter::LogWords, findings::Passes};

/// Finds the sysctls of a network namespace.
pub type AskSysctls = Box<dyn FnMut(Netns) -> Option<Sysctls>>;

/// Finds the parents of a process and the file of a unit.
pub type AskAncestry = Box<dyn FnMut(Option<u32>, Option<&str>) -> Ancestry>;

/// The text of a finding: what, whose, evidence, causes, what to check and change.
pub type Explain = Box<dyn FnMut(&Finding, KernelTime, &WallClock) -> String>;

/// What the screen may assume about its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Colours are wanted.
    pub color: bool,
    /// No characters but ASCII.
    pub ascii: bool,
}

/// Where it comes from.
pub struct Origin {
    /// The filters that were decided before: `port 443`.
    pub filters: String,
    /// It is a recording.
    pub recording: bool,
    /// For times of the kernel's clock.
    pub clock: WallClock,
    /// How moments are shown.
    pub times: TimeOfDay,
    /// Ticks per second of that kernel.
    pub rate: TickRate,
    /// By which rules its namespaces send again.
    pub sysctls: AskSysctls,
    /// The filters of the log.
    pub words: LogWords,
    /// The filters that were decided before, if there are any.
    pub passes: Option<Passes>,
    /// For findings.
    pub explain: Explain,
    /// For owners; there is nothing to ask about those of a recording.
    pub ancestry: AskAncestry,
}
