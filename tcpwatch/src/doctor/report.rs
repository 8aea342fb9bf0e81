//! Findings and the verdict on standard output, in either form.

use anyhow::{Context as _, Result};
use tcpwatch::cli::{args::Format, exit};
use tcpwatch_core::event::{KernelTime, WallClock};
use tcpwatch_doctor::{Doctor, Finding};
use tcpwatch_view::{
    json::Seconds,
    json_lines::{JsonLines, finding::VerdictLine},
};

use super::text;

/// What was found, and how it is shown.
pub(super) struct DoctorReport {
    format: Format,
    json: JsonLines,
    found: bool,
    /// Findings were shown as they were made.
    shown: bool,
}

impl DoctorReport {
    pub(super) fn new(format: Format) -> Self {
        Self { format, json: JsonLines::default(), found: false, shown: false }
    }

    /// There is at least one finding.
    pub(super) const fn found(&self) -> bool {
        self.found
    }

    /// Shows a finding as it is made.
    pub(super) fn finding(
        &mut self,
        finding: &Finding,
        at: KernelTime,
        clock: &WallClock,
    ) -> Result<()> {
        self.shown = true;
        let mut out = Vec::new();
        self.add(finding, at, clock, &mut out);
        print(&out)
    }

    fn add(&mut self, finding: &Finding, at: KernelTime, clock: &WallClock, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => self.json.finding(finding, at, clock, out),
            Format::Text => {
                let since = finding.since.map(|since| self.json.moment(since, clock));
                out.extend_from_slice(text::finding(finding, since.as_deref(), at).as_bytes());
            }
        }
    }

    /// Shows what is wrong at the end, and what was looked at.
    pub(super) fn verdict(
        &mut self,
        doctor: &mut Doctor,
        at: KernelTime,
        clock: &WallClock,
        mut not_seen: Vec<String>,
    ) -> Result<()> {
        let findings = doctor.findings(at);
        self.found = !findings.is_empty();
        not_seen.extend(doctor.not_seen());
        let (namespaces, listeners) = doctor.looked_at();
        let looked = at.since(doctor.began().unwrap_or(at));
        let checked = doctor.checked();
        let verdict = VerdictLine {
            findings: findings.len(),
            looked_s: Seconds(looked),
            events: doctor.events(),
            namespaces,
            listeners,
            checked: VerdictLine::words(&checked),
            not_seen,
        };
        let mut out = Vec::new();
        // What was shown as it was made is not shown again.
        let shown = self.shown;
        for finding in findings.iter().filter(|_| !shown) {
            self.add(finding, at, clock, &mut out);
        }
        match self.format {
            Format::Json => self.json.verdict(&verdict, at, clock, &mut out),
            Format::Text => {
                out.extend_from_slice(
                    text::verdict(&verdict, &findings, &checked, looked).as_bytes(),
                );
            }
        }
        print(&out)
    }
}

fn print(out: &[u8]) -> Result<()> {
    exit::print(out).context("cannot write the output")
}
