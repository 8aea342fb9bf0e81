//! Steps through a recording.

use super::shown::{COLORED, Shown};

#[test]
fn a_step_back_shows_what_was_shown_before() {
    let mut shown = Shown::open("much_goes_wrong.jsonl", (160, 48), COLORED);
    let mut before = vec![shown.text()];
    while shown.screen.progress.event < shown.screen.progress.events {
        shown.type_in(".");
        before.push(shown.text());
    }
    while let Some(expected) = before.pop() {
        assert_eq!(shown.text(), expected);
        if !before.is_empty() {
            shown.type_in(",");
        }
    }
}

#[test]
fn the_first_and_the_last_event_have_nothing_before_and_behind_them() {
    let mut shown = Shown::open("connect_is_refused.jsonl", (100, 30), COLORED);
    shown.type_in("5*,");
    let first = shown.text();
    shown.type_in("200*.");
    let last = shown.text();
    assert!(shown.timeline.is_over());
    shown.type_in("5*.");
    assert_eq!(shown.text(), last);
    shown.type_in("300*,");
    assert_eq!(shown.text(), first);
}

#[test]
fn a_moment_is_a_time_of_day_or_a_duration() {
    let mut shown = Shown::open("much_goes_wrong.jsonl", (100, 30), COLORED);
    shown.type_in("3*.");
    let start = shown.screen.live().sockets.now;
    shown.type_in(": \"+5s\" Enter");
    let later = shown.screen.live().sockets.now;
    assert_eq!(later.since(start).as_secs(), 5);
    shown.type_in("<");
    shown.type_in("300*. : \"nonsense\" Enter");
    assert!(shown.text().contains("is no time of day; write 19:47"), "{}", shown.text());
}
