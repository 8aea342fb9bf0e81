//! Keys and words, and what can be copied.

use ratatui_core::layout::Rect;

use super::{canvas::Canvas, look};
use crate::{
    keys::{KEYS, Scope},
    screen::Screen,
};

/// The words of the filter line.
const WORDS: [&str; 8] = [
    "filter words, with spaces for and, commas for or, ! for not:",
    "port:443,8000-8080  local-port:  remote-port:  addr:10.0.0.0/8  -4  -6",
    "state:closewait,synsent  accepted  connected  netns:",
    "pid:  comm:  uid:  cgroup:  unit:  container:",
    "age>1m  until<10s  tries>2; a bare word is a part of address, owner or unit",
    "",
    "> before an age: at least so long.  ? behind an owner: the listener's, a guess.",
    "UNTIL is the earliest moment; the kernel's timers may be late.",
];
/// Columns of a key and what it does.
const COLUMN: u16 = 78;

pub(super) fn draw(screen: &Screen, canvas: &mut Canvas<'_>, area: Rect) {
    let recording = screen.origin.recording;
    let shown = KEYS.iter().filter(|it| recording || it.scope == Scope::Always);
    let keys: Vec<_> = shown.map(|it| (it.shown, it.does)).collect();
    let words = WORDS.iter().map(|line| ("", *line));
    let beside = area.width >= 2 * COLUMN;
    let lines: Vec<_> = if beside || usize::from(area.height) > keys.len() + WORDS.len() {
        keys.iter().copied().chain(words).collect()
    } else {
        // Two keys do not fit beside each other: the words first, which nobody guesses.
        words.chain(keys.iter().copied()).collect()
    };
    for (y, (key, does)) in (area.y..area.y + area.height).zip(lines) {
        canvas.put(1, y, key, look::BOLD);
        let x = if key.is_empty() { 1 } else { 10 };
        canvas.put_within(x, y, does, area.width.saturating_sub(x), look::PLAIN);
    }
}

pub(super) fn copies(screen: &Screen, canvas: &mut Canvas<'_>, area: Rect) {
    canvas.put(1, area.y, "copy, by number; Esc goes back", look::BOLD);
    for ((number, y), offer) in (1..10).zip(area.y + 1..area.y + area.height).zip(&screen.offers) {
        canvas.put(2, y, &format!("{number}"), look::BOLD);
        canvas.put(4, y, offer.what, look::DIM);
        canvas.put_within(19, y, &offer.text, area.width.saturating_sub(20), look::PLAIN);
    }
}
