//! The page in both of its forms.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{churn, exporter::Exporter, netns::Netns};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";

type Page<'a> = BTreeMap<&'a str, &'a str>;

/// Names and labels with their values.
fn samples(page: &str) -> Page<'_> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap()).collect()
}

/// Of what the kernel side counts, those whose names end so.
fn counts<'a>(page: &Page<'a>, suffix: &str) -> Vec<(&'a str, &'a str)> {
    let is_one = |series: &str| {
        let name = series.split('{').next().unwrap();
        name.ends_with(suffix) && name.starts_with("tcpwatch_") && !name.contains("_http_")
    };
    page.iter()
        .filter(|(series, _)| is_one(series))
        .map(|(series, value)| (*series, *value))
        .collect()
}

#[test]
fn open_metrics_has_the_samples_of_the_text_format_and_when_counters_began() {
    needs_root!();
    let netns = Netns::new();
    let exporter = Exporter::on(&netns);
    churn::connections(&netns, 10);
    let (text, open) = (exporter.page(), exporter.page_as(OPEN_METRICS));
    assert!(open.ends_with("\n# EOF\n") && open.matches("# EOF").count() == 1);
    let families: Vec<_> = open.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let names: BTreeSet<_> = families.iter().map(|family| family.split(' ').next()).collect();
    assert_eq!(names.len(), families.len(), "a counter's family is without _total: {families:?}");
    let (text, open) = (samples(&text), samples(&open));
    for suffix in ["_total", "_count", "_sum"] {
        let both = (counts(&text, suffix), counts(&open, suffix));
        assert!(!both.0.is_empty(), "{suffix}");
        assert_eq!(both.0, both.1, "{suffix}");
    }
    let created: Vec<_> = open.iter().filter(|(series, _)| series.contains("_created")).collect();
    // Bounds are written as floating point numbers there, and clients of the page have come.
    let missing: Vec<_> = text
        .keys()
        .filter(|series| !series.contains("_bucket{") && !open.contains_key(*series))
        .collect();
    assert_eq!(missing, Vec::<&&str>::new());
    assert_eq!(open.len() - created.len(), text.len());
    let start = text["process_start_time_seconds"];
    assert!(created.iter().all(|(_, value)| **value == start), "{start} {created:?}");
    let has = |begin: &str| created.iter().any(|(series, _)| series.starts_with(begin));
    for counter in ["connects", "connect_duration_seconds", "http_requests"] {
        assert!(has(&format!("tcpwatch_{counter}_created")), "{counter}");
    }
    assert!(!has("tcpwatch_listen_overflows"), "it counts since the namespace was made");
}
