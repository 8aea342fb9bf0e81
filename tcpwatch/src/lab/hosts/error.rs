//! Why the hosts could not be built, or not do what they were asked.

use std::{io, path::PathBuf};

use crate::{
    lab::host::Host,
    source::snapshot::{DumpError, EnterError},
};

/// The hosts are not there, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The kernel refuses a network namespace.
    #[error(
        "cannot make a network namespace (unshare with CLONE_NEWNET): {0}; the laboratory takes \
         CAP_SYS_ADMIN and CAP_NET_ADMIN: run tcpwatch with sudo"
    )]
    Namespace(#[source] io::Error),
    /// The thread that starts processes does not run.
    #[error("cannot start the thread that starts the hosts' processes: {0}")]
    Thread(#[source] io::Error),
    /// The process that clears up after a killed laboratory does not run.
    #[error("cannot start the process that clears up after a laboratory that is killed: {0}")]
    Janitor(#[source] io::Error),
    /// The process cannot be started.
    #[error("cannot start the {host}'s process ({}): {source}", program.display())]
    Start {
        /// Whose.
        host: Host,
        /// What was to be executed.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process did not come as far as it should.
    #[error("the {host}'s process could not be set up: {why}")]
    SetUp {
        /// Whose.
        host: Host,
        /// Why not.
        why: String,
    },
    /// The namespace cannot be entered.
    #[error("cannot enter the {host}'s network namespace: {source}")]
    Enter {
        /// Whose.
        host: Host,
        /// Why not.
        source: EnterError,
    },
    /// A sysctl cannot be set.
    #[error("cannot set the {host}'s {name} to \"{value}\": {why}")]
    Sysctl {
        /// Whose.
        host: Host,
        /// Its name, as sysctl(8) takes it.
        name: String,
        /// The value that was asked for.
        value: String,
        /// Why not.
        why: String,
    },
    /// The kernel has no veth.
    #[error(
        "this kernel cannot make a pair of links: {0}; the laboratory needs CONFIG_VETH (module \
         veth)"
    )]
    NoVeth(rtnetlink::Error),
    /// Something about a link.
    #[error("cannot {what} on the {host}: {source}")]
    Link {
        /// Where.
        host: Host,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
    /// The links were made and never came up.
    #[error("the {host}'s link was set up but does not pass segments after {seconds} s")]
    LinkStaysDown {
        /// Whose.
        host: Host,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A netlink socket is missing.
    #[error("cannot open a NETLINK_ROUTE socket on the {host}: {source}")]
    Netlink {
        /// Where.
        host: Host,
        /// What the system said.
        source: io::Error,
    },
    /// The sockets of a host cannot be listed.
    #[error("cannot look at the {host}'s sockets: {source}")]
    Look {
        /// Whose.
        host: Host,
        /// Why not.
        source: DumpError,
    },
    /// The process cannot be reached any more.
    #[error("the {host}'s process does not answer any more: {why}")]
    Silent {
        /// Whose.
        host: Host,
        /// What is known.
        why: String,
    },
    /// The step makes no sense as things are.
    #[error("the {host} cannot do that: {why}")]
    Impossible {
        /// Who.
        host: Host,
        /// Why not.
        why: String,
    },
    /// The signal cannot be sent.
    #[error("cannot send a signal to the {host}'s process: {source}")]
    Signal {
        /// Whose.
        host: Host,
        /// What the system said.
        source: io::Error,
    },
}

impl HostsError {
    /// Is something missing on this machine, rather than broken in tcpwatch or in the scenario?
    #[must_use]
    pub const fn is_precondition(&self) -> bool {
        matches!(
            self,
            Self::Namespace(_) | Self::Enter { .. } | Self::NoVeth(_) | Self::Netlink { .. }
        )
    }
}
