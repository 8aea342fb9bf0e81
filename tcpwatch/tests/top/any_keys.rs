//! Keys in any order, at any size.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::{collection::vec, prelude::*, sample::select};
use ratatui_core::{buffer::Buffer, layout::Rect};
use tcpwatch_top::{draw::draw, keys::KEYS};

use super::shown::{COLORED, Shown};

#[derive(Clone, Debug)]
enum Deed {
    Key(KeyEvent),
    Size(u16, u16),
}

fn deed() -> impl Strategy<Value = Deed> {
    let bound: Vec<_> = KEYS.iter().flat_map(|binding| binding.keys.iter().copied()).collect();
    let bound = select(bound).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers));
    let letter = select("0:5p!,ortsae>x< -\u{e9}\u{4e2d}".chars().collect::<Vec<_>>())
        .prop_map(|letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE));
    let erase = Just(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
    prop_oneof![
        6 => bound.prop_map(Deed::Key),
        3 => letter.prop_map(Deed::Key),
        1 => erase.prop_map(Deed::Key),
        2 => (0_u16..250, 0_u16..80).prop_map(|(width, height)| Deed::Size(width, height)),
    ]
}

/// What happens to the table, and keys that do not touch the selection.
fn event_or_look() -> impl Strategy<Value = Deed> {
    let looks = ".>sSaF?";
    let key = select(looks.chars().collect::<Vec<_>>())
        .prop_map(|letter| Deed::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)));
    let size = (60_u16..250, 10_u16..80).prop_map(|(width, height)| Deed::Size(width, height));
    prop_oneof![5 => key, 1 => size]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_keys_and_no_size_are_too_much(deeds in vec(deed(), 0..120)) {
        let mut shown = Shown::open("much_goes_wrong.jsonl", (80, 24), COLORED);
        for deed in deeds {
            match deed {
                Deed::Key(key) => drop(shown.press(key)),
                Deed::Size(width, height) => shown.size = (width, height),
            }
            let mut buffer = Buffer::empty(Rect::new(0, 0, shown.size.0, shown.size.1));
            draw(&mut shown.screen, &mut buffer);
        }
    }

    #[test]
    fn the_selected_socket_stays_selected_whatever_happens(
        moves in 0_usize..8,
        deeds in vec(event_or_look(), 0..120),
    ) {
        let mut shown = Shown::open("much_goes_wrong.jsonl", (80, 24), COLORED);
        shown.type_in(&format!("30*. {moves}*Down"));
        let selected = shown.screen.selected;
        prop_assert!(selected.is_some());
        let who = |shown: &mut Shown| {
            let id = shown.screen.selected?;
            let row = shown.screen.live().sockets.get(id)?;
            Some((row.subject.netns, row.subject.ends.remote.address))
        };
        let before = who(&mut shown);
        for deed in deeds {
            match deed {
                // A page with keys of its own is left again.
                Deed::Key(key) => drop(shown.press(key)),
                Deed::Size(width, height) => shown.size = (width, height),
            }
            prop_assert_eq!(shown.screen.selected, selected);
        }
        prop_assert_eq!(who(&mut shown), before, "it is there, and the same");
    }
}
