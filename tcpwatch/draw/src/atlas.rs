//! The atlas: one HTML page of all runs of one or several reports, which stand side by side. It loads nothing.

use std::collections::BTreeMap;

use askama::Template;

use crate::{
    machine::Coverage,
    report::{Document, RunReport, VerdictRow},
    sequence,
};

/// What a scenario's file says and its report does not.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    /// What it teaches.
    pub teaches: String,
    /// The same by hand.
    pub by_hand: String,
}

/// A scenario in all reports.
struct Section<'a> {
    id: String,
    name: &'a str,
    title: &'a str,
    claim: &'a str,
    recipe: Option<&'a Recipe>,
    /// One for each report.
    cells: Vec<Cell>,
    runs: Vec<Drawn<'a>>,
    is_open: bool,
}

/// A scenario in one report, in the overview.
struct Cell {
    text: String,
    holds: bool,
}

/// A run with its picture.
struct Drawn<'a> {
    run: &'a RunReport,
    kernel: &'a str,
    svg: String,
    verdicts: Vec<Judged<'a>>,
    holding: usize,
    sysctls: Vec<(String, String, String)>,
}

struct Judged<'a> {
    verdict: &'a VerdictRow,
    bar: Option<Bar>,
}

/// A measured time in its window: places on a line from 0 to 200.
struct Bar {
    from: f64,
    width: f64,
    at: f64,
    text: String,
}

#[derive(Template)]
#[template(path = "atlas.html")]
struct Page<'a> {
    reports: &'a [Document],
    sections: Vec<Section<'a>>,
    machine: String,
    coverage: &'a Coverage,
    ids: BTreeMap<&'a str, String>,
    states: [&'static str; 11],
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

    /// The scenarios in which some connection entered a state.
    fn entering(&self, state: &str) -> Vec<&str> {
        let enters = |section: &&Section<'_>| {
            let mut events = section.runs.iter().flat_map(|drawn| &drawn.run.story);
            events.any(|event| event.event == "state" && event.to.as_deref() == Some(state))
        };
        self.sections.iter().filter(enters).map(|section| section.name).collect()
    }
}

const STATES: [&str; 11] = [
    "CLOSED", "LISTEN", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING",
    "LAST_ACK", "TIME_WAIT",
];

/// The page. `recipes` has what scenarios teach, by name.
///
/// # Errors
/// If it cannot be formatted.
pub fn html(reports: &[Document], recipes: &BTreeMap<String, Recipe>) -> Result<String, askama::Error> {
    let coverage = Coverage::of(reports);
    let ids = ids(reports);
    let mut sections = Vec::new();
    for (name, id) in in_order(reports, &ids) {
        sections.extend(section(reports, name, id, recipes.get(name))?);
    }
    let failed = sections.iter().filter(|section| section.is_open).count();
    // What does not hold is first.
    sections.sort_by_key(|section| !section.is_open);
    let runs = || reports.iter().flat_map(|report| &report.runs);
    let verdicts = || runs().flat_map(|run| &run.verdicts);
    let page = Page {
        reports,
        machine: coverage.svg()?,
        holding: verdicts().filter(|verdict| verdict.holds).count(),
        all: verdicts().count(),
        runs: runs().count(),
        sections,
        coverage: &coverage,
        ids,
        states: STATES,
        failed,
    };
    page.render()
}

/// An id for each scenario: its name if that can be one, and a number where two would be the same.
fn ids(reports: &[Document]) -> BTreeMap<&str, String> {
    let mut ids: BTreeMap<&str, String> = BTreeMap::new();
    for run in reports.iter().flat_map(|report| &report.runs) {
        if ids.contains_key(run.scenario.as_str()) {
            continue;
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let word = run.scenario.replace(|c| !is_plain(c), "-");
        let mut id = format!("s-{word}");
        if ids.values().any(|known| *known == id) {
            id = format!("s{}-{word}", ids.len());
        }
        ids.insert(&run.scenario, id);
    }
    ids
}

/// The scenarios in the order of their first runs.
fn in_order<'a>(reports: &'a [Document], ids: &BTreeMap<&'a str, String>) -> Vec<(&'a str, String)> {
    let mut names: Vec<(&str, String)> = Vec::new();
    for run in reports.iter().flat_map(|report| &report.runs) {
        let name = run.scenario.as_str();
        if names.iter().all(|(known, _)| *known != name) {
            names.push((name, ids.get(name).cloned().unwrap_or_default()));
        }
    }
    names
}

fn section<'a>(
    reports: &'a [Document],
    name: &'a str,
    id: String,
    recipe: Option<&'a Recipe>,
) -> Result<Option<Section<'a>>, askama::Error> {
    let mut runs = Vec::new();
    let mut cells = Vec::new();
    for (column, report) in reports.iter().enumerate() {
        let mine = || report.runs.iter().filter(|run| run.scenario == name);
        for (number, run) in mine().enumerate() {
            runs.push(drawn(run, &report.kernel, &format!("{id}-{column}-{number}"))?);
        }
        let texts: Vec<_> = mine().map(|run| format!("{} {}/{}", run.version(), holding(run), run.verdicts.len())).collect();
        let mut text = texts.join(" \u{b7} ");
        if text.is_empty() {
            let why = report.not_run.iter().find(|left| left.scenario == name);
            text = why.map_or_else(|| "not run".to_owned(), |left| format!("not run: {}", left.why));
        }
        cells.push(Cell { text, holds: mine().all(|run| run.holds) });
    }
    let is_open = cells.iter().any(|cell| !cell.holds);
    let Some(first) = runs.first().map(|drawn| drawn.run) else { return Ok(None) };
    Ok(Some(Section { id, name, title: &first.title, claim: &first.claim, recipe, cells, runs, is_open }))
}

