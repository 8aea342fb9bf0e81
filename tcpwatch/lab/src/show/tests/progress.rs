//! Many runs at once.

use std::time::Duration;

use tcpwatch_core::event::KernelTime;
use tcpwatch_kernel::probe::filters::FamilyFilter;

use super::{PLAIN, shown_as, tales};
use crate::{show::RunProgress, story::Run};

fn at(seconds: u64) -> KernelTime {
    KernelTime(0).after(Duration::from_secs(seconds))
}

fn run_of(mut run: Run, family: FamilyFilter) -> Run {
    run.family = family;
    run
}

/// Three runs, of which one has ended and failed.
fn under_way(terminal: bool, out: &mut Vec<u8>) -> RunProgress {
    let mut progress = RunProgress::new(PLAIN, terminal, 3);
    progress.began("two-clients", FamilyFilter::V4, at(0), None);
    progress.began("fin-wait-2", FamilyFilter::V4, at(1), Some(Duration::from_secs(62)));
    progress.began("time-wait", FamilyFilter::V6, at(2), Some(Duration::from_secs(62)));
    progress.ended(&run_of(tales::failing(), FamilyFilter::V4), out);
    progress
}

#[test]
fn a_terminal_has_one_line_that_is_rewritten_and_names_the_run_with_most_left_to_do() {
    let mut out = Vec::new();
    let mut progress = under_way(true, &mut out);
    assert_eq!(out, b"", "a run that ends changes nothing but the next line");
    progress.draw(KernelTime(10_250_000_000), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\r\x1b[K1 of 3 done, 1 failed, 2 running; longest: time-wait v6, 8.2 of about 62 s"
    );
}

#[test]
fn the_line_is_taken_away_once() {
    let mut progress = under_way(true, &mut Vec::new());
    progress.draw(at(11), &mut Vec::new());
    let mut out = Vec::new();
    progress.clear(&mut out);
    progress.clear(&mut out);
    assert_eq!(out, b"\r\x1b[K");
}

#[test]
fn without_a_terminal_there_is_a_line_per_finished_run_and_nothing_else() {
    let mut out = Vec::new();
    let mut progress = under_way(false, &mut out);
    progress.draw(at(10), &mut out);
    progress.ended(&run_of(tales::time_wait(), FamilyFilter::V6), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "FAIL  two-clients  v4  0 of 3 hold, but the run failed, 1 warning  4.20 s\n\
         pass  time-wait  v6  1 of 1 hold  61.95 s\n"
    );
}

#[test]
fn the_end_has_a_line_per_run_and_the_tables_of_those_that_failed() {
    let runs = tales::all().map(|run| run_of(run, FamilyFilter::V4)).into_iter();
    let runs: Vec<Run> = runs.chain([run_of(tales::time_wait(), FamilyFilter::V6)]).collect();
    let mut out = Vec::new();
    RunProgress::new(PLAIN, true, runs.len()).summary(&runs, &[], &mut out);
    shown_as("all.text", &String::from_utf8(out).unwrap());
}
