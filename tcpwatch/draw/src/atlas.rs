//! The atlas: one HTML page of all runs of one or several reports, which stand side by side. It loads nothing.

use std::collections::BTreeMap;

use askama::Template;
use tcpwatch_core::event::TcpState;
use tcpwatch_lab::{
    language::Language,
    report::Document,
    story::{Run, StoryEvent},
};

use crate::{coverage::Coverage, machine, section::ScenarioSection, sequence, words::PageWords};

#[derive(Template)]
#[template(path = "atlas.html")]
struct Page<'a> {
    words: &'static PageWords,
    /// The tag of the language.
    language: &'static str,
    reports: &'a [Document],
    sections: Vec<ScenarioSection<'a>>,
    style: &'static str,
    machine: String,
    coverage: &'a Coverage,
    states: Vec<(TcpState, Vec<&'a str>)>,
    ids: &'a BTreeMap<&'a str, String>,
    holding: usize,
    all: usize,
    runs: usize,
    failed: usize,
}

impl Page<'_> {
    /// The id of a scenario's section.
    fn id(&self, scenario: &str) -> &str {
        self.ids.get(scenario).map_or("top", String::as_str)
    }
}

/// The page; the texts of built-in scenarios are in this language.
pub fn html(reports: &[Document], language: Language) -> Result<String, askama::Error> {
    let coverage = Coverage::of(reports);
    let ids = ids(reports);
    let mut sections = Vec::new();
    for name in in_order(runs(reports)) {
        let id = ids.get(name).map_or("", String::as_str);
        sections.extend(ScenarioSection::of(reports, name, id, language)?);
    }
    let failed = sections.iter().filter(|section| !section.holds).count();
    // What does not hold is first.
    sections.sort_by_key(|section| section.holds);
    let verdicts = || runs(reports).flat_map(|run| &run.verdicts);
    let words = PageWords::of(language);
    let page = Page {
        words,
        language: language.tag(),
        reports,
        style: sequence::STYLE,
        machine: machine::svg(&coverage, words)?,
        coverage: &coverage,
        states: TcpState::ALL.map(|state| (state, entering(reports, state))).into(),
        ids: &ids,
        holding: verdicts().filter(|verdict| verdict.holds).count(),
        all: verdicts().count(),
        runs: runs(reports).count(),
        sections,
        failed,
    };
    page.render()
}

fn runs(reports: &[Document]) -> impl Iterator<Item = &Run> {
    reports.iter().flat_map(|report| &report.runs)
}

/// An id for each scenario: its name if that can be one, with a number where two would be the same.
fn ids(reports: &[Document]) -> BTreeMap<&str, String> {
    let mut ids: BTreeMap<&str, String> = BTreeMap::new();
    for name in in_order(runs(reports)) {
        let word = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
        let mut id = format!("s-{word}");
        if ids.values().any(|known| *known == id) {
            id = format!("s{}-{word}", ids.len());
        }
        ids.insert(name, id);
    }
    ids
}

/// The names of the scenarios, in the order of their first runs.
fn in_order<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for run in runs {
        if !names.contains(&run.scenario.name.as_str()) {
            names.push(&run.scenario.name);
        }
    }
    names
}

/// The scenarios in which some socket entered a state.
fn entering(reports: &[Document], state: TcpState) -> Vec<&str> {
    let enters = |run: &&Run| {
        let mut changes = run.story.iter().filter_map(StoryEvent::change);
        changes.any(|change| change.to == state && change.from != state)
    };
    in_order(runs(reports).filter(enters))
}
