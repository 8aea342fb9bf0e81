//! The alert rules and their tests.

use super::{
    files,
    tools::{needs_prometheus, promtool},
};

fn path(name: &str) -> String {
    files::directory().join("prometheus").join(name).display().to_string()
}

#[test]
fn prometheus_understands_the_rules_and_the_example_of_a_configuration() {
    needs_prometheus!();
    promtool(&["check", "rules", &path("tcpwatch.rules.yml")], "");
    promtool(&["check", "config", &path("prometheus.yml")], "");
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    needs_prometheus!();
    promtool(&["test", "rules", &path("tcpwatch.rules.test.yml")], "");
}

#[test]
fn every_alert_has_a_case_in_which_it_fires() {
    let cases = files::text("prometheus/tcpwatch.rules.test.yml");
    let alerts = files::alerts();
    assert!(alerts.len() >= 12, "{alerts:?}");
    for alert in alerts {
        let fires = cases.split("- alertname: ").skip(1).any(|case| {
            case.split_whitespace().next() == Some(alert.as_str()) && case.contains("exp_labels")
        });
        assert!(fires, "{alert}");
    }
}

#[test]
fn a_bound_is_asked_for_as_both_versions_of_prometheus_store_it() {
    let rules = files::text("prometheus/tcpwatch.rules.yml");
    let dashboard = files::queries(&files::dashboard());
    let queries = dashboard.iter().map(|(_, query)| query.as_str()).chain(rules.lines());
    let bounds: Vec<&str> = queries
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|query| query.split("le=").skip(1))
        .collect();
    assert!(bounds.len() >= 3, "{bounds:?}");
    for bound in bounds {
        let text = bound.strip_prefix("~\"").unwrap_or_else(|| panic!("le={bound}"));
        let (whole, decimal) = text.split_once('"').unwrap().0.split_once('|').unwrap();
        assert_eq!(format!("{whole}.0"), decimal, "le={bound}");
    }
}
