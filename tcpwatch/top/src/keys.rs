//! The keys and what they do: this table makes what keys do, the last line, the help and `--help`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// The life of the selected socket, whole.
    Life,
    /// Back to the table.
    Back,
    /// The filter line.
    Filter,
    /// Sort by the next column.
    Sort,
    /// The other way round.
    Reverse,
    /// The selected socket stays in sight.
    Follow,
    /// Stop the view, or go on; a recording plays, or stops.
    Pause,
    /// Only sockets that a finding is about, or all.
    OnlyFindings,
    /// The next finding; in a recording the moment at which it begins.
    NextFinding,
    /// The finding before; in a recording the moment at which it begins.
    LastFinding,
    /// The chosen finding, whole.
    Finding,
    /// By owner.
    Owners,
    /// The owner of the selected socket, its unit and its parents.
    Owner,
    /// Write the view to a file.
    Write,
    /// The mouse scrolls and selects, or is the terminal's.
    Mouse,
    /// Copy something about the selected socket.
    Copy,
    /// The next event.
    Forward,
    /// Back by one event.
    Backward,
    /// 10 s on.
    Later,
    /// 10 s back.
    Earlier,
    /// To a moment.
    Moment,
    /// The keys.
    Help,
    /// Draw everything anew.
    Redraw,
    /// Stop this program until `fg`.
    Suspend,
    /// End.
    Quit,
    /// End, and leave the screen where it is.
    QuitKeeping,
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Everywhere.
    Always,
    /// With a recording.
    Recording,
}

/// One line of the table.
#[derive(Debug)]
pub struct Binding {
    /// What the keys are called.
    pub shown: &'static str,
    /// The keys.
    pub keys: &'static [(KeyCode, KeyModifiers)],
    /// What they do.
    pub action: KeyAction,
    /// In words.
    pub does: &'static str,
    /// In the last line, one word.
    pub footer: Option<&'static str>,
    /// Where.
    pub scope: KeyScope,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

const fn key(code: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(code), NONE)
}

const fn line(
    shown: &'static str,
    keys: &'static [(KeyCode, KeyModifiers)],
    action: KeyAction,
    does: &'static str,
) -> Binding {
    Binding { shown, keys, action, does, footer: None, scope: KeyScope::Always }
}

impl Binding {
    const fn footer(self, word: &'static str) -> Self {
        Self { footer: Some(word), ..self }
    }

    const fn of_recording(self) -> Self {
        Self { scope: KeyScope::Recording, ..self }
    }
}

