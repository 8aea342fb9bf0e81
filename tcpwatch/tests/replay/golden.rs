//! Compares the output of each recording with the expected one.

use std::{env, fs, path::Path};

use similar::TextDiff;

use super::recording::{data, replay};

/// Compares with the expected output, or writes it if `UPDATE_GOLDEN` is set.
fn shown_as(recording: &str, expected: &str, args: &[&str]) {
    let shown = replay(&data(&format!("{recording}.jsonl")), args);
    let file = data(expected);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &shown).expect("the expected output can be written");
        return;
    }
    let expected = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", file.display()));
    assert!(shown == expected, "{}", difference(&file, &expected, &shown));
}

fn difference(file: &Path, expected: &str, shown: &str) -> String {
    let diff = TextDiff::from_lines(expected, shown);
    let diff = diff.unified_diff().header(&file.to_string_lossy(), "shown now").to_string();
    format!("tcpwatch replay shows something else:\n{diff}\nif intended: UPDATE_GOLDEN=1")
}

/// Text and JSON.
fn is_told(recording: &str) {
    let plain = ["--time", "elapsed", "--color", "never"];
    shown_as(recording, &format!("{recording}.text"), &plain);
    shown_as(recording, &format!("{recording}.json"), &["--format", "json", "--summary"]);
}

#[test]
fn the_client_closes_first_and_its_time_wait_lasts_a_minute() {
    is_told("client_closes_first_v4");
}

#[test]
fn the_server_closes_first_over_ipv6() {
    is_told("server_closes_first_v6");
}

#[test]
fn a_connect_to_a_closed_port_is_refused() {
    is_told("connect_is_refused");
}

#[test]
fn an_orphan_waits_in_fin_wait_2_for_the_late_fin_of_the_server() {
    is_told("server_closes_late");
}

#[test]
fn a_time_wait_that_begins_in_silence_is_shown_when_the_kernel_is_asked() {
    is_told("server_closes_soon");
}

#[test]
fn a_close_after_shutdown_is_no_change_of_fin_wait_2() {
    is_told("shutdown_then_close");
}

#[test]
fn a_reset_ends_both_sides_and_each_says_which_it_was() {
    is_told("client_resets");
}

#[test]
fn a_half_open_connection_is_given_up() {
    is_told("half_open_is_given_up");
}

#[test]
fn sockets_that_stay_say_for_what_they_wait() {
    is_told("sockets_stay");
}

#[test]
fn a_connection_older_than_the_recording_has_its_owner_and_no_invented_age() {
    is_told("older_than_the_recording");
}

#[test]
fn fins_that_cross_lead_through_closing() {
    is_told("both_close_at_once");
}

#[test]
fn retries_resets_and_errors_say_why() {
    is_told("much_goes_wrong");
}

#[test]
fn segments_have_their_places_among_the_changes_they_make() {
    is_told("syn_ack_is_lost_on_a_link");
}

#[test]
fn lives_retries_or_failures_alone_can_be_shown() {
    for option in ["lives", "retries", "failed"] {
        let args = ["--time", "elapsed", "--color", "never", &format!("--{option}")];
        shown_as("much_goes_wrong", &format!("much_goes_wrong.{option}.text"), &args);
    }
}

#[test]
fn moments_can_be_shown_in_utc() {
    let args = ["--time", "utc", "--color", "never"];
    shown_as("client_resets", "client_resets.utc.text", &args);
}

#[test]
fn phases_and_failures_have_colours() {
    let args = ["--time", "elapsed", "--color", "always"];
    shown_as("client_resets", "client_resets.color.text", &args);
}

/// Without colour escapes (`ESC [ … m`).
fn plain(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').expect("a colour").1)
}

#[test]
fn colours_add_to_the_words_and_never_replace_them() {
    for recording in ["both_close_at_once", "connect_is_refused", "much_goes_wrong"] {
        let file = data(&format!("{recording}.jsonl"));
        let show = |color| replay(&file, &["--time", "utc", "--color", color]);
        let (colored, uncolored) = (show("always"), show("never"));
        assert!(colored.contains('\u{1b}'), "{recording} has colours");
        assert!(!uncolored.contains('\u{1b}'), "{recording} has none");
        assert_eq!(plain(&colored), uncolored, "{recording}");
        assert_eq!(show("auto"), uncolored, "{recording}: a pipe is no terminal");
    }
}

#[test]
fn an_ipv4_line_fits_120_columns() {
    for recording in ["client_closes_first_v4", "half_open_is_given_up", "both_close_at_once"] {
        let file = data(&format!("{recording}.jsonl"));
        for line in replay(&file, &["--time", "local"]).lines() {
            // A guess is marked, whatever the width.
            let most = if line.contains("(listener) \u{b7} ") { 131 } else { 120 };
            assert!(line.chars().count() <= most, "{line}");
        }
    }
}

#[test]
fn a_socket_that_is_used_again_has_the_port_of_each_connect() {
    is_told("sockets_are_used_again");
}

#[test]
fn ends_that_are_used_again_are_each_time_another_connection() {
    is_told("ends_are_used_again");
}
