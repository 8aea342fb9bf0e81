//! Compares the output for runs made by hand with expected output.

mod progress;
mod report;
mod tale;
mod tales;

use std::{env, fs, path::Path};

use similar::TextDiff;

use super::{TerminalLayout, TimelineWriter, diagram, heading, verdicts, words};
use crate::story::Run;

const PLAIN: TerminalLayout = TerminalLayout { color: false, width: 100 };

/// Everything that `lab run` shows of one run.
fn shown(layout: TerminalLayout, run: &Run) -> String {
    let mut out = Vec::new();
    heading(layout, &run.scenario, &mut out);
    let mut timeline = TimelineWriter::new(layout, &run.scenario, run.family, run.started);
    for moment in &run.story {
        timeline.moment(moment, &mut out);
    }
    out.push(b'\n');
    diagram(layout, run, &mut out);
    out.push(b'\n');
    verdicts(layout, run, &mut out);
    String::from_utf8(out).expect("text")
}

/// Compares with the expected output, or writes it if `UPDATE_GOLDEN` is set.
fn shown_as(name: &str, shown: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/lab");
    let file = folder.join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(&file, shown).expect("the expected output can be written");
        return;
    }
    let expected = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", file.display()));
    let diff = TextDiff::from_lines(expected.as_str(), shown);
    let diff = diff.unified_diff().header(name, "shown now").to_string();
    assert!(shown == expected, "something else is shown:\n{diff}\nif intended: UPDATE_GOLDEN=1");
}

#[test]
fn fin_wait_2_is_ended_by_its_timer_while_the_server_is_stopped() {
    shown_as("fin-wait-2.text", &shown(PLAIN, &tales::fin_wait_2()));
}

#[test]
fn a_dropped_syn_ack_is_a_star_with_the_rules_name_and_retries_have_number_and_gap() {
    shown_as("syn-sent.text", &shown(PLAIN, &tales::syn_sent()));
}

#[test]
fn time_wait_is_drawn_like_any_other_state() {
    shown_as("time-wait.text", &shown(PLAIN, &tales::time_wait()));
}

#[test]
fn segments_that_cross_are_seen_to_cross() {
    shown_as("simultaneous-close.text", &shown(PLAIN, &tales::simultaneous()));
}

#[test]
fn a_reset_has_its_reason_and_both_ends_say_which_it_was() {
    shown_as("reset.text", &shown(PLAIN, &tales::reset()));
}

#[test]
fn what_failed_says_by_how_much_and_what_was_seen_instead() {
    shown_as("failing.text", &shown(PLAIN, &tales::failing()));
}

#[test]
fn a_narrow_and_a_wide_terminal_show_the_same() {
    for width in [80, 160] {
        let layout = TerminalLayout { width, ..PLAIN };
        shown_as(&format!("syn-sent-{width}.text"), &shown(layout, &tales::syn_sent()));
    }
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    for width in [80, 90, 100, 120, 160, 250] {
        for run in tales::all() {
            let layout = TerminalLayout { width, ..PLAIN };
            for line in shown(layout, &run).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    for run in tales::all() {
        let plain = shown(PLAIN, &run);
        let colored = shown(TerminalLayout { color: true, ..PLAIN }, &run);
        let mut stripped = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            stripped.push_str(before);
            rest = after.split_once('m').expect("the end of a colour").1;
        }
        stripped.push_str(rest);
        assert_eq!(stripped, plain);
        assert!(colored.len() > plain.len());
    }
}

#[test]
fn a_reason_for_a_reset_has_its_explanation_beside_it_where_there_is_room() {
    let text = |why, room| words::why_reset(why, room).text;
    assert_eq!(text("tcp_abort_on_close", 43), "tcp abort on close: closed with unread data");
    assert_eq!(text("tcp_abort_on_close", 42), "tcp abort on close");
    assert_eq!(text("new_in_a_later_kernel", 100), "new in a later kernel");
}