/// All keys, in the order in which they are listed.
pub const KEYS: &[Binding] = &[
    line("?", &[key('?')], KeyAction::Help, "this list").footer("help"),
    line("/", &[key('/')], KeyAction::Filter, "filter; Enter keeps it, Esc goes back")
        .footer("filter"),
    line("s", &[key('s')], KeyAction::Sort, "sort by the next column").footer("sort"),
    line("S", &[key('S')], KeyAction::Reverse, "the other way round"),
    line(
        "Enter",
        &[(KeyCode::Enter, NONE)],
        KeyAction::Life,
        "life and future of the selected socket",
    )
    .footer("life"),
    line("Esc", &[(KeyCode::Esc, NONE)], KeyAction::Back, "back to the table"),
    line(
        "F",
        &[key('F'), key('f')],
        KeyAction::Follow,
        "keep the selected socket in sight; a move ends it",
    )
    .footer("follow"),
    line(
        "Space",
        &[key(' ')],
        KeyAction::Pause,
        "stop the view, or go on; play a recording, or stop",
    )
    .footer("pause"),
    line("!", &[key('!')], KeyAction::OnlyFindings, "only sockets that a finding is about, or all")
        .footer("findings"),
    line(
        "n",
        &[key('n')],
        KeyAction::NextFinding,
        "the next finding; in a recording, where it begins",
    ),
    line(
        "N",
        &[key('N')],
        KeyAction::LastFinding,
        "the finding before; in a recording, where it begins",
    ),
    line(
        "e",
        &[key('e')],
        KeyAction::Finding,
        "explain the finding: causes, what to check and change",
    ),
    line("a", &[key('a')], KeyAction::Owners, "by owner; Enter filters by the selected one")
        .footer("owners"),
    line("o", &[key('o')], KeyAction::Owner, "owner: its unit, the unit's file, its parents"),
    line("w", &[key('w')], KeyAction::Write, "write the view to a file: .json for JSON, else text"),
    line(
        "m",
        &[key('m')],
        KeyAction::Mouse,
        "mouse: scroll and select, or leave it to the terminal",
    ),
    line("y", &[key('y')], KeyAction::Copy, "copy the socket, or a command about it"),
    line("Up k", &[(KeyCode::Up, NONE), key('k')], KeyAction::Up, "a row up"),
    line("Down j", &[(KeyCode::Down, NONE), key('j')], KeyAction::Down, "a row down"),
    line("PgUp", &[(KeyCode::PageUp, NONE)], KeyAction::PageUp, "a page up"),
    line("PgDn", &[(KeyCode::PageDown, NONE)], KeyAction::PageDown, "a page down"),
    line("g Home", &[key('g'), (KeyCode::Home, NONE)], KeyAction::First, "the first row"),
    line("G End", &[key('G'), (KeyCode::End, NONE)], KeyAction::Last, "the last row"),
    line(".", &[key('.')], KeyAction::Forward, "the next event").of_recording().footer("step"),
    line(",", &[key(',')], KeyAction::Backward, "an event back").of_recording().footer("back"),
    line(">", &[key('>')], KeyAction::Later, "10 s on").of_recording(),
    line("<", &[key('<')], KeyAction::Earlier, "10 s back").of_recording(),
    line(
        ":",
        &[key(':')],
        KeyAction::Moment,
        "to a time (19:47:08) or by a duration (+1m30s, -5s)",
    )
    .of_recording()
    .footer("time"),
    line("Ctrl-L", &[(KeyCode::Char('l'), CONTROL)], KeyAction::Redraw, "draw everything anew"),
    line("Ctrl-Z", &[(KeyCode::Char('z'), CONTROL)], KeyAction::Suspend, "stop until fg"),
    line("q Ctrl-C", &[key('q'), (KeyCode::Char('c'), CONTROL)], KeyAction::Quit, "quit")
        .footer("quit"),
    line("Q", &[key('Q')], KeyAction::QuitKeeping, "quit, and leave the screen as it is"),
];

/// The line of the table for a key.
#[must_use]
pub fn binding(event: &KeyEvent, recording: bool) -> Option<&'static Binding> {
    let pressed = (event.code, event.modifiers.difference(KeyModifiers::SHIFT));
    KEYS.iter().find(|binding| {
        (recording || binding.scope == KeyScope::Always) && binding.keys.contains(&pressed)
    })
}

/// The table as text, for `--help`.
#[must_use]
pub fn list() -> String {
    let lines = KEYS.iter().map(|it| {
        let scope = if it.scope == KeyScope::Recording { " (recording)" } else { "" };
        format!("  {:<9} {}{scope}", it.shown, it.does)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_one_thing_everywhere() {
        let all: Vec<_> = KEYS.iter().flat_map(|binding| binding.keys).collect();
        for (place, key) in all.iter().enumerate() {
            assert!(all.iter().skip(place + 1).all(|other| other != key), "{key:?}");
        }
    }

    #[test]
    fn what_a_key_is_called_begins_with_the_key_itself() {
        for binding in KEYS {
            let Some((KeyCode::Char(key), modifiers)) = binding.keys.first() else { continue };
            let name = match (*key, *modifiers) {
                (' ', _) => "Space".to_owned(),
                (key, CONTROL) => format!("Ctrl-{}", key.to_ascii_uppercase()),
                (key, _) => key.to_string(),
            };
            assert!(binding.shown.starts_with(&name), "{name}: {}", binding.shown);
        }
    }
}
