//! The trial: connections of its own, watched by the hooks over the road that the live log takes.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tcpwatch::cli::exit;
use tcpwatch_common::{
    counter,
    counts::{ACCEPTS, RESETS_RECEIVED, STAYS_NS, transition},
};
use tcpwatch_core::event::TcpState;
use tcpwatch_kernel::source::cgroup_paths::CgroupPaths;
use tcpwatch_kernel::{
    probe::{Counts, Dialect, Probes, hooks::HookSpec},
    trial::NoGround,
};
use tcpwatch_lab::rehearsal::rehearse;
use tcpwatch_stream::{ending::StopSignals, pipeline::Live, plan::Plan};
use tokio::time::sleep;

use super::{
    Actor, Attached,
    actor::Made,
    evidence::Evidence,
    features::{FeatureLine, Takes, features},
    report::FeatureAnswer,
};

/// What takes longest after the connections were made takes a second: a SYN that is sent again, FIN_WAIT_2
/// that ends by its timer.
const LASTS: Duration = Duration::from_millis(1900);

/// The connections are made by then, however busy the machine is, or never.
const MADE_WITHIN: Duration = Duration::from_secs(10);
/// Whether they were made shows besides.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// What was found.
pub(super) struct TrialResult {
    /// For each of the [`features`].
    pub(super) answers: Vec<(&'static str, FeatureAnswer)>,
    pub(super) dialect: Dialect,
    pub(super) metrics: FeatureAnswer,
    pub(super) laboratory: FeatureAnswer,
    pub(super) blind_spots: Vec<(&'static str, &'static str)>,
}

/// What the hooks are asked for.
struct WantedHooks {
    off: Vec<(HookSpec, String)>,
    totals_off: Option<String>,
    cgroups_off: Option<String>,
    early_ends_off: Option<String>,
    dialect: Dialect,
    counts: Option<Counts>,
    blind_spots: Vec<(&'static str, &'static str)>,
}

/// Makes it. `None` if a signal ended it.
pub(super) async fn make(
    attached: Attached,
    actor: Result<Actor, NoGround>,
) -> Result<Option<TrialResult>> {
    let Attached { filters, probes, ring, uncounted } = attached;
    let ending = StopSignals::catch().context("cannot catch signals")?;
    let plan = Plan::of(filters);
    let mut live = Live::follow(&plan, ending, (probes, ring))?;
    let asked = WantedHooks::of(live.probes());
    let mut rehearsing = pin!(rehearse(live.probes().tap()));
    let mut rehearsed = None;
    let place = actor.as_ref().ok().map(|actor| (actor.place.netns, actor.place.ports));
    let mut evidence = place.map(|(netns, ports)| Evidence::of(netns, ports));
    if let Ok(actor) = &actor {
        actor.begin();
    }
    let begun = Instant::now();
    while rehearsed.is_none() || asked.lacks(evidence.as_ref(), &actor, begun) {
        tokio::select! {
            biased;
            result = &mut rehearsing, if rehearsed.is_none() => rehearsed = Some(result),
            batch = live.next_batch() => match (batch?, &mut evidence) {
                (None, _) => return Ok(None),
                (Some(batch), Some(evidence)) => evidence.add(&batch),
                (Some(_), None) => {}
            },
            () = sleep(LOOKS_EVERY) => {}
        }
    }
    live.end();
    while let Some(batch) = live.next_batch().await? {
        if let Some(evidence) = &mut evidence {
            evidence.add(&batch);
        }
    }
    let Some(laboratory) = rehearsed else { return Ok(None) };
    Ok(Some(asked.judge(&actor, evidence.as_ref(), uncounted, laboratory)))
}

impl WantedHooks {
    fn of(probes: &mut Probes) -> Self {
        Self {
            off: probes.off.clone(),
            totals_off: probes.totals_off.clone(),
            cgroups_off: probes
                .cgroups_off
                .clone()
                .or_else(|| CgroupPaths::new().check().err().map(str::to_owned)),
            early_ends_off: probes.early_ends_off.clone(),
            dialect: probes.dialect.clone(),
            counts: probes.counts.take(),
            blind_spots: probes.facts.blind_spots(),
        }
    }

    /// Is there anything that can be tried and was not seen, and is there still time for it?
    fn lacks(
        &self,
        evidence: Option<&Evidence>,
        actor: &Result<Actor, NoGround>,
        begun: Instant,
    ) -> bool {
        let (Some(evidence), Ok(actor)) = (evidence, actor) else { return false };
        let end = actor.made().map_or(begun + MADE_WITHIN, |made| made.at + LASTS);
        let is_missing = |feature: FeatureLine| {
            self.can_try(&feature, actor) && (feature.missing)(evidence).is_some()
        };
        features().any(is_missing) && Instant::now() < end
    }