fn holding(run: &RunReport) -> usize {
    run.verdicts.iter().filter(|verdict| verdict.holds).count()
}

fn drawn<'a>(run: &'a RunReport, kernel: &'a str, id: &str) -> Result<Drawn<'a>, askama::Error> {
    let verdicts = run.verdicts.iter().map(|verdict| Judged { verdict, bar: bar(verdict) }).collect();
    Ok(Drawn { run, kernel, svg: sequence::svg(run, id)?, verdicts, holding: holding(run), sysctls: sysctls(run) })
}

/// Each sysctl with its value on the client and on the server.
fn sysctls(run: &RunReport) -> Vec<(String, String, String)> {
    let of = |host: &str| run.sysctls.get(host);
    let names = of("client").into_iter().flat_map(BTreeMap::keys).filter(|name| *name != "set");
    let value = |host: &str, name: &str| {
        let value = of(host).and_then(|sysctls| sysctls.get(name));
        value.map_or_else(|| "unknown".to_owned(), ToString::to_string)
    };
    names.map(|name| (name.clone(), value("client", name), value("server", name))).collect()
}

/// The window is drawn from 40 to 160 of 200; what is far outside stands at the border.
fn bar(verdict: &VerdictRow) -> Option<Bar> {
    let (least, measured) = (verdict.at_least_s?, verdict.measured_s?);
    let most = verdict.at_most_s?;
    let span = most - least;
    let part = if span > 0.0 { (measured - least) / span } else { 0.5 };
    let at = (part.mul_add(120.0, 40.0)).clamp(4.0, 196.0);
    let text = format!("{measured:.3} s, allowed {least:.3} to {most:.3} s");
    Some(Bar { from: 40.0, width: 120.0, at, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    const REPORT: &str = include_str!("test-report.json");

    fn page(text: &str) -> String {
        let report = report::read("r.json", text.as_bytes()).unwrap();
        html(&[report], &BTreeMap::new()).unwrap()
    }

    #[test]
    fn the_same_report_gives_the_same_bytes() {
        assert_eq!(page(REPORT), page(REPORT));
    }

    #[test]
    fn a_scenario_with_a_hostile_name_adds_no_element() {
        let hostile = r#"</script><b id=\"x\" onload='1'>\u001b[31m"#;
        let page = page(&REPORT.replace("\"fin-wait-2\"", &format!("\"{hostile}\"")));
        assert!(!page.contains("<b id"), "escaped");
        assert!(!page.contains('\u{1b}'), "no control character");
        assert!(page.contains("&lt;") || page.contains("&#60;"));
    }

    #[test]
    fn every_link_of_the_page_leads_to_an_id_of_the_page() {
        let page = page(REPORT);
        let links: Vec<_> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.len() > 30, "{}", links.len());
        for link in links {
            assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
        }
    }

    #[test]
    fn no_id_of_the_page_occurs_twice() {
        let page = page(REPORT);
        let mut ids: Vec<_> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn transitions_are_counted_from_the_state_changes_of_the_runs() {
        let report = report::read("r.json", REPORT.as_bytes()).unwrap();
        let coverage = Coverage::of(&[report]);
        // To LISTEN, and from there to SYN_RECV; SYN_SENT; ESTABLISHED twice; FIN_WAIT_1, CLOSE_WAIT, FIN_WAIT_2.
        // In the other run the client goes from SYN_SENT to CLOSED.
        assert_eq!(coverage.taken(), 9);
        let by_timer = ("FIN_WAIT_2".to_owned(), "CLOSED".to_owned());
        assert!(coverage.others.contains_key(&by_timer), "{:?}", coverage.others);
    }

    #[test]
    fn a_verdict_that_does_not_hold_is_in_the_heading() {
        let mut value: serde_json::Value = serde_json::from_str(REPORT).unwrap();
        value["runs"][1]["holds"] = false.into();
        value["runs"][1]["verdicts"][0]["holds"] = false.into();
        let page = page(&value.to_string());
        assert!(page.contains("<h1>1 scenario does not hold"), "{page}");
        let first = page.split("<section class=\"scenario\" id=\"").nth(1).unwrap();
        assert!(first.starts_with("s-syn-lost"), "first on the page");
    }

    #[test]
    fn a_dropped_segment_is_drawn_with_the_rule_that_dropped_it_and_a_retry_with_its_attempt() {
        let report = report::read("r.json", REPORT.as_bytes()).unwrap();
        let svg = sequence::svg(&report.runs[1], "x").unwrap();
        assert_eq!(svg.matches("lost: no-syn").count(), 3);
        assert!(svg.contains("retry 2 after 2.016 s"), "{svg}");
        assert!(svg.contains("connect(3) = -1 ETIMEDOUT"), "{svg}");
    }
}
