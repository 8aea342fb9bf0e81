//! `tcpwatch check`: what this kernel and these privileges allow, one line per feature.

use std::{collections::HashSet, fmt::Write as _, process::ExitCode};

use anyhow::Result;
use tcpwatch::cli::exit;
use tcpwatch_common::config::FIRST_PID_NAMESPACE;
use tcpwatch_kernel::source::cgroup_paths::CgroupPaths;
use tcpwatch_kernel::{
    pid_namespace,
    probe::{Counting, Dialect, EARLY_ENDS, Facts, Filters, Probes, Tells, hooks::HOOKS},
};
use tcpwatch_lab::rehearsal::rehearse;

use crate::runtime;

pub(crate) fn run() -> Result<ExitCode> {
    let facts = Facts::gather();
    let mut report = Report::default();
    report.line(&format!("kernel {}, {}", facts.release, facts.machine), &Ok(()));
    for (what, met) in facts.demands() {
        report.line(&what, &met.map_err(|error| error.to_string()));
    }
    let filters = Filters { tells: Tells::Lives, holders: true, ..Filters::default() };
    let attached = Probes::attach(&filters, 4096, Counting::Off);
    let mut attached = attached.map_err(|error| exit::causes(&error.into()));
    for hook in HOOKS {
        let found = match &attached {
            Err(error) => Err(error.clone()),
            Ok((probes, _)) => match probes.off.iter().find(|(off, _)| *off == hook) {
                Some((_, why)) => Err(why.clone()),
                None => Ok(()),
            },
        };
        report.line(&format!("hook {:<24}{}", hook.tracepoint, hook.tells), &found);
    }
    if let Ok((probes, _)) = &attached {
        report.extras(probes);
        report.pid_namespace();
        for (what, why) in facts.blind_spots() {
            report.line(what, &Err(why.to_owned()));
        }
    }
    let laboratory = match &mut attached {
        Ok((probes, _)) => runtime::start()?.block_on(rehearse(probes)),
        Err(why) => Err(anyhow::Error::msg(why.clone())),
    };
    report.line(
        "laboratory: namespaces, veth, tc",
        &laboratory.map_err(|error| exit::causes(&error)),
    );
    exit::print(&report.text)?;
    Ok(if attached.is_ok() { ExitCode::SUCCESS } else { exit::PRECONDITION.into() })
}

#[derive(Default)]
struct Report {
    text: String,
    /// Why features are off. What is told once need not be told again.
    told: HashSet<String>,
}

impl Report {
    fn line(&mut self, what: &str, found: &Result<(), String>) {
        let answer = match found {
            Ok(()) => "ok".to_owned(),
            Err(why) if self.told.insert(why.clone()) => format!("off: {why}"),
            Err(_) => "off: for the same reason".to_owned(),
        };
        let _written = writeln!(self.text, "{what:<60}  {answer}").is_ok();
    }

    /// Whose numbers processes are shown by.
    fn pid_namespace(&mut self) {
        let inode = pid_namespace::own();
        let which = match inode {
            Some(FIRST_PID_NAMESPACE) => "the initial one".to_owned(),
            Some(inode) => inode.to_string(),
            None => "not known, the initial one is taken".to_owned(),
        };
        let shown = if pid_namespace::has_own_proc() {
            Ok(())
        } else {
            let why = "/proc shows another pid namespace: processes that held sockets before have \
                       names only; mount a proc file system of this one";
            Err(why.to_owned())
        };
        self.line(&format!("process ids of the pid namespace: {which}"), &shown);
    }

    /// What is told besides the hooks.
    fn extras(&mut self, probes: &Probes) {
        let since = |has: bool, version: &str| {
            if has { Ok(()) } else { Err(format!("kernels tell this since {version}")) }
        };
        let totals = match &probes.totals_off {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        };
        let early_ends = match &probes.early_ends_off {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        };
        self.line(EARLY_ENDS, &early_ends);
        let cgroups = probes.cgroups_off.clone().map_or(Ok(()), Err);
        let paths = CgroupPaths::new().check().map_err(str::to_owned);
        self.line("cgroup, unit, container and pod of a socket", &cgroups.and(paths));
        let Dialect { reset_has_reason, retransmit_has_error, .. } = probes.dialect;
        self.line("bytes, retransmits and RTT of a connection that ended", &totals);
        self.line(
            "why a reset is sent, and resets without a socket",
            &since(reset_has_reason, "6.10"),
        );
        self.line("retries that the network below refuses", &since(retransmit_has_error, "6.17"));
        let counted = Probes::attach_counting(Counting::All);
        let counted = counted.map(drop).map_err(|error| exit::causes(&error.into()));
        self.line("metrics, counted in the kernel", &counted);
    }
}
