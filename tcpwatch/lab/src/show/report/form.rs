//! The parts of the document, as `schema.json` describes them.

use std::collections::BTreeMap;

use serde::Serialize;
use tcpwatch_core::{event::Netns, timing};
use tcpwatch_view::json::{Seconds, Word};

use super::{family_word, profile_word};
use crate::{
    host::Host,
    story::{self, Run},
    verdict,
};

#[derive(Serialize)]
pub(super) struct Begins<'a> {
    pub(super) schema: u8,
    pub(super) tcpwatch: &'static str,
    pub(super) kernel: &'a str,
    pub(super) holds: bool,
}

#[derive(Serialize)]
pub(super) struct NotRun<'a> {
    pub(super) scenario: &'a str,
    pub(super) family: Word,
    pub(super) why: String,
}

/// A run, up to its story.
#[derive(Serialize)]
pub(super) struct RunBegins<'a> {
    scenario: &'a str,
    title: &'a str,
    claim: &'a str,
    profile: Word,
    family: Word,
    hz: u64,
    sysctls: BothHosts<SysctlsJson<'a>>,
    started: &'a str,
    started_mono_ns: u64,
    ended: &'a str,
    ended_mono_ns: u64,
    lasted_s: Seconds,
}

impl<'a> RunBegins<'a> {
    /// With the moments in words.
    pub(super) fn of(run: &'a Run, started: &'a str, ended: &'a str) -> Self {
        let sysctls = |host| SysctlsJson::of(run.sysctls(host), run.scenario.sysctls.get(&host));
        Self {
            scenario: &run.scenario.name,
            title: &run.scenario.title,
            claim: &run.scenario.claim,
            profile: profile_word(run.profile),
            family: family_word(run.family),
            hz: run.rate.0,
            sysctls: BothHosts { client: sysctls(Host::Client), server: sysctls(Host::Server) },
            started,
            started_mono_ns: run.started.0,
            ended,
            ended_mono_ns: run.ended.0,
            lasted_s: Seconds(run.ended.since(run.started)),
        }
    }
}

#[derive(Serialize)]
struct BothHosts<T> {
    client: T,
    server: T,
}

/// What the timers were judged by, and what the scenario set, as text.
#[derive(Serialize)]
struct SysctlsJson<'a> {
    tcp_syn_retries: u8,
    tcp_syn_linear_timeouts: u8,
    tcp_synack_retries: u8,
    tcp_orphan_retries: u8,
    tcp_retries2: u8,
    tcp_rto_min_us: u64,
    tcp_rto_max_ms: u64,
    tcp_fin_timeout: u64,
    tcp_early_retrans: u8,
    set: BTreeMap<&'a str, &'a str>,
}

impl<'a> SysctlsJson<'a> {
    fn of(sysctls: &timing::Sysctls, set: Option<&'a BTreeMap<String, String>>) -> Self {
        let timing::Sysctls {
            syn_retries,
            syn_linear_timeouts,
            synack_retries,
            orphan_retries,
            retries2,
            rto_min,
            rto_max,
            fin_timeout,
            early_retrans,
        } = *sysctls;
        let set = set.into_iter().flatten();
        Self {
            tcp_syn_retries: syn_retries,
            tcp_syn_linear_timeouts: syn_linear_timeouts,
            tcp_synack_retries: synack_retries,
            tcp_orphan_retries: orphan_retries,
            tcp_retries2: retries2,
            tcp_rto_min_us: u64::try_from(rto_min.as_micros()).unwrap_or(u64::MAX),
            tcp_rto_max_ms: u64::try_from(rto_max.as_millis()).unwrap_or(u64::MAX),
            tcp_fin_timeout: fin_timeout.as_secs(),
            tcp_early_retrans: early_retrans,
            set: set.map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        }
    }
}

/// A run from behind its story: what is missing, the runs that proved nothing for it, and the verdicts.
#[derive(Serialize)]
pub(super) struct RunEnds<'a> {
    rules: Vec<RuleDrops<'a>>,
    netns: BothHosts<u32>,
    lost: u64,
    counted_lost: u64,
    discarded: Vec<DiscardedRun<'a>>,
    verdicts: Vec<VerdictJson<'a>>,
    warnings: &'a [String],
    failure: Option<&'a str>,
    holds: bool,
}

impl<'a> RunEnds<'a> {
    pub(super) fn of(run: &'a Run) -> Self {
        let rules = run.scenario.rules.iter().zip(&run.dropped);
        let rules = rules.map(|(rule, dropped)| RuleDrops {
            rule: &rule.name,
            host: rule.host,
            dropped: *dropped,
        });
        Self {
            rules: rules.collect(),
            netns: both(run.netns),
            lost: run.lost,
            counted_lost: run.counted,
            discarded: run.discarded.iter().map(DiscardedRun::of).collect(),
            verdicts: run.verdicts.iter().map(VerdictJson::of).collect(),
            warnings: &run.warnings,
            failure: run.failure.as_deref(),
            holds: run.holds(),
        }
    }
}

const fn both([client, server]: [Netns; 2]) -> BothHosts<u32> {
    BothHosts { client: client.0, server: server.0 }
}

#[derive(Serialize)]
struct RuleDrops<'a> {
    rule: &'a str,
    host: Host,
    dropped: u64,
}

#[derive(Serialize)]
struct DiscardedRun<'a> {
    started_mono_ns: u64,
    ended_mono_ns: u64,
    netns: BothHosts<u32>,
    lost: u64,
    counted_lost: u64,
    why: &'a str,
}

impl<'a> DiscardedRun<'a> {
    fn of(discarded: &'a story::Discarded) -> Self {
        let story::Discarded { started, ended, netns, lost, counted, why } = discarded;
        Self {
            started_mono_ns: started.0,
            ended_mono_ns: ended.0,
            netns: both(*netns),
            lost: *lost,
            counted_lost: *counted,
            why,
        }
    }
}

#[derive(Serialize)]
struct VerdictJson<'a> {
    what: &'a str,
    expected: &'a str,
    measured: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most_s: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_s: Option<Seconds>,
    because: Option<&'a str>,
    holds: bool,
}

impl<'a> VerdictJson<'a> {
    fn of(verdict: &'a verdict::Verdict) -> Self {
        let verdict::Verdict { what, expected, measured, times, because, holds } = verdict;
        Self {
            what,
            expected,
            measured,
            at_least_s: times.map(|times| Seconds(times.allowed.promise)),
            at_most_s: times.map(|times| Seconds(times.allowed.latest)),
            measured_s: times.map(|times| Seconds(times.measured)),
            because: because.as_deref(),
            holds: *holds,
        }
    }
}
