//! Sysctls that make worse what was found. A value alone is no finding.

use tcpwatch_core::event::Netns;

use crate::{
    finding::{Certainty, Finding, Kind, Severity},
    seen::Surroundings,
    whose::Whose,
};

/// A value that is unsafe once a finding of this kind was made.
struct Unsafe {
    with: Kind,
    sysctl: &'static str,
    applies: fn(u64) -> bool,
    better: u64,
    because: &'static str,
}

const TABLE: [Unsafe; 6] = [
    Unsafe {
        with: Kind::SynQueue,
        sysctl: "tcp_syncookies",
        applies: |value| value == 0,
        better: 1,
        because: "SYNs are dropped where a SYN cookie would let the client in",
    },
    Unsafe {
        with: Kind::AcceptQueue,
        sysctl: "tcp_abort_on_overflow",
        applies: |value| value != 0,
        better: 0,
        because: "clients that meet a full accept queue are reset, and do not try again by themselves",
    },
    Unsafe {
        with: Kind::Ports,
        sysctl: "tcp_tw_reuse",
        applies: |value| value == 0,
        better: 2,
        because: "a port in TIME_WAIT is not used again, not even on loopback (1: for all destinations)",
    },
    Unsafe {
        with: Kind::Ports,
        sysctl: "tcp_timestamps",
        applies: |value| value == 0,
        better: 1,
        because: "without timestamps no port in TIME_WAIT can be used again",
    },
    Unsafe {
        with: Kind::TimeWaitOverflow,
        sysctl: "tcp_max_tw_buckets",
        applies: |value| value < 4096,
        better: 65_536,
        because: "so few connections in TIME_WAIT are fewer than any busy host has",
    },
    Unsafe {
        with: Kind::SynQueue,
        sysctl: "tcp_max_syn_backlog",
        applies: |value| value < 128,
        better: 1024,
        because: "without SYN cookies it bounds the half-open connections of all listeners",
    },
];

/// Adds what the sysctls of a namespace add to the findings so far.
pub(crate) fn unsafe_sysctls(seen: &mut Surroundings, findings: &mut Vec<Finding>) {
    let mut more = Vec::new();
    for entry in &TABLE {
        let mut namespaces: Vec<Netns> = findings
            .iter()
            .filter(|finding| finding.kind == entry.with)
            .map(|finding| finding.whose.netns)
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        more.extend(namespaces.into_iter().filter_map(|netns| finding(entry, netns, seen)));
    }
    findings.append(&mut more);
}

fn finding(entry: &Unsafe, netns: Netns, seen: &Surroundings) -> Option<Finding> {
    let Unsafe { with, sysctl, applies, better, because } = entry;
    let value = seen.here(netns)?.ipv4(sysctl).filter(|value| applies(*value))?;
    let what = format!("net.ipv4.{sysctl} is {value}: {because}");
    let sure = (Severity::Notice, Certainty::Certain);
    Some(Finding {
        basis: format!("read in this namespace; it matters because of {}", with.word()),
        since: seen.began,
        change: vec![format!("sysctl -w net.ipv4.{sysctl}={better} (it is {value})")],
        ..Finding::new(Kind::UnsafeSysctl, sure, 1_u64, Whose::unknown(netns), what)
    })
}
