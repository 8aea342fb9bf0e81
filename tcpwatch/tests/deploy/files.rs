//! The files of `deploy/`, as they are shipped.

use std::{fs, path::PathBuf};

use serde_json::Value;

pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

pub(crate) fn text(name: &str) -> String {
    let path = directory().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of all alerts, in order.
pub(crate) fn alerts() -> Vec<String> {
    let rules = text("prometheus/tcpwatch.rules.yml");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

pub(crate) fn dashboard() -> Value {
    serde_json::from_str(&text("grafana/tcpwatch.json")).unwrap()
}

/// All panels but the rows' headings.
pub(crate) fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels.iter().filter(|panel| panel["type"] != "row").collect()
}

/// Every query of the dashboard and the title of its panel.
pub(crate) fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets
            .into_iter()
            .map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    };
    panels(dashboard).into_iter().flat_map(of_panel).collect()
}
