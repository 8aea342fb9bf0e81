//! The form of the document and of a run.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use tcpwatch_core::{
    event::{KernelTime, Netns, TcpFlags, TcpState, WallClock, Way},
    timing::{self, Window, wheel::TickRate},
    track::TrackedEvent,
};
use tcpwatch_kernel::probe::{DroppedSegments, filters::FamilyFilter};
use tcpwatch_view::timestamp;

use super::moment::MomentForm;
use crate::{
    host::Host,
    scenario::{Action, Call, CallKind, DropRule, Scenario, ScenarioStep},
    story::{MomentKind, Profile, Run, StoryEvent},
    verdict::{Times, Verdict},
};

/// A report.
#[derive(Debug)]
pub struct Document {
    /// The version of tcpwatch that wrote it.
    pub tcpwatch: String,
    /// The kernel's release.
    pub kernel: String,
    /// Converts the kernel's time to wall-clock time, as the report does.
    pub clock: WallClock,
    /// Its runs. Their scenarios have names, texts and rules, but no steps: a report has none.
    pub runs: Vec<Run>,
    /// Runs that the kernel is too old for.
    pub not_run: Vec<LeftOutRun>,
}

/// A run that was not made.
#[derive(Debug, Deserialize)]
pub struct LeftOutRun {
    /// The scenario's name.
    pub scenario: String,
    /// What the kernel lacks.
    pub why: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct DocumentForm {
    tcpwatch: String,
    kernel: String,
    runs: Vec<RunForm>,
    #[serde(default)]
    not_run: Vec<LeftOutRun>,
}

impl DocumentForm {
    /// The document; otherwise the indexes of the run and the event, and what is wrong with it.
    pub(super) fn document(self) -> Result<Document, (usize, usize, String)> {
        let clock = self.runs.first().map(RunForm::clock).transpose();
        let clock = clock.map_err(|what| (0, 0, what))?;
        // Without a run there is no moment to be converted.
        let clock = clock.unwrap_or(WallClock { kernel: KernelTime(0), unix_ns: 0 });
        let runs = self
            .runs
            .into_iter()
            .enumerate()
            .map(|(number, run)| run.run().map_err(|(event, what)| (number, event, what)));
        Ok(Document {
            tcpwatch: self.tcpwatch,
            kernel: self.kernel,
            clock,
            runs: runs.collect::<Result<_, _>>()?,
            not_run: self.not_run,
        })
    }
}

#[derive(Debug, Deserialize)]
struct RunForm {
    scenario: String,
    title: String,
    claim: String,
    profile: ProfileForm,
    family: FamilyForm,
    hz: u64,
    sysctls: BothForm<SysctlsForm>,
    started: String,
    started_mono_ns: u64,
    ended_mono_ns: u64,
    story: Vec<MomentForm>,
    rules: Vec<RuleForm>,
    netns: BothForm<u32>,
    lost: u64,
    #[serde(default)]
    counted_lost: u64,
    verdicts: Vec<VerdictForm>,
    warnings: Vec<String>,
    failure: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProfileForm {
    Quick,
    Full,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FamilyForm {
    Ipv4,
    Ipv6,
}

#[derive(Debug, Deserialize)]
struct BothForm<T> {
    client: T,
    server: T,
}

#[derive(Debug, Deserialize)]
struct SysctlsForm {
    tcp_syn_retries: u8,
    tcp_syn_linear_timeouts: u8,
    tcp_synack_retries: u8,
    tcp_orphan_retries: u8,
    tcp_retries2: u8,
    tcp_rto_min_us: u64,
    tcp_rto_max_ms: u64,
    tcp_fin_timeout: u64,
    tcp_early_retrans: u8,
    set: BTreeMap<String, String>,
}

impl SysctlsForm {
    const fn sysctls(&self) -> timing::Sysctls {
        timing::Sysctls {
            syn_retries: self.tcp_syn_retries,
            syn_linear_timeouts: self.tcp_syn_linear_timeouts,
            synack_retries: self.tcp_synack_retries,
            orphan_retries: self.tcp_orphan_retries,
            retries2: self.tcp_retries2,
            rto_min: Duration::from_micros(self.tcp_rto_min_us),
            rto_max: Duration::from_millis(self.tcp_rto_max_ms),
            fin_timeout: Duration::from_secs(self.tcp_fin_timeout),
            early_retrans: self.tcp_early_retrans,
        }
    }
}

#[derive(Debug, Deserialize)]
struct RuleForm {
    rule: String,
    host: Host,
    dropped: u64,
}

#[derive(Debug, Deserialize)]
struct VerdictForm {
    what: String,
    expected: String,
    measured: String,
    at_least_s: Option<f64>,
    at_most_s: Option<f64>,
    measured_s: Option<f64>,
    because: Option<String>,
    holds: bool,
}

impl VerdictForm {
    fn verdict(self) -> Result<Verdict, String> {
        let time = |time: Option<f64>| time.map(duration).transpose();
        let times = (time(self.at_least_s)?, time(self.at_most_s)?, time(self.measured_s)?);
        let times = match times {
            (Some(promise), Some(latest), Some(measured)) => {
                Some(Times { allowed: Window { promise, latest }, measured })
            }
            _ => None,
        };
        let Self { what, expected, measured, because, holds, .. } = self;
        Ok(Verdict { what, expected, measured, times, because, holds })
    }
}

/// Seconds as a duration, exact to the nanosecond.
pub(super) fn duration(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{seconds} seconds: {error}"))
}

impl RunForm {
    fn clock(&self) -> Result<WallClock, String> {
        let unix_ns = timestamp::unix_ns(&self.started);
        let unix_ns = unix_ns.ok_or_else(|| format!("\"{}\" is not a time", self.started))?;
        Ok(WallClock { kernel: KernelTime(self.started_mono_ns), unix_ns })
    }

    fn run(self) -> Result<Run, (usize, String)> {
        let names: Vec<&str> = self.rules.iter().map(|rule| rule.rule.as_str()).collect();
        let mut story = Vec::new();
        for (number, form) in self.story.into_iter().enumerate() {
            story.extend(form.moment(&names).map_err(|what| (number, what))?);
        }
        let events = story.len();
        let verdicts = self.verdicts.into_iter().map(VerdictForm::verdict);
        let verdicts = verdicts.collect::<Result<_, _>>().map_err(|what| (events, what))?;
        let BothForm { client, server } = self.sysctls;
        let sysctls = [client.sysctls(), server.sysctls()];
        let dropped = self.rules.iter().map(|rule| rule.dropped).collect();
        let scenario = Scenario {
            word: self.scenario.clone(),
            name: self.scenario,
            title: self.title,
            claim: self.claim,
            teaches: String::new(),
            by_hand: Vec::new(),
            sysctls: [(Host::Client, client.set), (Host::Server, server.set)].into(),
            rules: self.rules.into_iter().map(RuleForm::rule).collect(),
            steps: listening(&story),
            expect: Vec::new(),
            takes: Duration::ZERO,
        };
        Ok(Run {
            scenario: Arc::new(scenario),
            profile: match self.profile {
                ProfileForm::Quick => Profile::Quick,
                ProfileForm::Full => Profile::Full,
            },
            family: match self.family {
                FamilyForm::Ipv4 => FamilyFilter::V4,
                FamilyForm::Ipv6 => FamilyFilter::V6,
            },
            sysctls,
            rate: TickRate(self.hz),
            started: KernelTime(self.started_mono_ns),
            ended: KernelTime(self.ended_mono_ns),
            story,
            dropped,
            netns: [Netns(self.netns.client), Netns(self.netns.server)],
            lost: self.lost,
            counted: self.counted_lost,
            discarded: Vec::new(),
            failure: self.failure,
            verdicts,
            warnings: self.warnings,
        })
    }
}

impl RuleForm {
    /// A report does not say what a rule drops.
    fn rule(self) -> DropRule {
        let drops = DroppedSegments {
            way: Way::In,
            local_port: None,
            remote_port: None,
            mask: TcpFlags::default(),
            value: TcpFlags::default(),
            count: None,
            for_ns: None,
        };
        DropRule { name: self.rule, host: self.host, drops, from_start: false }
    }
}

/// A step for each port that a host listened on, which headings name.
fn listening(story: &[StoryEvent]) -> Vec<ScenarioStep> {
    let mut steps = Vec::new();
    for moment in story {
        let MomentKind::TrackedEvent(tracked) = &moment.what else { continue };
        let TrackedEvent::Change(change) = &**tracked else { continue };
        if change.to == TcpState::Listen {
            let port = change.subject.ends.local.port;
            let kind = CallKind::Listen { port, backlog: 0 };
            let call = Call { socket: String::new(), kind };
            steps.push(ScenarioStep { line: 0, action: Action::Call(moment.host, call) });
        }
    }
    steps
}
