//! Measures each case: attaches it, runs the workloads, reads the clocks and counters.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    bpf,
    case::{Attachment, ChangeCase, RunningCase},
    losses::LossReport,
    proc_files::{self, ProgramsById},
    statistics::{Micros, number, per},
    tool::Stdout,
    workload::Workload,
};

/// How long each part runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    /// Each workload of one round.
    pub(crate) round: Duration,
    /// The churn in which losses are counted.
    pub(crate) losses: Duration,
}

/// One workload of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    /// Wall-clock time of a state change.
    pub(crate) wall: Micros,
    /// CPU time of a state change, in the thread that makes it.
    pub(crate) cpu: Micros,
    /// CPU time of the tool for each state change.
    pub(crate) tool_cpu: Option<Micros>,
    /// How often the tool woke up in a second.
    pub(crate) wakeups: Option<f64>,
}

/// Both workloads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangeRound {
    pub(crate) listen_close: Phase,
    pub(crate) churn: Phase,
}

/// Losses in a long churn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChurnLosses {
    pub(crate) ran: Duration,
    pub(crate) transitions: u64,
    /// As the tool itself reports.
    pub(crate) lost: Option<u64>,
    /// Runs of its programs that the kernel skipped.
    pub(crate) missed: u64,
}

/// One round of a case, without its losses.
pub(crate) fn round(case: &ChangeCase, length: Duration) -> Result<ChangeRound> {
    let of_case = || format!("with {}", case.label);
    let running = case.attached.start(Stdout::Discarded).with_context(of_case)?;
    let listen_close = phase(&running, Workload::ListenClose, length).with_context(of_case)?;
    let churn = phase(&running, Workload::Churn, length).with_context(of_case)?;
    running.end()?;
    Ok(ChangeRound { listen_close, churn })
}

fn phase(running: &RunningCase, workload: Workload, length: Duration) -> Result<Phase> {
    let usage = || match running {
        RunningCase::Tool(tool) => tool.settle().and_then(|()| tool.usage()).map(Some),
        RunningCase::Nothing | RunningCase::Empty(_) => Ok(None),
    };
    let before = usage()?;
    let work = workload.run(length)?;
    // The tool's backlog at the end belongs to the workload.
    let used = before.zip(usage()?);
    let tool_cpu = used.map(|(before, after)| after.cpu.saturating_sub(before.cpu));
    let sleeps = used.map(|(before, after)| after.sleeps.saturating_sub(before.sleeps));
    Ok(Phase {
        wall: work.wall(),
        cpu: work.cpu(),
        tool_cpu: tool_cpu.map(|cpu| per(cpu, work.transitions)),
        wakeups: sleeps.map(|sleeps| number(sleeps) / work.ran.as_secs_f64()),
    })
}

/// Nanoseconds for a run of the case's busiest program. Timing runs has a cost, too, so this is not part of a round.
pub(crate) fn time_of_a_run(attached: &Attachment, length: Duration) -> Result<Option<f64>> {
    let running = attached.start(Stdout::Discarded)?;
    let Some(holder) = running.holder() else { return Ok(None) };
    let before = proc_files::programs(holder)?;
    let timed = bpf::enable_statistics().context("cannot enable BPF statistics")?;
    Workload::ListenClose.run(length)?;
    drop(timed);
    let after = proc_files::programs(holder)?;
    running.end()?;
    Ok(busiest(&before, &after))
}

fn busiest(before: &ProgramsById, after: &ProgramsById) -> Option<f64> {
    let new = after.iter().map(|(id, after)| {
        let before = before.get(id).copied().unwrap_or_default();
        (after.run_time.saturating_sub(before.run_time), after.runs.saturating_sub(before.runs))
    });
    let (time, runs) = new.max()?;
    (runs > 0).then(|| per(time, runs) * 1000.0)
}

/// Counts all losses in a long churn; `None` for a tool that prints nothing that could be lost.
pub(crate) fn losses(attached: &Attachment, length: Duration) -> Result<Option<ChurnLosses>> {
    let stdout = match attached.loss_report() {
        LossReport::Nothing => return Ok(None),
        loss_report if loss_report.on_stdout() => Stdout::Read,
        _ => Stdout::Discarded,
    };
    let running = attached.start(stdout)?;
    let missed = |running: &RunningCase| -> Result<u64> {
        let programs = running.holder().map(proc_files::programs).transpose()?;
        Ok(programs.unwrap_or_default().values().map(|counts| counts.missed).sum())
    };
    let before = missed(&running)?;
    let work = Workload::Churn.run(length)?;
    if let RunningCase::Tool(tool) = &running {
        tool.settle()?;
    }
    let missed = missed(&running)?.saturating_sub(before);
    let lost = running.end()?.lost;
    Ok(Some(ChurnLosses { ran: work.ran, transitions: work.transitions, lost, missed }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::proc_files::ProgramCounts;

    #[test]
    fn the_busiest_program_is_the_one_that_is_told_of() {
        let counts =
            |nanos, runs| ProgramCounts { run_time: Duration::from_nanos(nanos), runs, missed: 0 };
        let before = ProgramsById::from([(1, counts(1000, 10))]);
        let after = ProgramsById::from([(1, counts(9000, 50)), (2, counts(500, 100))]);
        let run = busiest(&before, &after).expect("it ran");
        assert!((run - 200.0).abs() < 1e-6, "8000 ns by 40 runs: {run}");
        assert_eq!(busiest(&after, &after), None, "no runs, no time");
    }
}
