//! Keys and words, and what can be copied.

use ratatui_core::layout::Rect;

use super::{canvas::Canvas, look};
use crate::{
    keys::{KEYS, KeyScope},
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
pub(super) fn draw(screen: &mut Screen, canvas: &mut Canvas<'_>, area: Rect) {
    let recording = screen.origin.recording;
    let shown = KEYS.iter().filter(|it| recording || it.scope == KeyScope::Always);
    let keys = shown.map(|it| (it.shown, it.does));
    let lines: Vec<_> = keys.chain([("", "")]).chain(WORDS.map(|line| ("", line))).collect();
    let hidden = lines.len().saturating_sub(area.height.into());
    screen.scrolled = screen.scrolled.min(hidden);
    let lines = lines.iter().skip(screen.scrolled);
    for (y, (key, does)) in (area.y..area.y + area.height).zip(lines) {
        canvas.put(1, y, key, look::BOLD);
        let x = if key.is_empty() { 1 } else { 10 };
        canvas.put_within(x, y, does, area.width.saturating_sub(x), look::PLAIN);
    }
    if screen.scrolled < hidden {
        let last = area.y + area.height - 1;
        canvas.put_right(area.width.saturating_sub(1), last, "Down: more", look::BOLD);
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
