//! Why the kernel side could not be attached, and what the reader can do.

use std::{io, path::PathBuf};

use aya::{BtfError, EbpfError, maps::MapError, programs::ProgramError, sys::SyscallError};
use tcpwatch_core::event::Netns;

use super::{Facts, layout::LayoutError};

/// The kernel side is not attached.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There was no BPF toolchain when tcpwatch was built.
    #[error(
        "this tcpwatch was built without its kernel side, because there was no BPF toolchain; in its \
         sources run `cargo xtask setup`, then build it again"
    )]
    NotBuilt,
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
    /// The process is in a user namespace.
    #[error(
        "loading eBPF programs needs CAP_BPF and CAP_PERFMON on the machine itself, and this process \
         is in a user namespace, whose capabilities do not count; run tcpwatch outside of it: not in \
         a rootless container, and not in one with users of its own (`--userns=host` shares the \
         machine's)"
    )]
    UserNamespace,
    /// `/proc` or `/sys` is not what it should be.
    #[error(
        "{} must be mounted here, and must not be hidden in a container: {}",
        missing.join(" and "),
        missing.iter().map(|path| mounting(path)).collect::<Vec<_>>().join("; ")
    )]
    NotMounted {
        /// What is not there.
        missing: Vec<&'static str>,
    },
    /// Too few files may be opened.
    #[error(
        "tcpwatch needs {needed} file descriptors, and this process may open only {free} more; raise \
         the limit with `ulimit -n 1024`, or LimitNOFILE= of a systemd unit"
    )]
    FewDescriptors {
        /// That may still be opened.
        free: u64,
        /// That are needed.
        needed: u64,
    },
    /// The kernel's type information is not there or damaged.
    #[error("cannot use the kernel's type information in {}: {why}", path.display())]
    Types {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
    /// The kernel refuses eBPF in spite of the capabilities.
    #[error("kernel {release} refuses the system call bpf(): {source}; {}", suspects.join("; "))]
    Refused {
        /// `uname -r`.
        release: String,
        /// The system call's error.
        source: io::Error,
        /// What can be the reason, and what to do.
        suspects: Vec<&'static str>,
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
    Btf(#[from] BtfError),
    /// The object file, its maps or its relocations were refused.
    #[error("cannot load the kernel side: {0}")]
    Object(#[source] EbpfError),
    /// The kernel does not make a map.
    #[error("cannot make the kernel side's map `{map}`: {source}; {}", remedy(map, source))]
    NoMap {
        /// Name of the map.
        map: String,
        /// The system call's error.
        source: io::Error,
    },
    /// A map was refused.
    #[error("cannot set up the kernel side's maps: {0}")]
    Map(#[source] MapError),
    /// A program is not in the object file.
    #[error("the built-in object file has no program `{program}`; this build is broken")]
    NoProgram {
        /// Name of the program.
        program: &'static str,
    },
    /// The kernel has no such tracepoint.
    #[error("kernel {release} has no tracepoint `{tracepoint}`; another version may have it")]
    NoTracepoint {
        /// `uname -r`.
        release: String,
        /// Name of the tracepoint.
        tracepoint: &'static str,
    },
    /// The kernel does not lend programs on tracepoints a function that they need.
    #[error(
        "kernel {release} does not let the hook on tracepoint `{tracepoint}` call `{helper}`: {why}"
    )]
    NoHelper {
        /// `uname -r`.
        release: String,
        /// Name of the tracepoint.
        tracepoint: &'static str,
        /// Name of the function.
        helper: &'static str,
        /// Since when it does, or what forbids it.
        why: &'static str,
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
        !matches!(
            self,
            Self::Object(_)
                | Self::Map(_)
                | Self::NoProgram { .. }
                | Self::TapFull { .. }
                | Self::NoSlot { .. }
        )
    }

    /// The kernel said no to a process that seems to have what it takes.
    pub(super) fn refused(facts: &Facts, source: io::Error) -> Self {
        let suspects = suspects(facts, source.raw_os_error());
        Self::Refused { release: facts.release.clone(), source, suspects }
    }

    /// The kernel said no to a program on a tracepoint.
    pub(super) fn of_hook(tracepoint: &'static str, facts: &Facts, error: &ProgramError) -> Self {
        let release = facts.release.clone();
        match error {
            ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }) => {
                Self::NoTracepoint { release, tracepoint }
            }
            ProgramError::LoadError { verifier_log, .. }
                if let Some((helper, why)) = missing_helper(&verifier_log.to_string()) =>
            {
                Self::NoHelper { release, tracepoint, helper, why }
            }
            _ => Self::Hook { release, tracepoint, reason: reason(error) },
        }
    }
}

