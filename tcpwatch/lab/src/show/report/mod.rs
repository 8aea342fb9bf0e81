//! Writes all runs as one JSON document; `schema.json` in this folder describes its format.

mod story;

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tcpwatch_core::{
    event::{Netns, WallClock},
    timing::Sysctls,
};
use tcpwatch_kernel::probe::filters::Family;
use tcpwatch_view::json_object::{Object, escape, key};
use thiserror::Error;

use self::story::MomentWriter;
use crate::{
    host::Host,
    story::{Discarded, LeftOut, Profile, Run},
    verdict::Verdict,
};

/// Version of the format: incremented when a field changes its meaning, not when one is added.
const SCHEMA: u8 = 1;

/// Why a report could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file cannot be opened; reported before anything runs.
    #[error(
        "cannot write the report {path}: {source}; name a file in a folder that you may write to"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file cannot be written; reported at the end.
    #[error("cannot finish the report {path}: {source}; it is incomplete")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// An open file for the report.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
    file: File,
}

impl Report {
    /// Opens the file before anything runs, and truncates it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        match File::create(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(source) => Err(ReportError::Open { path: path.to_owned(), source }),
        }
    }

    /// Writes all runs, made or not. `clock` converts the kernel's time to wall-clock time.
    ///
    /// # Errors
    /// If the file cannot be written, because the disk is full, say.
    pub fn write(
        mut self,
        runs: &[Run],
        left_out: &[LeftOut],
        clock: &WallClock,
    ) -> Result<(), ReportError> {
        let mut out = Vec::new();
        document(runs, left_out, clock, &mut out);
        let written = self.file.write_all(&out).and_then(|()| self.file.flush());
        written.map_err(|source| ReportError::Write { path: self.path, source })
    }
}

/// Appends the document.
fn document(runs: &[Run], left_out: &[LeftOut], clock: &WallClock, out: &mut Vec<u8>) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Object::write(out, |report| {
        report.number(key!("schema"), SCHEMA);
        report.word(key!("tcpwatch"), env!("CARGO_PKG_VERSION"));
        report.text(key!("kernel"), &release);
        report.boolean(key!("holds"), runs.iter().all(Run::holds));
        report.array(key!("runs"), runs, |run, out| {
            Object::write(out, |object| write_run(run, clock, object));
        });
        report.array(key!("not_run"), left_out, |left_out, out| {
            Object::write(out, |object| {
                object.text(key!("scenario"), &left_out.scenario.name);
                object.word(key!("family"), family_word(left_out.family));
                object.text(key!("why"), &left_out.why.to_string());
            });
        });
    });
    out.push(b'\n');
}

fn write_run(run: &Run, clock: &WallClock, object: &mut Object<'_>) {
    let Run {
        scenario,
        profile,
        family,
        sysctls: _,
        rate,
        started,
        ended,
        story,
        dropped,
        netns: _,
        lost: _,
        counted: _,
        discarded: _,
        failure,
        verdicts,
        warnings,
    } = run;
    let mut writer = MomentWriter::new(scenario, clock);
    object.text(key!("scenario"), &scenario.name);
    object.text(key!("title"), &scenario.title);
    object.text(key!("claim"), &scenario.claim);
    object.word(key!("profile"), profile_word(*profile));
    object.word(key!("family"), family_word(*family));
    object.number(key!("hz"), rate.0);
    object.object(key!("sysctls"), |hosts| {
        for host in Host::ALL {
            hosts.object(host.name(), |values| {
                write_sysctls(run.sysctls(host), values);
                write_set(run, host, values);
            });
        }
    });
    object.text(key!("started"), &writer.moment(*started));
    object.number(key!("started_mono_ns"), started.0);
    object.text(key!("ended"), &writer.moment(*ended));
    object.number(key!("ended_mono_ns"), ended.0);
    object.seconds(key!("lasted_s"), ended.since(*started));
    object.array(key!("story"), story, |moment, out| writer.write(moment, out));
    object.array(key!("rules"), scenario.rules.iter().zip(dropped), |(rule, dropped), out| {
        Object::write(out, |object| {
            object.text(key!("rule"), &rule.name);
            object.word(key!("host"), rule.host.name());
            object.number(key!("dropped"), *dropped);
        });
    });
    write_losses(run, object);
    object.array(key!("verdicts"), verdicts, |verdict, out| {
        Object::write(out, |object| write_verdict(verdict, object));
    });
    object.array(key!("warnings"), warnings, |warning, out| escape(warning, out));
    match failure {
        Some(failure) => object.text(key!("failure"), failure),
        None => object.null(key!("failure")),
    }
    object.boolean(key!("holds"), run.holds());
}

const fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

const fn profile_word(profile: Profile) -> &'static str {
    match profile {
        Profile::Quick => "quick",
        Profile::Full => "full",
    }
}

/// Appends the sysctls by which the timers were judged.
fn write_sysctls(sysctls: &Sysctls, values: &mut Object<'_>) {
    let Sysctls {
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
    values.number(key!("tcp_syn_retries"), syn_retries);
    values.number(key!("tcp_syn_linear_timeouts"), syn_linear_timeouts);
    values.number(key!("tcp_synack_retries"), synack_retries);
    values.number(key!("tcp_orphan_retries"), orphan_retries);
    values.number(key!("tcp_retries2"), retries2);
    values.number(key!("tcp_rto_min_us"), rto_min.as_micros());
    values.number(key!("tcp_rto_max_ms"), rto_max.as_millis());
    values.number(key!("tcp_fin_timeout"), fin_timeout.as_secs());
    values.number(key!("tcp_early_retrans"), early_retrans);
}

/// Appends the losses, and the runs that proved nothing because of them.
fn write_losses(run: &Run, object: &mut Object<'_>) {
    object.object(key!("netns"), |hosts| write_netns(run.netns, hosts));
    object.number(key!("lost"), run.lost);
    object.number(key!("counted_lost"), run.counted);
    object.array(key!("discarded"), &run.discarded, |discarded, out| {
        Object::write(out, |object| write_discarded(discarded, object));
    });
}

fn write_netns(netns: [Netns; 2], hosts: &mut Object<'_>) {
    for (host, netns) in Host::ALL.into_iter().zip(netns) {
        hosts.number(host.name(), netns.0);
    }
}

fn write_discarded(discarded: &Discarded, object: &mut Object<'_>) {
    let Discarded { started, ended, netns, lost, counted, why } = discarded;
    object.number(key!("started_mono_ns"), started.0);
    object.number(key!("ended_mono_ns"), ended.0);
    object.object(key!("netns"), |hosts| write_netns(*netns, hosts));
    object.number(key!("lost"), *lost);
    object.number(key!("counted_lost"), *counted);
    object.text(key!("why"), why);
}

/// Appends the sysctls that the scenario set, as text.
fn write_set(run: &Run, host: Host, values: &mut Object<'_>) {
    values.object(key!("set"), |set| {
        for (name, value) in run.scenario.sysctls.get(&host).into_iter().flatten() {
            set.text_named(name, value);
        }
    });
}

fn write_verdict(verdict: &Verdict, object: &mut Object<'_>) {
    let Verdict { what, expected, measured, times, because, holds } = verdict;
    object.text(key!("what"), what);
    object.text(key!("expected"), expected);
    object.text(key!("measured"), measured);
    if let Some(times) = times {
        object.seconds(key!("at_least_s"), times.allowed.promise);
        object.seconds(key!("at_most_s"), times.allowed.latest);
        object.seconds(key!("measured_s"), times.measured);
    }
    match because {
        Some(because) => object.text(key!("because"), because),
        None => object.null(key!("because")),
    }
    object.boolean(key!("holds"), *holds);
}