    fn can_try(&self, feature: &FeatureLine, actor: &Actor) -> bool {
        self.off(feature).is_none()
            && (feature.takes != Takes::ShortFinWait2 || actor.place.long_fin_wait_2.is_none())
            && actor.made().is_none_or(|made| made.what(feature.takes).is_ok())
    }

    /// Why it is off, if it is.
    fn off(&self, feature: &FeatureLine) -> Option<String> {
        let refused = self.off.iter().find(|(hook, _)| feature.hooks.contains(&hook.tracepoint));
        let refused = refused.map(|(_, why)| why.clone());
        refused.or_else(|| match feature.takes {
            Takes::ResetReasons if !self.dialect.reset_has_reason => {
                Some("kernels tell this since 6.10".to_owned())
            }
            Takes::Totals => self.totals_off.clone(),
            Takes::Cgroups => self.cgroups_off.clone(),
            Takes::Names => self.early_ends_off.clone(),
            _ => None,
        })
    }

    fn judge(
        mut self,
        actor: &Result<Actor, NoGround>,
        evidence: Option<&Evidence>,
        uncounted: Option<String>,
        laboratory: Result<()>,
    ) -> TrialResult {
        let (long_fin_wait_2, shared) = match actor {
            Err(_) => (None, false),
            Ok(actor) => (actor.place.long_fin_wait_2.as_ref(), actor.place.shared.is_some()),
        };
        let made = match actor {
            Ok(actor) => actor.made().cloned(),
            Err(error) => Some(Made::nothing(&error.to_string())),
        };
        let made = made.unwrap_or_else(|| Made::nothing("its connections were not made in time"));
        let answer = |feature: &FeatureLine| {
            if let Some(why) = self.off(feature) {
                return FeatureAnswer::Off(why);
            }
            let missing = evidence.map_or(Some(String::new()), |seen| (feature.missing)(seen));
            let why_not = match feature.takes {
                Takes::ShortFinWait2 if long_fin_wait_2.is_some() => long_fin_wait_2,
                takes => made.what(takes).as_ref().err(),
            };
            match (missing, why_not) {
                (None, _) => FeatureAnswer::Works,
                (Some(_), Some(why)) => FeatureAnswer::NotTried(why.clone()),
                (Some(missing), None) => FeatureAnswer::Fails(missing),
            }
        };
        let answers = features().map(|feature| (feature.name, answer(&feature))).collect();
        let is_on = |program| !self.off.iter().any(|(hook, _)| hook.counters == program);
        let counted = [counter::Hook::TimerStart, counter::Hook::ReceiveReset].map(is_on);
        let metrics = match (uncounted, self.counts.as_mut(), made.all) {
            (Some(why), ..) => FeatureAnswer::Off(why),
            (None, _, Err(why)) => FeatureAnswer::NotTried(why),
            (None, ..) if shared => {
                FeatureAnswer::NotTried("other connections are counted here, too".to_owned())
            }
            (None, Some(counts), Ok(())) => metrics(counts, counted),
            (None, None, Ok(())) => FeatureAnswer::Fails("nothing to read".to_owned()),
        };
        let laboratory = match laboratory {
            Ok(()) => FeatureAnswer::Works,
            Err(error) => FeatureAnswer::Off(exit::causes(&error)),
        };
        let Self { dialect, blind_spots, .. } = self;
        TrialResult { answers, dialect, metrics, laboratory, blind_spots }
    }
}

/// Did the kernel side count what must have been? Half-open connections and resets only where their
/// hooks are attached.
fn metrics(counts: &mut Counts, [with_minis, with_resets]: [bool; 2]) -> FeatureAnswer {
    let [closed, syn_sent, fin_wait_2, time_wait] =
        [TcpState::Closed, TcpState::SynSent, TcpState::FinWait2, TcpState::TimeWait]
            .map(TcpState::to_kernel);
    let must = [
        (true, "connects", transition(closed, syn_sent)),
        (true, "accepts", ACCEPTS),
        (true, "TIME_WAIT", transition(fin_wait_2, time_wait)),
        // Full sockets pass SYN_RECV, too; only half-open connections stay in it.
        (with_minis, "SYN_RECV", STAYS_NS + usize::from(TcpState::SynRecv.to_kernel())),
        (with_resets, "resets received", RESETS_RECEIVED),
    ];
    let words = match counts.read() {
        Ok(counted) => &counted.words,
        Err(error) => return FeatureAnswer::Fails(error.to_string()),
    };
    let is_counted = |word: usize| words.get(word).is_some_and(|count| *count > 0);
    let missing = must.into_iter().filter(|(is_on, _, word)| *is_on && !is_counted(*word));
    let missing: Vec<_> = missing.map(|(_, name, _)| name).collect();
    if missing.is_empty() { FeatureAnswer::Works } else { FeatureAnswer::Fails(missing.join(", ")) }
}