impl From<EbpfError> for ProbeError {
    fn from(error: EbpfError) -> Self {
        match error {
            EbpfError::MapError(error) => error.into(),
            other => Self::Object(other),
        }
    }
}

impl From<MapError> for ProbeError {
    fn from(error: MapError) -> Self {
        match error {
            MapError::CreateError { name, io_error } => Self::NoMap { map: name, source: io_error },
            // Only the ring is mapped.
            MapError::SyscallError(SyscallError { call: "mmap", io_error }) => {
                Self::NoMap { map: RING.to_owned(), source: io_error }
            }
            other => Self::Map(other),
        }
    }
}

/// The map whose size the user chooses.
const RING: &str = "EVENTS";

/// What can be the reason when a map is not made.
fn remedy(map: &str, error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOMEM) if map == RING => {
            "choose a smaller ring with --buffer, or allow more memory (the limit of the cgroup, \
             `ulimit -v`)"
        }
        Some(libc::ENOMEM) => "allow more memory (the limit of the cgroup, `ulimit -v`)",
        Some(libc::EPERM) => LOCKED_MEMORY,
        Some(libc::EMFILE | libc::ENFILE) => "raise the limit with `ulimit -n 1024`",
        _ => "the kernel may be too old for it; tcpwatch needs Linux 5.12 or newer",
    }
}

/// `RLIMIT_MEMLOCK` counts maps until 5.11 (`bpf_map_charge_init`, `kernel/bpf/syscall.c`).
const LOCKED_MEMORY: &str = "kernels before 5.11 count it as locked memory: allow more with \
                             `ulimit -l unlimited`, or LimitMEMLOCK=infinity of a systemd unit";

fn suspects(facts: &Facts, number: Option<i32>) -> Vec<&'static str> {
    let mut suspects = Vec::new();
    if facts.has_seccomp && matches!(number, Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) {
        suspects.push(
            "a seccomp filter is at work here: let the container's profile allow bpf() (docker run \
             --cap-add BPF --cap-add PERFMON, or --security-opt seccomp=unconfined), or \
             SystemCallFilter= of the systemd unit",
        );
    }
    match number {
        Some(libc::ENOSYS) => suspects.push("the kernel must be built with CONFIG_BPF_SYSCALL=y"),
        Some(libc::ENOMEM) => {
            suspects.push("no memory is left: look at the limits of the cgroup and of the machine");
        }
        _ => {
            if is_before(&facts.release, (5, 11)) {
                suspects.push(LOCKED_MEMORY);
            }
            suspects.push("a security module (SELinux, AppArmor) may forbid it: see `dmesg`");
        }
    }
    suspects
}

/// Is this the release of an older kernel? Not if it cannot be read.
fn is_before(release: &str, version: (u32, u32)) -> bool {
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < version,
        _ => false,
    }
}

/// What the verifier says before the name of a function that it does not lend (`check_helper_call`,
/// `kernel/bpf/verifier.c`; the first until 6.7).
const NOT_LENT: [&str; 2] = ["unknown func ", "program of this type cannot use helper "];

/// Functions that programs on tracepoints may not call everywhere (`bpf_tracing_func_proto`,
/// `kernel/trace/bpf_trace.c`), by the beginnings of their names.
const HELPERS: [(&str, &str); 5] = [
    ("bpf_get_socket_cookie", "it may since Linux 5.12, which tcpwatch needs at least"),
    ("bpf_sk_storage_get", "it may since Linux 5.11; tcpwatch needs 5.12 at least"),
    ("bpf_skc_to_tcp_sock", "it may since Linux 5.9; tcpwatch needs 5.12 at least"),
    ("bpf_ringbuf_", "it may since Linux 5.8; tcpwatch needs 5.12 at least"),
    (
        "bpf_probe_read",
        "the kernel is locked down (`cat /sys/kernel/security/lockdown` says [confidentiality]) and \
         shows its memory to nobody; boot it with lockdown=integrity or without lockdown",
    ),
];

fn missing_helper(verifier_log: &str) -> Option<(&'static str, &'static str)> {
    let name = NOT_LENT.iter().find_map(|words| Some(verifier_log.rsplit_once(words)?.1))?;
    HELPERS.into_iter().find(|(helper, _)| name.starts_with(helper))
}

