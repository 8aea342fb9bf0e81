//! Features of the running kernel. A test that leaves something out because a feature is missing reports that, and
//! fails where the kernel is new enough.

use std::{
    io::{self, Write as _},
    thread,
};

/// A feature of every kernel since a version; an older one may have it, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feature {
    name: &'static str,
    since: (u32, u32),
}

const fn since(major: u32, minor: u32, name: &'static str) -> Feature {
    Feature { name, since: (major, minor) }
}

pub(crate) const ERROR_REPORTS: Feature = since(5, 14, "tracepoint inet_sk_error_report");
pub(crate) const SYN_LINEAR_TIMEOUTS: Feature = since(6, 5, "sysctl tcp_syn_linear_timeouts");
pub(crate) const RESETS_EXPLAINED: Feature =
    since(6, 10, "reasons of resets, and resets without a socket");
pub(crate) const RETRANSMITS_WITH_ERROR: Feature =
    since(6, 17, "retries that the network below refuses");
pub(crate) const TW_REUSE_DELAY: Feature = since(6, 14, "sysctl tcp_tw_reuse_delay");
pub(crate) const SEND_LENGTHS: Feature = since(6, 3, "tracepoint sock_send_length");
/// `inet_csk_clone_lock` in `net/ipv4/inet_connection_sock.c`.
pub(crate) const ACCEPTED_IN_SYN_RECV: Feature =
    since(6, 17, "ends of an accepted socket as it enters SYN_RECV");

impl Feature {
    /// Whether this kernel certainly has it. If not, that is reported, as by [`Self::is_lacking`].
    pub(crate) fn is_there(self) -> bool {
        let is_there = version() >= self.since;
        if !is_there {
            self.is_lacking();
        }
        is_there
    }

    /// This kernel was seen not to have it: reports that past the test runner's capture.
    pub(crate) fn is_lacking(self) {
        let Self { name, since: (major, minor) } = self;
        let kernel = release();
        assert!(
            version() < self.since,
            "Linux {kernel} must have this since {major}.{minor}: {name}"
        );
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let words =
            format!("SKIPPED: Linux {kernel} has no {name} (since {major}.{minor}): {test}");
        writeln!(io::stderr(), "{words}").unwrap();
    }
}

fn release() -> String {
    rustix::system::uname().release().to_str().unwrap().to_owned()
}

fn version() -> (u32, u32) {
    let release = release();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    (numbers.next().unwrap().unwrap(), numbers.next().unwrap().unwrap())
}
