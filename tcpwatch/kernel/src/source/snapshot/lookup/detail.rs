//! What single sockets wait for: their timers and queues, and the sysctls that decide how long.

use std::collections::{BTreeMap, HashSet};

use netlink_packet_sock_diag::inet::StateFlags;
use tcpwatch_core::{
    event::{Cookie, Endpoints, Netns, Waiter},
    timing::Sysctls,
    track::StayQuestion,
};

use super::{super::super::sysctls, Channel, Lookup, sock_diag};

/// What was asked in some network namespaces.
#[derive(Debug, Default)]
pub struct Lookups {
    /// The sockets that exist. One that is gone, or whose namespace cannot be entered, is missing.
    pub waiters: Vec<Waiter>,
    /// The sysctls of the namespaces that were asked for them and could be read.
    pub sysctls: Vec<(Netns, Sysctls)>,
}

impl Lookup {
    /// Asks about each socket once; and for the sysctls of namespaces that `sysctls_of` names.
    ///
    /// Every namespace but the own one is entered once, in a thread of its own that ends before this returns;
    /// that takes `CAP_SYS_ADMIN`.
    pub fn ask_in_detail(&mut self, questions: &[StayQuestion], sysctls_of: &[Netns]) -> Lookups {
        let mut groups: BTreeMap<Netns, Vec<StayQuestion>> = BTreeMap::new();
        for question in questions {
            groups.entry(question.netns).or_default().push(*question);
        }
        let mut details = Lookups::default();
        for (netns, group) in groups {
            let wants_sysctls = sysctls_of.contains(&netns);
            let (waiters, sysctls) = self.details_of(netns, &group, wants_sysctls);
            details.waiters.extend(waiters);
            details.sysctls.extend(sysctls.map(|sysctls| (netns, sysctls)));
        }
        details
    }

    fn details_of(
        &mut self,
        netns: Netns,
        group: &[StayQuestion],
        wants_sysctls: bool,
    ) -> (Vec<Waiter>, Option<Sysctls>) {
        let sysctls = || wants_sysctls.then(|| sysctls::read_here().ok()).flatten();
        let has_ports = |question: &StayQuestion| {
            let Endpoints { local, remote } = question.ends;
            local.port != 0 && remote.port != 0
        };
        let (with_ports, without): (Vec<_>, Vec<_>) = group.iter().copied().partition(has_ports);
        if netns == self.own.netns() {
            let mut waiters = self.own.ask_in_detail(&with_ports);
            waiters.extend(listed(netns, &without));
            return (waiters, sysctls());
        }
        let inside = self.inside(netns, || {
            let waiters =
                Channel::open(netns).map(|mut channel| channel.ask_in_detail(&with_ports));
            let mut waiters = waiters.unwrap_or_default();
            waiters.extend(listed(netns, &without));
            (waiters, sysctls())
        });
        inside.unwrap_or_default()
    }
}

/// The sockets of these questions by their cookies. One that connects and has not been heard of since has no port
/// that is known, because SYN_SENT is entered before it is chosen (`tcp_v4_connect`, `net/ipv4/tcp_ipv4.c`). A
/// listener has no peer, and may share its port with others.
fn listed(netns: Netns, questions: &[StayQuestion]) -> Vec<Waiter> {
    let of = |question: &StayQuestion| match question.ends.remote.port {
        0 => StateFlags::LISTEN,
        _ => StateFlags::SYN_SENT,
    };
    let states = questions.iter().map(of).fold(StateFlags::empty(), StateFlags::union);
    let mut found = Vec::new();
    if !states.is_empty() {
        // What was found before an error counts.
        let _whole = sock_diag::waiters_in(netns, states, &mut found).is_ok();
    }
    let asked: HashSet<Cookie> = questions.iter().filter_map(|question| question.socket).collect();
    found.retain(|waiter| asked.contains(&waiter.known.socket));
    found
}