fn mounting(path: &str) -> String {
    let kind = if path == "/proc" { "proc" } else { "sysfs" };
    format!("`mount -t {kind} {kind} {path}`")
}

/// The useful part of a refusal: the system call's error and the verifier's last three lines.
pub(super) fn reason(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            rejection(io_error, &verifier_log.to_string())
        }
        ProgramError::SyscallError(SyscallError { call, io_error }) => {
            format!("{call} failed: {io_error}")
        }
        other => other.to_string(),
    }
}

fn rejection(error: &io::Error, verifier_log: &str) -> String {
    let lines = verifier_log.lines().filter(|line| !is_statistics(line));
    let mut last: Vec<&str> = lines.rev().take(3).collect();
    last.reverse();
    match last.as_slice() {
        [] => error.to_string(),
        last => format!("{error}; the verifier said: {}", last.join("\n")),
    }
}

/// What the verifier says whatever it thinks (`print_verification_stats`, `kernel/bpf/verifier.c`).
fn is_statistics(line: &str) -> bool {
    ["processed ", "verification time ", "stack depth "].iter().any(|word| line.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { release: "5.10.0-33-amd64".to_owned(), ..Facts::gather() }
    }

    #[test]
    fn a_tracepoint_that_the_kernel_lacks_is_told_as_such() {
        let unknown = BtfError::UnknownBtfTypeName { type_name: "btf_trace_x".to_owned() };
        let error = ProbeError::of_hook("tcp_send_reset", &facts(), &unknown.into());
        assert!(error.is_precondition());
        let text = error.to_string();
        assert!(text.contains("5.10.0-33-amd64 has no tracepoint `tcp_send_reset`"), "{text}");
        assert!(!text.contains("btf_trace"), "{text}");
    }

    #[test]
    fn a_function_that_an_older_kernel_does_not_lend_is_told_with_the_version_that_does() {
        // As the kernel wrote it until 6.7, and as it does since.
        for log in [
            "41: (85) call unknown#195896080\nunknown func bpf_get_socket_cookie#46",
            "program of this type cannot use helper bpf_get_socket_cookie#46\nprocessed 9 insns",
        ] {
            let (helper, why) = missing_helper(log).unwrap();
            assert_eq!(helper, "bpf_get_socket_cookie");
            assert!(why.contains("5.12"), "{why}");
        }
        let (_, why) = missing_helper("unknown func bpf_probe_read#4\n").unwrap();
        assert!(why.contains("lockdown"), "{why}");
        assert_eq!(missing_helper("R1 type=scalar expected=fp"), None);
        assert_eq!(missing_helper("unknown func bpf_no_such_function#999"), None);
    }

    #[test]
    fn a_map_that_does_not_fit_names_itself_and_what_makes_room() {
        let no_map = |name: &str, number| {
            let io_error = io::Error::from_raw_os_error(number);
            let error = MapError::CreateError { name: name.to_owned(), io_error };
            let error = ProbeError::from(EbpfError::from(error));
            assert!(error.is_precondition(), "{error}");
            error.to_string()
        };
        let text = no_map("EVENTS", libc::ENOMEM);
        assert!(text.contains("`EVENTS`") && text.contains("--buffer"), "{text}");
        let text = no_map("MINIS", libc::ENOMEM);
        assert!(text.contains("`MINIS`") && !text.contains("--buffer"), "{text}");
        let text = no_map("EVENTS", libc::EPERM);
        assert!(text.contains("ulimit -l unlimited") && text.contains("5.11"), "{text}");
    }

    #[test]
    fn the_verifiers_statistics_are_no_reason() {
        let refused = |log: &str| rejection(&io::Error::from_raw_os_error(libc::EACCES), log);
        let statistics = "verification time 27 usec\nstack depth 360+0\nprocessed 5 insns\n";
        assert_eq!(refused(statistics), "Permission denied (os error 13)");
        let text = refused(&format!("a\nb\nc\nd\n{statistics}"));
        assert!(text.ends_with("the verifier said: b\nc\nd"), "{text}");
    }

    #[test]
    fn a_release_is_compared_by_its_numbers() {
        assert!(is_before("5.9.16-200.fc33", (5, 11)));
        assert!(is_before("4.18.0-553.el8_10.x86_64", (5, 11)));
        assert!(!is_before("5.11", (5, 11)) && !is_before("6.1.0", (5, 11)));
        assert!(!is_before("5.110.0", (5, 11)) && !is_before("next", (5, 11)));
    }
}
