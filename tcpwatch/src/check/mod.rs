//! `tcpwatch check`: what this kernel and these privileges allow, tried, one line per feature.

mod actor;
mod evidence;
mod features;
mod report;
mod trial;

use std::process::ExitCode;

use anyhow::Result;
use tcpwatch::cli::exit;
use tcpwatch_kernel::probe::{Counting, Facts, Filters, ProbeError, Probes, Ring, Tells};

use actor::{Actor, TrialPlace};
use features::features;
use report::{CheckReport, FeatureAnswer};
use trial::TrialResult;

use crate::{confine, runtime};

/// Room for the records of a few connections.
const RING_BYTES: u32 = 1 << 18;

pub(crate) fn run() -> Result<ExitCode> {
    let facts = Facts::gather();
    let mut report = CheckReport::default();
    report.line(&format!("kernel {}, {}", facts.release, facts.machine), FeatureAnswer::Ok);
    for (what, met) in facts.demands() {
        report.line(
            &what,
            met.map_or_else(|error| FeatureAnswer::Off(error.to_string()), |()| FeatureAnswer::Ok),
        );
    }
    report.pid_namespace();
    let actor = Actor::start();
    let place = actor.as_ref().ok().map(|actor| &actor.place);
    let works = match attach(&facts, place) {
        Err(error) => {
            report.nothing(&exit::causes(&error.into()));
            false
        }
        Ok(attached) => {
            report.place(&actor);
            let Some(trial) = runtime::start()?.block_on(trial::make(attached, actor))? else {
                exit::say("tcpwatch: interrupted\n");
                return Ok(ExitCode::FAILURE);
            };
            report.trial(trial)
        }
    };
    report.file_tables();
    report.sandbox(confine::tried());
    exit::print(&report.text)?;
    Ok(if works { ExitCode::SUCCESS } else { exit::PRECONDITION.into() })
}

/// What is attached, and why nothing is counted if that is refused.
struct Attached {
    filters: Filters,
    probes: Probes,
    ring: Ring,
    uncounted: Option<String>,
}

/// Attaches all hooks for the connections of the trial.
fn attach(facts: &Facts, place: Option<&TrialPlace>) -> Result<Attached, ProbeError> {
    let filters = filters(place);
    let attach = |counting| Probes::attach_to(facts.clone(), &filters, RING_BYTES, counting);
    let counting = place.map_or(Counting::All, |place| Counting::Of(place.netns));
    let (uncounted, (probes, ring)) = match attach(counting) {
        Ok(attached) => (None, attached),
        // Perhaps the log can be had without the metrics.
        Err(error) => (Some(exit::causes(&error.into())), attach(Counting::Off)?),
    };
    Ok(Attached { filters, probes, ring, uncounted })
}

fn filters(place: Option<&TrialPlace>) -> Filters {
    let lives = Filters { tells: Tells::Lives, holders: true, ..Filters::default() };
    match place {
        None => lives,
        Some(place) => {
            let ports = [place.ports.server, place.ports.half_open, place.ports.closed];
            let ports = ports.into_iter().map(|port| port..=port).collect();
            Filters { ports, netns: Some(place.netns), ..lives }
        }
    }
}
