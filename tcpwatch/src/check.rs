//! `tcpwatch check`: what this kernel and these privileges allow, one line per feature.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::{Result, anyhow};
use tcpwatch::{
    cli::exit,
    lab::rehearsal::rehearse,
    probe::{Counting, Dialect, Facts, Filters, Probes, Tells, hooks::HOOKS, layout},
};

pub(crate) fn run() -> Result<ExitCode> {
    let facts = Facts::gather();
    let mut report = Report::default();
    report.line(&format!("kernel {}, {}", facts.release, facts.machine), &Ok(()));
    report.line(
        &format!("BTF at {}", layout::VMLINUX_BTF),
        &if facts.has_btf {
            Ok(())
        } else {
            Err("missing; the kernel must be built with CONFIG_DEBUG_INFO_BTF=y".to_owned())
        },
    );
    let missing = facts.missing_capabilities();
    report.line(
        "privileges CAP_BPF CAP_PERFMON",
        &if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{} missing; run with sudo", missing.join(" and ")))
        },
    );
    report.line(
        "ring buffer",
        &match facts.has_ring_buffer {
            Some(true) => Ok(()),
            Some(false) => Err("missing; tcpwatch needs Linux 5.8 or newer".to_owned()),
            None => Err("not known without CAP_BPF".to_owned()),
        },
    );
    let filters = Filters { tells: Tells::Lives, ..Filters::default() };
    let mut attached = Probes::attach(&filters, 4096, Counting::Off);
    for hook in HOOKS {
        let found = match &attached {
            Err(error) => Err(error.to_string()),
            Ok((probes, _)) => match probes.off.iter().find(|(off, _)| *off == hook) {
                Some((_, why)) => Err(why.clone()),
                None => Ok(()),
            },
        };
        report.line(&format!("hook {:<24}{}", hook.tracepoint, hook.tells), &found);
    }
    if let Ok((probes, _)) = &attached {
        report.extras(probes);
    }
    let laboratory = match &mut attached {
        Ok((probes, _)) => crate::runtime()?.block_on(rehearse(probes)),
        Err(_) => Err(anyhow!("the hooks are missing")),
    };
    report.line(
        "laboratory: namespaces, veth, tc",
        &laboratory.map_err(|error| format!("{error:#}")),
    );
    exit::print(&report.text)?;
    Ok(if attached.is_ok() { ExitCode::SUCCESS } else { exit::PRECONDITION.into() })
}

#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    fn line(&mut self, what: &str, found: &Result<(), String>) {
        let answer = match found {
            Ok(()) => "ok".to_owned(),
            Err(why) => format!("off: {why}"),
        };
        let _written = writeln!(self.text, "{what:<60}  {answer}").is_ok();
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
        let Dialect { reset_has_reason, retransmit_has_error, .. } = probes.dialect;
        self.line("bytes, retransmits and RTT of a connection that ended", &totals);
        self.line(
            "why a reset is sent, and resets without a socket",
            &since(reset_has_reason, "6.10"),
        );
        self.line("retries that the network below refuses", &since(retransmit_has_error, "6.17"));
        let counted = Probes::attach_counting(Counting::All);
        let counted = counted.map(drop).map_err(|error| error.to_string());
        self.line("metrics, counted in the kernel", &counted);
    }
}
