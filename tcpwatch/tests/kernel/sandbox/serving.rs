//! An exporter that has given up everything answers as one that keeps everything.

use std::collections::BTreeSet;

use super::connect_once;
use crate::harness::{
    exporter::{Exporter, Samples},
    netns::Netns,
};

/// Series that both have: names of metrics with their labels, but for what no two processes share.
fn series(samples: &Samples) -> BTreeSet<String> {
    let series = samples.0.keys();
    series
        .filter(|series| !series.contains("cgroup=") && !series.contains("_bucket{"))
        .cloned()
        .collect()
}

#[test]
fn a_page_has_the_same_series_with_and_without_privileges() {
    needs_root!();
    let netns = Netns::new();
    let word = netns.word();
    let serve = ["serve", "--netns", &word, "--web.listen-address", "127.0.0.1:0", "--sandbox"];
    let start = |mode| Exporter::start(&[&serve[..], &[mode]].concat());
    let (off, strict) = (start("off"), start("strict"));
    let (all, nothing) = (off.samples(), strict.samples());
    assert_eq!(series(&all), series(&nothing));
    for (series, value) in &nothing.0 {
        if series.starts_with("tcpwatch_collector_success") {
            assert!((value - 1.0).abs() < f64::EPSILON, "{series} {value}");
        }
    }
    let before = (all, nothing);
    connect_once(&netns);
    let counted = "connects_total";
    for (exporter, before) in [(off, before.0), (strict, before.1)] {
        exporter.wait_for(&before, counted, 1);
    }
}
