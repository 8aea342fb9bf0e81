//! Why the kernel side could not be attached, and what the reader can do.

use aya::{EbpfError, maps::MapError, programs::ProgramError};

use super::layout::LayoutError;
use crate::event::Netns;

/// The kernel side is not attached.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The process may not load eBPF programs.
    #[error(
        "loading eBPF programs needs {}; run tcpwatch with sudo, or give the binary these \
         capabilities with `setcap cap_bpf,cap_perfmon+ep`",
        missing.join(" and ")
    )]
    Privilege {
        /// Capabilities that are missing.
        missing: Vec<&'static str>,
    },
    /// The kernel's structures cannot be found.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The kernel has no ring buffer map.
    #[error("kernel {release} has no BPF ring buffer; tcpwatch needs Linux 5.8 or newer")]
    NoRingBuffer {
        /// `uname -r`.
        release: String,
    },
    /// The kernel's type information does not hold what aya needs.
    #[error("cannot use the kernel's type information")]
    Btf(#[from] aya::BtfError),
    /// The object file, its maps or its relocations were refused.
    #[error("cannot load the kernel side: {0}")]
    Object(#[from] EbpfError),
    /// A map was refused.
    #[error("cannot set up the kernel side's maps: {0}")]
    Map(#[from] MapError),
    /// A program is not in the object file.
    #[error("the built-in object file has no program `{program}`; this build is broken")]
    NoProgram {
        /// Name of the program.
        program: &'static str,
    },
    /// A hook was refused.
    #[error("kernel {release} refuses the hook on tracepoint `{tracepoint}`: {reason}")]
    Hook {
        /// `uname -r`.
        release: String,
        /// Name of the tracepoint.
        tracepoint: &'static str,
        /// The verifier's last words, or the system call's error.
        reason: String,
    },
    /// A program of the tap was refused.
    #[error(
        "kernel {release} refuses the program `{program}` for the laboratory's links: {reason}"
    )]
    TapProgram {
        /// `uname -r`.
        release: String,
        /// Name of the program.
        program: &'static str,
        /// The verifier's last words, or the system call's error.
        reason: String,
    },
    /// A link cannot be tapped.
    #[error(
        "cannot tap interface `{interface}` in network namespace {}: {reason}; the kernel needs \
         tcx (Linux 6.6) or CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF",
        inode.0
    )]
    Tap {
        /// Name of the interface.
        interface: String,
        /// The namespace.
        inode: Netns,
        /// The system call's error.
        reason: String,
    },
    /// The tap's tables are full.
    #[error(
        "no room for another {what}: the laboratory taps {most} links at most, two for each run; \
         run fewer scenarios at a time"
    )]
    TapFull {
        /// What there is no room for.
        what: &'static str,
        /// Links at most.
        most: u32,
    },
    /// A rule too many on a link.
    #[error("a link has room for {most} rules, numbered from 0: there is no slot {slot}")]
    NoSlot {
        /// The number.
        slot: usize,
        /// How many there are.
        most: u32,
    },
}

impl ProbeError {
    /// Is something missing on this machine, rather than broken in tcpwatch?
    #[must_use]
    pub const fn is_precondition(&self) -> bool {
        match self {
            Self::Privilege { .. }
            | Self::Layout(_)
            | Self::NoRingBuffer { .. }
            | Self::Btf(_)
            | Self::Hook { .. }
            | Self::TapProgram { .. }
            | Self::Tap { .. } => true,
            Self::Object(_)
            | Self::Map(_)
            | Self::NoProgram { .. }
            | Self::TapFull { .. }
            | Self::NoSlot { .. } => false,
        }
    }
}

/// What hides this function from every program (`bpf_tracing_func_proto`, `kernel/trace/bpf_trace.c`).
const LOCKED_DOWN: &str = "the kernel is locked down (`cat /sys/kernel/security/lockdown` says \
     [confidentiality]); boot it with lockdown=integrity or without lockdown";

/// aya takes the older helper where it finds no newer one.
fn is_locked_down(line: &str) -> bool {
    ["unknown func ", "program of this type cannot use helper "]
        .iter()
        .filter_map(|words| line.strip_prefix(words))
        .any(|helper| helper.starts_with("bpf_probe_read"))
}

/// The useful part of a refusal: the system call's error and the verifier's last three lines.
pub(super) fn reason(error: &ProgramError) -> String {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return error.to_string();
    };
    let log = verifier_log.to_string();
    let mut last: Vec<&str> =
        log.lines().rev().filter(|line| !line.starts_with("processed ")).take(60).collect();
    last.reverse();
    if log.lines().any(is_locked_down) {
        return LOCKED_DOWN.to_owned();
    }
    format!("{io_error}; the verifier said: {}", last.join("\n"))
}
