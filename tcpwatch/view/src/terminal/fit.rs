//! A line as wide as the terminal is: it is put together when all of its cells are known.

use std::borrow::Cow;

use anstyle::Style;

use super::{
    Terminal, cell,
    columns::LineRoom,
    fold::{self, folded},
    style,
};

/// The cells of a line before its last one.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) time: Vec<u8>,
    pub(super) ends: Vec<u8>,
    pub(super) change: Vec<u8>,
    pub(super) after: Vec<u8>,
    pub(super) style: Style,
}

/// A way to write what happened, from the roomiest on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As the form has it.
    Whole,
    /// Without the padding of states and the spaces around the arrow.
    Squeezed,
    /// The same, without the state that was left.
    Entered,
}

/// The text before the change, the change, and what is between it and the last cell.
type LineStart = [String; 3];

impl Terminal {
    /// Ends a line about a socket with its last cell, the owner and what is remarked: on a terminal in as many lines as
    /// that takes. A line that is too long goes with less padding, then without the state that was left, which an earlier
    /// line has; then remarks take a line of their own.
    pub(super) fn close(&mut self, look: Style, tail: &[u8], out: &mut Vec<u8>) {
        if !self.layout.cut {
            style::paint(look, tail, self.layout.color, out);
            self.marks(out);
            out.push(b'\n');
            return;
        }
        let mut text = tail.to_vec();
        self.marks(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, used, text) = self.head(text);
        let color = self.layout.color;
        let [before, change, after] = &head;
        out.extend_from_slice(before.as_bytes());
        style::paint(self.cells.style, change.as_bytes(), color, out);
        out.extend_from_slice(after.as_bytes());
        self.fold(&text, used, look, out);
    }

    /// Ends a line about no socket, of which `used` columns are written.
    pub(super) fn close_text(&self, text: &[u8], used: usize, look: Style, out: &mut Vec<u8>) {
        if self.layout.cut {
            self.fold(&String::from_utf8_lossy(text), used, look, out);
        } else {
            style::paint(look, text, self.layout.color, out);
            out.push(b'\n');
        }
    }

    pub(super) fn fold(&self, text: &str, used: usize, look: Style, out: &mut Vec<u8>) {
        let indent = self.columns.indent();
        for (number, line) in folded(text, used, self.layout.width, indent).iter().enumerate() {
            if number > 0 {
                trim(out);
                out.push(b'\n');
                out.resize(out.len() + indent, b' ');
            }
            style::paint(look, line.as_bytes(), self.layout.color, out);
        }
        trim(out);
        out.push(b'\n');
    }

    /// What stands before a last cell of this text, how many columns of its last line that takes, and the text.
    fn head(&self, text: String) -> (LineStart, usize, String) {
        let manners: &[Manner] = match self.columns.form {
            LineRoom::Full => &[Manner::Whole, Manner::Squeezed, Manner::Entered],
            LineRoom::Short => &[Manner::Squeezed, Manner::Entered],
        };
        let owner = fold::first(&text);
        let short = owner
            .strip_suffix(cell::GUESS)
            .map(|name| format!("{name}{}{}", cell::SHORT_GUESS, &text[owner.len()..]));
        let texts = [Some(text), short];
        let texts = || texts.iter().flatten();
        for measure in [fold::columns, |text: &str| fold::columns(fold::first(text))] {
            for manner in manners {
                for text in texts() {
                    let needed = measure(text);
                    if let Some((head, used)) = self.cells_in(*manner, needed) {
                        return (head, used, text.clone());
                    }
                }
            }
        }
        // The ends alone take most of the line.
        let Cells { time, ends, change, after, .. } = &self.cells;
        let indent = self.columns.indent();
        let before = format!("{} {}\n{:indent$}", utf8(time), utf8(ends).trim_end(), "");
        let change = squeezed(&utf8(change), false);
        let after = format!(" {} ", utf8(after));
        let used = indent + fold::columns(&change) + fold::columns(&after);
        let text = texts().next().cloned().unwrap_or_default();
        ([before, change, after], used, text)
    }

    /// The cells before a last one that takes `needed` columns, and theirs; columns keep their places as far as there is
    /// room. `None` if there is not enough.
    fn cells_in(&self, manner: Manner, needed: usize) -> Option<(LineStart, usize)> {
        let Cells { time, ends, change, after, .. } = &self.cells;
        let form = self.columns.form;
        let (time, ends, after) = (utf8(time), utf8(ends), utf8(after));
        let (change, gap) = match manner {
            Manner::Whole => (utf8(change).trim_end().to_owned(), form.gap()),
            Manner::Squeezed => (squeezed(&utf8(change), false), " "),
            Manner::Entered => (squeezed(&utf8(change), true), " "),
        };
        let missing = |text: &str, width: usize| width.saturating_sub(fold::columns(text));
        let mut padding = [
            missing(&ends, self.columns.ends_width()),
            missing(&change, form.change()),
            missing(&after, form.after()),
        ];
        let cells = [&*time, " ", &ends, " ", &change, " ", &after, gap];
        let least = cells.into_iter().map(fold::columns).sum::<usize>();
        let used = least + padding.iter().sum::<usize>();
        let mut too_much = (used + needed).saturating_sub(self.layout.width);
        let used = used - too_much.min(used - least);
        for spaces in padding.iter_mut().rev() {
            let taken = too_much.min(*spaces);
            *spaces -= taken;
            too_much -= taken;
        }
        let [behind_ends, behind_change, before_after] = padding;
        let before = format!("{time} {ends}{:behind_ends$} ", "");
        let what = format!("{change}{:behind_change$}", "");
        let rest = format!(" {:before_after$}{after}{gap}", "");
        (too_much == 0).then_some(([before, what, rest], used))
    }
}

fn utf8(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}

/// Takes spaces from the end.
fn trim(out: &mut Vec<u8>) {
    while out.last() == Some(&b' ') {
        out.pop();
    }
}

/// What happened, without the padding of states and the spaces around the arrow; with `entered`, without what stands
/// before the arrow.
fn squeezed(change: &str, entered: bool) -> String {
    let words: Vec<&str> = change.split_whitespace().collect();
    let is_arrow = |word: &&str| [cell::link(false).trim(), cell::link(true).trim()].contains(word);
    match words.iter().position(is_arrow) {
        Some(at) => {
            let from = if entered { 0..0 } else { 0..at };
            [words.get(from).unwrap_or_default(), words.get(at..).unwrap_or_default()]
                .concat()
                .concat()
        }
        None => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_squeezed_and_other_words_keep_one_space() {
        for (change, whole, entered) in [
            ("CLOSED      \u{2192} LISTEN     ", "CLOSED\u{2192}LISTEN", "\u{2192}LISTEN"),
            (
                "FIN_WAIT_1  \u{21e2} TIME_WAIT  ",
                "FIN_WAIT_1\u{21e2}TIME_WAIT",
                "\u{21e2}TIME_WAIT",
            ),
            ("SYN retry 3 of 10        ", "SYN retry 3 of 10", "SYN retry 3 of 10"),
            ("CLOSE_WAIT, still        ", "CLOSE_WAIT, still", "CLOSE_WAIT, still"),
        ] {
            assert_eq!(squeezed(change, false), whole);
            assert_eq!(squeezed(change, true), entered);
        }
    }
}
