//! Screens of all sizes, compared with those that are expected.

use std::{env, fmt::Write as _, fs, path::Path};

use ratatui_core::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use similar::TextDiff;
use tcpwatch_top::screen::Theme;

use super::shown::{COLORED, Shown};

/// The sizes at which something else is shown.
const SIZES: [(u16, u16); 5] = [(40, 8), (80, 24), (100, 30), (160, 48), (200, 60)];

fn is_as_expected(name: &str, shown: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/top").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, shown).expect("the expected screen can be written");
        return;
    }
    let expected = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", file.display()));
    let diff = TextDiff::from_lines(expected.as_str(), shown);
    assert!(
        expected == shown,
        "{}\nif intended: UPDATE_GOLDEN=1",
        diff.unified_diff().header(name, "shown now")
    );
}

/// After the same keys, at all sizes.
fn at_all_sizes(name: &str, recording: &str, keys: &str) {
    for size in SIZES {
        let mut shown = Shown::open(recording, size, COLORED);
        shown.type_in(keys);
        is_as_expected(&format!("{name}-{}x{}.screen", size.0, size.1), &shown.text());
    }
}

#[test]
fn a_table_of_sockets_that_go_wrong_in_many_ways() {
    at_all_sizes("much_goes_wrong", "much_goes_wrong.jsonl", "40*.");
}

#[test]
fn sockets_that_stay_say_what_they_wait_for() {
    at_all_sizes("sockets_stay", "sockets_stay.jsonl", "10*. Down F");
}

#[test]
fn ipv6_is_cut_in_the_middle_where_there_is_no_room() {
    at_all_sizes("ipv6", "server_closes_first_v6.jsonl", "6*.");
}

#[test]
fn nothing_is_there_before_the_first_event() {
    at_all_sizes("empty", "connect_is_refused.jsonl", "");
}

#[test]
fn a_life_goes_on_into_the_future() {
    at_all_sizes("life", "half_open_is_given_up.jsonl", "2*. / \"state:synrecv\" Enter Enter");
    at_all_sizes("syn_life", "much_goes_wrong.jsonl", "44*. / \"tries>0\" Enter Enter");
    at_all_sizes("closed_life", "much_goes_wrong.jsonl", "44*. G Up Enter");
}

#[test]
fn an_error_stands_below_the_filter_and_the_last_good_one_stays() {
    at_all_sizes("filter_error", "much_goes_wrong.jsonl", "40*. / \"port:x\"");
}

#[test]
fn owners_have_their_sockets_by_state() {
    at_all_sizes("owners", "much_goes_wrong.jsonl", "40*. a Down");
}

#[test]
fn findings_have_a_line_or_a_pane_and_a_page_of_their_own() {
    at_all_sizes("finding", "much_goes_wrong.jsonl", "n");
    at_all_sizes("explained", "much_goes_wrong.jsonl", "n e");
}

#[test]
fn an_owner_has_a_page() {
    at_all_sizes("owner", "much_goes_wrong.jsonl", "40*. o");
}

#[test]
fn help_lists_the_keys_and_the_words() {
    at_all_sizes("help", "much_goes_wrong.jsonl", "?");
}

#[test]
fn copies_are_offered_by_number() {
    at_all_sizes("copies", "much_goes_wrong.jsonl", "40*. y");
}

#[test]
fn colours_are_of_the_sixteen_and_the_background_is_the_terminals() {
    let mut shown = Shown::open("much_goes_wrong.jsonl", (80, 24), COLORED);
    shown.type_in("40*.");
    is_as_expected("styles-80x24.screen", &styles(&shown.draw()));
}

#[test]
fn without_colour_bold_and_reverse_are_left() {
    let theme = Theme { color: false, ascii: false };
    let mut shown = Shown::open("much_goes_wrong.jsonl", (160, 48), theme);
    shown.type_in("40*.");
    let buffer = shown.draw();
    let colored = |cell: &&Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
    assert_eq!(buffer.content.iter().find(colored), None);
    let has = |modifier| buffer.content.iter().any(|cell| cell.modifier.contains(modifier));
    assert!(has(Modifier::BOLD) && has(Modifier::REVERSED));
}

#[test]
fn with_ascii_no_other_character_is_shown_and_none_is_unknown() {
    for keys in ["40*.", "40*. Enter", "40*. a", "?", "40*. y", "n", "n e", "40*. o"] {
        let theme = Theme { color: true, ascii: true };
        let mut shown = Shown::open("much_goes_wrong.jsonl", (160, 48), theme);
        let mut letters = Shown::open("much_goes_wrong.jsonl", (160, 48), COLORED);
        shown.type_in(keys);
        letters.type_in(keys);
        for (cell, letter) in shown.draw().content.iter().zip(&letters.draw().content) {
            assert!(cell.symbol().is_ascii(), "{}", cell.symbol());
            let unknown = cell.symbol() == "?" && letter.symbol() != "?";
            assert!(!unknown, "{} has no character in ASCII", letter.symbol());
        }
    }
}

/// Runs of cells that have a style.
fn styles(buffer: &Buffer) -> String {
    let mut text = String::new();
    let width = usize::from(buffer.area.width);
    for (y, row) in buffer.content.chunks(width).enumerate() {
        for run in row.chunk_by(|one, other| {
            (one.fg, one.bg, one.modifier) == (other.fg, other.bg, other.modifier)
        }) {
            let Some(Cell { fg, bg, modifier, .. }) = run.first() else { continue };
            let words: String = run.iter().map(Cell::symbol).collect();
            if (*fg, *bg, *modifier) != (Color::Reset, Color::Reset, Modifier::empty()) {
                let words = words.trim_end();
                writeln!(text, "{y:2} {fg} on {bg} {modifier:?}: {words}").expect("a string");
            }
        }
    }
    text
}
