//! A scenario on the page: all its runs, side by side.

use std::collections::BTreeMap;

use tcpwatch_core::timing::Sysctls;
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_lab::{
    catalog,
    host::Host,
    language::Language,
    report::Document,
    scenario::{Choices, Scenario},
    show::{self, TerminalLayout},
    story::{Profile, Run},
    verdict::Verdict,
};

use crate::{
    axis::seconds,
    bar::Bar,
    look::PictureLook,
    schedule, sequence,
    time_sequence::{self, TimeSequence},
    words::PageWords,
};

/// A scenario in all reports.
pub(crate) struct ScenarioSection<'a> {
    pub(crate) id: String,
    pub(crate) scenario: &'a Scenario,
    /// What its file says and a report does not, if it is a built-in scenario.
    pub(crate) built_in: Option<Scenario>,
    /// The tag of the language of `built_in`.
    pub(crate) language: &'static str,
    /// One for each report.
    pub(crate) cells: Vec<KernelCell>,
    pub(crate) families: Vec<FamilyRuns<'a>>,
    pub(crate) holds: bool,
    /// The first measured time, and what it is of.
    pub(crate) bar: Option<(&'a str, JudgedVerdict)>,
}

/// A scenario in one report, in the overview.
pub(crate) struct KernelCell {
    pub(crate) text: String,
    pub(crate) holds: bool,
}

/// The runs over one protocol.
pub(crate) struct FamilyRuns<'a> {
    pub(crate) version: &'static str,
    pub(crate) runs: Vec<DrawnRun<'a>>,
    pub(crate) verdicts: Vec<VerdictRow<'a>>,
}

/// A run with its pictures.
pub(crate) struct DrawnRun<'a> {
    pub(crate) run: &'a Run,
    pub(crate) kernel: &'a str,
    pub(crate) lasted: String,
    pub(crate) holding: usize,
    pub(crate) svg: String,
    /// The retransmissions, if there are some.
    pub(crate) schedule: Option<String>,
    /// The bytes over time, for each direction with enough of them.
    pub(crate) bytes: Vec<TimeSequence>,
    pub(crate) text: String,
    pub(crate) sysctls: Vec<(String, String, String)>,
}

/// A verdict in all runs over one protocol.
pub(crate) struct VerdictRow<'a> {
    pub(crate) what: &'a str,
    pub(crate) expected: String,
    pub(crate) because: Option<&'a str>,
    /// One for each run; `None` where it was not judged.
    pub(crate) judged: Vec<Option<JudgedVerdict>>,
}

/// What was measured.
pub(crate) struct JudgedVerdict {
    pub(crate) measured: String,
    pub(crate) bar: Option<Bar>,
    pub(crate) holds: bool,
}

impl JudgedVerdict {
    fn of(verdict: &Verdict) -> Self {
        let bar = verdict.times.as_ref().map(Bar::of);
        Self { measured: show::measured(verdict), bar, holds: verdict.holds }
    }
}

impl<'a> ScenarioSection<'a> {
    /// The scenario `name`; `None` if no report has a run of it.
    pub(crate) fn of(
        reports: &'a [Document],
        name: &str,
        id: &str,
        language: Language,
    ) -> Result<Option<Self>, askama::Error> {
        let runs = |report: &'a Document| {
            report.runs.iter().filter(|run| run.scenario.name == name).collect::<Vec<_>>()
        };
        let words = PageWords::of(language);
        let cells = reports.iter().map(|report| KernelCell::of(report, name, &runs(report), words));
        let cells: Vec<KernelCell> = cells.collect();
        let mut families = Vec::new();
        for (family, version) in [(FamilyFilter::V4, "v4"), (FamilyFilter::V6, "v6")] {
            let mut drawn = Vec::new();
            for (column, report) in reports.iter().enumerate() {
                let runs = runs(report).into_iter().filter(|run| run.family == family);
                for (number, run) in runs.enumerate() {
                    let id = format!("{id}-{version}-{column}-{number}");
                    drawn.push(DrawnRun::of(run, &report.kernel, &id, language)?);
                }
            }
            if !drawn.is_empty() {
                families.push(FamilyRuns::of(version, drawn));
            }
        }
        let Some(first) = reports.iter().flat_map(runs).next() else { return Ok(None) };
        let timed = first.verdicts.iter().find(|verdict| verdict.times.is_some());
        Ok(Some(Self {
            id: id.to_owned(),
            scenario: &first.scenario,
            built_in: built_in(first, language),
            language: language.tag(),
            holds: cells.iter().all(|cell| cell.holds),
            cells,
            families,
            bar: timed.map(|verdict| (verdict.what.as_str(), JudgedVerdict::of(verdict))),
        }))
    }
}

