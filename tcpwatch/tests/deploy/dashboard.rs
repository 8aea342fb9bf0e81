//! The dashboard, as far as it can be checked without data.

use std::collections::BTreeSet;

use serde_json::Value;

use super::files::{alerts, dashboard, panels, queries};

fn number(of: &Value) -> u64 {
    of.as_u64().unwrap_or_else(|| panic!("{of} is no number"))
}

#[test]
fn it_works_with_any_data_source_job_and_instance() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "job", "instance", "cgroup"]);
    for panel in panels(&dashboard) {
        let sources = std::iter::once(panel).chain(panel["targets"].as_array().unwrap());
        for source in sources {
            assert_eq!(source["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
    for (title, query) in queries(&dashboard) {
        let selectors: Vec<_> = query.split('{').skip(1).collect();
        assert!(!selectors.is_empty(), "{title}: {query}");
        for selector in selectors {
            let begin = r#"job=~"$job",instance=~"$instance""#;
            assert!(selector.starts_with(begin), "{title}: {query}");
        }
    }
}

#[test]
fn its_panels_have_a_place_of_their_own_and_say_what_they_show() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(number(&panel["id"])), "{title}: its number is used twice");
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| number(&place[side]));
        assert!(x + w <= 24 && h > 0, "{title}: {place}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} covers another panel");
        }
    }
    for panel in panels(&dashboard) {
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{}", panel["title"]);
    }
}

#[test]
fn every_alert_is_named_where_its_cause_is_seen() {
    let dashboard = dashboard();
    let panels = panels(&dashboard);
    let told: String = panels
        .iter()
        .map(|panel| panel["description"].as_str().unwrap().to_owned() + "\n")
        .collect();
    let alerts = alerts();
    for alert in &alerts {
        assert!(told.contains(alert.as_str()), "{alert}");
    }
    let words = told.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.filter(|word| word.starts_with("Tcp")) {
        assert!(alerts.iter().any(|alert| alert == word), "there is no alert {word}");
    }
}
