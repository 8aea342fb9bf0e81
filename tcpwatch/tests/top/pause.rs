//! A view that was stopped.

use crossterm::event::KeyCode;
use ratatui_core::{buffer::Buffer, layout::Rect};
use tcpwatch_core::event::KernelTime;
use tcpwatch_top::{
    draw::{draw, text_of},
    screen::Screen,
};

use super::{
    cost::{existing, with_sockets},
    shown::key,
};

fn text(screen: &mut Screen) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 100, 30));
    draw(screen, &mut buffer);
    text_of(&buffer)
}

/// All but the first line, which counts what has happened since.
fn body(screen: &mut Screen) -> String {
    text(screen).lines().skip(1).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_stopped_view_stays_as_it_was_while_tracking_goes_on() {
    let mut screen = with_sockets(50);
    let now = KernelTime(1_000_000_000_000);
    screen.pass(now);
    let before = body(&mut screen);
    screen.press(&key(KeyCode::Char(' ')));
    for number in 50..90 {
        screen.apply(&existing(number));
    }
    screen.pass(KernelTime(now.0 + 60_000_000_000));
    assert_eq!(body(&mut screen), before);
    let header = text(&mut screen);
    assert!(header.contains("40 changes since  sockets: 50 "), "{header}");
    screen.press(&key(KeyCode::Char(' ')));
    assert!(text(&mut screen).contains("sockets: 90 "));
}

#[test]
fn of_many_sockets_ten_thousand_rows_are_kept_and_a_filter_says_that_there_may_be_more() {
    let mut screen = with_sockets(20_000);
    screen.pass(KernelTime(1_000_000_000_000));
    text(&mut screen);
    screen.press(&key(KeyCode::Char(' ')));
    assert!(text(&mut screen).contains("sockets: 20,000 "));
    screen.filter_by("10.1").expect("a word");
    let header = text(&mut screen);
    assert!(header.contains("/10.1: >= 10,000 of 20,000"), "{header}");
}
