//! The connections by which tcpwatch finds out what its hooks see on this kernel.

use std::process::Output;

use crate::harness::{exporter::Exporter, program::tcpwatch};

const SERVE: [&str; 3] = ["serve", "--web.listen-address", "127.0.0.1:0"];
const REFUSED: &str = "connect_failures_total{reason=\"refused\"}";

#[test]
fn everything_whose_hook_is_attached_is_seen_on_this_kernel() {
    needs_root!();
    let Output { status, stdout, stderr } = tcpwatch().arg("check").output().unwrap();
    let report = String::from_utf8(stdout).unwrap();
    let said = String::from_utf8(stderr).unwrap();
    print!("{report}");
    assert!(status.success() && said.is_empty(), "{status}: {report}{said}");
    assert!(!report.contains("FAILS"), "{report}");
    let tried = report.lines().filter(|line| line.ends_with("  works (tried)")).count();
    assert!(tried >= 12, "{report}");
}

#[test]
fn the_page_says_of_every_feature_that_it_was_seen() {
    needs_root!();
    let samples = Exporter::start(&SERVE).samples();
    for feature in
        ["state_changes", "syn_recv", "time_wait", "fin_wait_2", "resets_sent", "resets_received"]
    {
        assert_eq!(
            samples.count(&format!("feature_works{{feature=\"{feature}\"}}")),
            1,
            "{feature}"
        );
    }
}

#[test]
fn what_tcpwatch_makes_at_its_start_is_counted_by_others_and_not_by_itself() {
    needs_root!();
    let other = Exporter::start(&SERVE);
    let before = other.samples();
    let own = Exporter::start(&SERVE).samples();
    let grown = other.samples().since(&before);
    assert!(grown.count(REFUSED) > own.count(REFUSED), "{grown:?} {own:?}");
}
