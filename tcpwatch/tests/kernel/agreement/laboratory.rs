//! All scenarios of the laboratory, with one tcpwatch that logs and counts all namespaces.

use std::{collections::BTreeSet, process::Command, time::Duration};

use super::{Counts, ends, in_log_lines, in_metrics};
use crate::harness::{exporter::Samples, poll_within, program::tcpwatch, watch::Watch};

/// A machine with other work, too, is quiet between two of its connections.
const SPAN: Duration = Duration::from_secs(30);

/// The same tcpwatch prints lines and counts, so that both begin with the same event.
#[test]
fn every_scenario_of_the_laboratory_ends_the_same_in_log_and_metrics() {
    needs_root!();
    let watch = Watch::start(&["--web.listen-address", "127.0.0.1:0"]);
    let metrics = watch.metrics();
    let mut laboratory: Command = tcpwatch();
    laboratory.args(["lab", "run", "--all", "--profile", "quick", "--color", "never"]);
    let run = laboratory.output().unwrap();
    println!("the laboratory: {}", run.status);

    let (mut said, mut differences) = (Counts::new(), Vec::new());
    let agreed = poll_within(SPAN, "a moment at which both have seen the same", || {
        let samples = Samples::at(metrics);
        let counted = in_metrics(&samples);
        said = watch.wait_for("lines", |lines| Some(in_log_lines(lines)));
        if samples.missed() > 0 {
            println!(
                "the kernel skipped {} runs, so that the two need not agree",
                samples.missed()
            );
            return Some(None);
        }
        let series: BTreeSet<_> = counted.keys().chain(said.keys()).collect();
        let differ = series.into_iter().filter(|one| counted.get(*one) != said.get(*one));
        let now: Vec<_> = differ
            .map(|one| format!("{one}: {:?} {:?}", counted.get(one), said.get(one)))
            .collect();
        if now != differences {
            println!("in the metrics, in the log: {now:#?}");
            differences = now;
        }
        (said == counted).then_some(Some(()))
    });
    let log = watch.stop();
    if agreed.is_some() {
        assert!(ends(&log.lines).count() > 100, "{said:?}");
        println!("measured: {said:?}");
    }
}
