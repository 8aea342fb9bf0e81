//! Remarks and states beside the lifelines.

use tcpwatch_core::event::TcpState;
use tcpwatch_lab::{
    host::Host,
    show::{ColoredText, DiagramRow},
};
use tcpwatch_view::terminal::style;

use crate::{
    axis::Axis,
    shape::{LINE, columns},
};

/// A text.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) anchor: &'static str,
    /// The class of its colour.
    pub(crate) class: &'static str,
    pub(crate) text: String,
    pub(crate) is_state: bool,
}

/// All texts beside the lifelines.
pub(crate) fn notes(axis: &Axis<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    for placed in &axis.rows {
        for host in Host::ALL {
            let columns = columns(host);
            let panel = placed.row.panels.of(host);
            notes.extend(panel.state.as_ref().map(|state| Note {
                x: columns.states,
                y: placed.y + 4,
                anchor: columns.anchor,
                class: class_of(placed.row, host),
                text: state.text.clone(),
                is_state: true,
            }));
            let mut y = placed.y + 4;
            for ColoredText { text, style } in lines(placed.row, host) {
                let (x, anchor) = (columns.notes, columns.anchor);
                notes.push(Note { x, y, anchor, class: class(style), text, is_state: false });
                y += LINE;
            }
        }
    }
    notes
}

/// The remarks on a host, in lines that fit.
pub(crate) fn lines(row: &DiagramRow, host: Host) -> Vec<ColoredText> {
    let room = columns(host).room;
    let notes = row.panels.of(host).notes.iter();
    let lines = notes.flat_map(|note| {
        wrapped(&note.text, room).into_iter().map(|text| ColoredText { text, style: note.style })
    });
    lines.collect()
}

/// Lines of at most `room` letters; a longer word is cut.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(room) {
            let fits = |line: &&mut String| line.chars().count() + 1 + part.len() <= room;
            match lines.last_mut().filter(fits) {
                Some(line) => {
                    line.push(' ');
                    line.extend(part);
                }
                None => lines.push(part.iter().collect()),
            }
        }
    }
    lines
}

/// The class of a state's colour. A state that outlasts the run was entered earlier: it has none.
fn class_of(row: &DiagramRow, host: Host) -> &'static str {
    row.entered.of(host).map_or("still", |entered| state_class(entered.state))
}

/// The class of a state's colour.
pub(crate) const fn state_class(state: TcpState) -> &'static str {
    match state {
        TcpState::Listen | TcpState::SynSent | TcpState::SynRecv => "setup",
        TcpState::Established => "established",
        TcpState::TimeWait => "hidden",
        TcpState::Closed => "closed",
        TcpState::Unknown(_) => "failure",
        _ => "teardown",
    }
}

fn class(look: anstyle::Style) -> &'static str {
    if look == style::FAILURE {
        "failure"
    } else if look == style::HIDDEN {
        "hidden"
    } else if look == anstyle::Style::new().bold() {
        "strong"
    } else {
        "call"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words_and_within_a_word_that_is_too_long() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("", 4), Vec::<String>::new());
    }
}