/// The built-in scenario of this name in a language, if it is the one that was run, in whatever language.
fn built_in(run: &Run, language: Language) -> Option<Scenario> {
    let built_in = catalog::find(&run.scenario.name).ok()?;
    let read = |language| {
        let (profile, rate) = (run.profile, run.rate);
        built_in.read(&Choices { profile, rate, language, ..Choices::default() }).ok()
    };
    let mut all = Language::ALL.into_iter().filter_map(read);
    let is_it = all.any(|scenario| scenario.claim == run.scenario.claim);
    if is_it { read(language) } else { None }
}

impl KernelCell {
    fn of(report: &Document, name: &str, runs: &[&Run], words: &PageWords) -> Self {
        let counts = runs.iter().map(|run| {
            format!("{} {}/{}", sequence::version(run), holding(run), run.verdicts.len())
        });
        let mut text = counts.collect::<Vec<_>>().join(" \u{b7} ");
        if text.is_empty() {
            let why = report.not_run.iter().find(|left| left.scenario == name);
            text = why.map_or_else(
                || words.not_run.to_owned(),
                |left| format!("{}: {}", words.not_run, left.why),
            );
        }
        Self { text, holds: runs.iter().all(|run| run.holds()) }
    }
}

impl<'a> FamilyRuns<'a> {
    fn of(version: &'static str, runs: Vec<DrawnRun<'a>>) -> Self {
        let mut verdicts: Vec<VerdictRow<'a>> = Vec::new();
        for (column, drawn) in runs.iter().enumerate() {
            for verdict in &drawn.run.verdicts {
                // The first line about the same that has no entry of this run yet.
                let known = verdicts.iter_mut().find(|line| {
                    line.what == verdict.what
                        && line.judged.get(column).is_some_and(Option::is_none)
                });
                let judged = Some(JudgedVerdict::of(verdict));
                if let Some(place) = known.and_then(|line| line.judged.get_mut(column)) {
                    *place = judged;
                } else {
                    verdicts.push(VerdictRow {
                        what: &verdict.what,
                        expected: show::expected(verdict),
                        because: verdict.because.as_deref(),
                        judged: (0..runs.len()).map(|_| None).collect(),
                    });
                    let line = verdicts.last_mut();
                    if let Some(place) = line.and_then(|line| line.judged.get_mut(column)) {
                        *place = judged;
                    }
                }
            }
        }
        Self { version, runs, verdicts }
    }

    pub(crate) fn holds(&self) -> bool {
        self.runs.iter().all(|drawn| drawn.run.holds())
    }
}

impl<'a> DrawnRun<'a> {
    /// What the profile is called.
    pub(crate) const fn profile(&self, words: &PageWords) -> &'static str {
        match self.run.profile {
            Profile::Quick => words.profile_quick,
            Profile::Full => words.profile_full,
        }
    }

    fn of(
        run: &'a Run,
        kernel: &'a str,
        id: &str,
        language: Language,
    ) -> Result<Self, askama::Error> {
        let words = PageWords::of(language);
        let mut text = Vec::new();
        show::diagram(
            TerminalLayout { color: false, width: TerminalLayout::USUAL_WIDTH },
            run,
            &mut text,
        );
        let text = String::from_utf8_lossy(&text);
        // Without its title.
        let text = text.split_once('\n').map_or_else(String::new, |(_, rows)| rows.to_owned());
        let look = |id| PictureLook { id, style: None, words };
        Ok(Self {
            run,
            kernel,
            lasted: seconds(run.ended.since(run.started), 2),
            holding: holding(run),
            svg: sequence::picture(run, &look(id))?,
            schedule: schedule::picture(run, &look(&format!("{id}-s")))?,
            bytes: time_sequence::plots(run, &look(&format!("{id}-b")))?,
            text,
            sysctls: sysctls(run),
        })
    }
}

fn holding(run: &Run) -> usize {
    run.verdicts.iter().filter(|verdict| verdict.holds).count()
}

/// Each sysctl with its value on the client and on the server.
fn sysctls(run: &Run) -> Vec<(String, String, String)> {
    let mut lines: BTreeMap<&str, [String; 2]> = BTreeMap::new();
    for (place, host) in Host::ALL.into_iter().enumerate() {
        let sysctls = run.sysctls(host);
        let mut add = |name, value: String| {
            if let Some(column) = lines.entry(name).or_default().get_mut(place) {
                *column = value;
            }
        };
        for name in Sysctls::NAMES {
            add(name, sysctls.by_name(name).map_or_else(String::new, |value| value.to_string()));
        }
        for (name, value) in run.scenario.sysctls.get(&host).into_iter().flatten() {
            add(name, format!("{value} (set)"));
        }
    }
    let lines = lines.into_iter();
    lines.map(|(name, [client, server])| (name.to_owned(), client, server)).collect()
}
