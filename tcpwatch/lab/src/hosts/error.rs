//! Why the hosts could not be built, or could not do a step.

use std::{io, path::PathBuf};

use tcpwatch_kernel::source::snapshot::{DumpError, EnterError};

use crate::host::Host;

/// The hosts could not be built, or could not do a step.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages explain the fields")]
pub enum HostsError {
    /// The kernel refuses a network namespace.
    #[error(
        "cannot make a network namespace (unshare with CLONE_NEWNET): {}; {}",
        .0,
        no_namespace(.0)
    )]
    Namespace(#[source] io::Error),
    /// `/proc` cannot be searched for leftovers of killed runs.
    #[error("cannot search /proc for leftovers: {0}; mount it with `mount -t proc proc /proc`")]
    Leftovers(#[source] io::Error),
    /// The thread that starts processes does not run.
    #[error("cannot start the thread that starts the hosts' processes: {}{}", .0, room(.0))]
    Thread(#[source] io::Error),
    /// The process that cleans up after a killed laboratory does not run.
    #[error(
        "cannot start the process that cleans up after a killed laboratory: {}{}",
        .0,
        room(.0)
    )]
    Janitor(#[source] io::Error),
    /// The process cannot be started.
    #[error("cannot start the {host}'s process ({}): {source}{}", program.display(), room(source))]
    Start { host: Host, program: PathBuf, source: io::Error },
    /// The process could not be set up.
    #[error("the {host}'s process could not be set up: {why}")]
    SetUp { host: Host, why: String },
    /// The namespace cannot be entered.
    #[error("cannot enter the {host}'s network namespace: {source}")]
    Enter { host: Host, source: EnterError },
    /// A sysctl cannot be set.
    #[error("cannot set the {host}'s {name} to \"{value}\": {why}")]
    Sysctl { host: Host, name: String, value: String, why: String },
    /// Sysctls cannot be written at all.
    #[error(
        "cannot set the {host}'s {name}: {source}; {}",
        match source.raw_os_error() {
            Some(libc::EROFS) => {
                "/proc/sys is read-only here: `mount -o remount,rw /proc/sys`, or run the container \
                 with --privileged"
            }
            _ => PRIVILEGES,
        }
    )]
    SysctlsLocked { host: Host, name: String, source: io::Error },
    /// The kernel has no veth.
    #[error(
        "this kernel cannot make a pair of links: {0}; the laboratory needs CONFIG_VETH (module \
         veth)"
    )]
    NoVeth(rtnetlink::Error),
    /// The kernel refuses to change links (`EPERM`).
    #[error("cannot {what} on the {host}: {source}; {PRIVILEGES}")]
    LinkRefused { host: Host, what: &'static str, source: io::Error },
    /// A request about a link failed.
    #[error("cannot {what} on the {host}: {source}")]
    Link { host: Host, what: &'static str, source: rtnetlink::Error },
    /// The links were set up and did not come up in time.
    #[error("the {host}'s link was set up but does not pass segments after {seconds} s")]
    LinkStaysDown { host: Host, seconds: u64 },
    /// A netlink socket cannot be opened.
    #[error("cannot open a NETLINK_ROUTE socket on the {host}: {source}")]
    Netlink { host: Host, source: io::Error },
    /// The sockets of a host cannot be listed.
    #[error("cannot list the {host}'s sockets: {source}")]
    Look { host: Host, source: DumpError },
    /// The process no longer answers.
    #[error("the {host}'s process no longer answers: {why}")]
    Silent { host: Host, why: String },
    /// The step is impossible in the present state of the host.
    #[error("the {host} cannot do that: {why}")]
    Impossible { host: Host, why: String },
    /// The signal cannot be sent.
    #[error("cannot send a signal to the {host}'s process: {source}")]
    Signal { host: Host, source: io::Error },
}

impl HostsError {
    /// Whether something is missing on this machine, rather than an error in tcpwatch or in the scenario.
    #[must_use]
    pub fn is_precondition(&self) -> bool {
        match self {
            Self::Namespace(_)
            | Self::Leftovers(_)
            | Self::Enter { .. }
            | Self::SysctlsLocked { .. }
            | Self::NoVeth(_)
            | Self::LinkRefused { .. }
            | Self::Netlink { .. } => true,
            Self::Thread(error) | Self::Janitor(error) | Self::Start { source: error, .. } => {
                !room(error).is_empty()
            }
            _ => false,
        }
    }
}

/// The privileges that the laboratory needs.
const PRIVILEGES: &str =
    "the laboratory needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run tcpwatch with sudo";

fn no_namespace(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EUSERS) => {
            "there are as many as `sysctl user.max_net_namespaces` allows"
        }
        Some(libc::EINVAL) => "the kernel must be built with CONFIG_NET_NS=y",
        _ => PRIVILEGES,
    }
}

/// What to do if there is no room for another process or thread; empty for any other error.
pub(super) fn room(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => {
            "; there are as many processes as allowed: raise `ulimit -u`, pids.max of the cgroup \
             (docker run --pids-limit, TasksMax= of a systemd unit) or run fewer with --jobs"
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            "; there are as many open files as allowed: raise `ulimit -n` or run fewer with --jobs"
        }
        Some(libc::ENOMEM) => "; no memory is left: run fewer with --jobs",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    #[test]
    fn a_namespace_that_is_one_too_many_is_not_told_as_a_lack_of_privilege() {
        let text = HostsError::Namespace(number(libc::ENOSPC)).to_string();
        assert!(text.contains("user.max_net_namespaces") && !text.contains("sudo"), "{text}");
        let text = HostsError::Namespace(number(libc::EPERM)).to_string();
        assert!(text.contains("CAP_SYS_ADMIN") && text.contains("sudo"), "{text}");
        let text = HostsError::Namespace(number(libc::EINVAL)).to_string();
        assert!(text.contains("CONFIG_NET_NS"), "{text}");
    }

    #[test]
    fn a_limit_on_processes_is_the_machines_and_a_missing_program_is_not() {
        let start = |error| HostsError::Start {
            host: Host::Client,
            program: "/proc/self/exe".into(),
            source: number(error),
        };
        let error = start(libc::EAGAIN);
        assert!(error.is_precondition());
        for word in ["ulimit -u", "pids.max", "--jobs"] {
            assert!(error.to_string().contains(word), "{error}");
        }
        let error = start(libc::ENOENT);
        assert!(!error.is_precondition(), "{error}");
        assert!(error.to_string().ends_with("(os error 2)"), "{error}");
    }

    #[test]
    fn a_kernel_without_veth_is_told_the_module() {
        let error = HostsError::NoVeth(rtnetlink::Error::RequestFailed);
        assert!(error.is_precondition());
        assert!(error.to_string().contains("CONFIG_VETH (module veth)"), "{error}");
    }
}
