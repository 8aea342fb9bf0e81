//! The list of metrics in `deploy/` agrees with the page.

use std::{collections::BTreeSet, env, fs, net::TcpListener};

use crate::{
    carried,
    harness::{
        exporter::Exporter,
        netns::Netns,
        sockets::{Pair, half_close},
    },
};

const HEADING: &str = "# Metrics\n\n\
    The metrics of `tcpwatch serve` with their help texts. A test compares this file with the page;\n\
    `UPDATE_GOLDEN=1` makes it write this file.\n\n\
    | metric | kind | labels | is |\n|:--|:--|:--|:--|\n";

/// A family as a row.
fn row(page: &str, name: &str, help: &str) -> String {
    let kind = page
        .lines()
        .find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")))
        .unwrap_or_else(|| panic!("{name} has no type"));
    let series = page.lines().filter_map(|line| line.strip_prefix(name)).filter_map(|rest| {
        let rest = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| rest.strip_prefix(part))
            .unwrap_or(rest);
        rest.strip_prefix('{')?.split_once('}').map(|(labels, _)| labels)
    });
    let labels: BTreeSet<_> = series
        .flat_map(|labels| labels.split("\",").filter_map(|label| label.split('=').next()))
        .filter(|label| *label != "le")
        .map(|label| format!("`{label}`"))
        .collect();
    let labels = labels.into_iter().collect::<Vec<_>>().join(", ");
    format!("| `{name}` | {kind} | {labels} | {help} |\n")
}

#[test]
fn the_list_of_metrics_has_every_family_with_its_kind_its_labels_and_its_help() {
    needs_root!();
    // Some have no series without these: a destination to which all ports are in use, most of them in TIME_WAIT, and a
    // socket in CLOSE_WAIT.
    let netns =
        Netns::with(&[("ipv4.ip_local_port_range", "40000 40009"), ("ipv4.tcp_tw_reuse", "0")]);
    let kept = netns.inside(|| {
        let listener = TcpListener::bind("127.0.0.1:2000").unwrap();
        for _ in 0..9 {
            Pair::over(&listener).close_client_first();
        }
        let pair = Pair::over(&listener);
        half_close(&pair.client);
        (pair, listener)
    });
    let serve = ["serve", "--web.listen-address", "127.0.0.1:10911"];
    let exporter = netns.inside(|| Exporter::start(&serve));
    let page = netns.inside(|| exporter.page());
    drop(kept);
    let help = page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let rows = help.map(|(name, help)| row(&page, name, help)).collect::<String>();
    let list = format!("{HEADING}{rows}");
    let file = carried::file("../deploy/METRICS.md");
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &list).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap();
    for line in list.lines() {
        assert!(written.lines().any(|it| it == line), "UPDATE_GOLDEN=1 writes it; missing: {line}");
    }
    assert_eq!(written.len(), list.len(), "UPDATE_GOLDEN=1 removes what the page does not have");
}
