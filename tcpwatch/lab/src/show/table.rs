//! A table whose cells are wrapped between words to fit the width, never cut.

use anstyle::Style;

use tcpwatch_view::terminal::style;

/// Spaces between columns.
const GAP: usize = 2;
/// Minimal width of a column.
const LEAST: usize = 12;

/// A cell: a text and its style.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// Appends rows of cells, all with the same number of columns, in at most `width` columns if possible. A row's note, if
/// it has one, is below it.
pub(super) fn table(
    rows: &[(Vec<Cell>, Option<Cell>)],
    width: usize,
    color: bool,
    out: &mut Vec<u8>,
) {
    let widths = widths(rows, width);
    for (row, note) in rows {
        let lines: Vec<Vec<String>> =
            row.iter().zip(&widths).map(|(cell, width)| wrapped(&cell.text, *width)).collect();
        for number in 0..lines.iter().map(Vec::len).max().unwrap_or_default() {
            let mut blank = 0;
            for ((cell, lines), width) in row.iter().zip(&lines).zip(&widths) {
                let text = lines.get(number).map_or("", String::as_str);
                if !text.is_empty() {
                    out.resize(out.len() + blank, b' ');
                    blank = 0;
                    style::paint(cell.style, text.as_bytes(), color, out);
                }
                blank += width.saturating_sub(text.chars().count()) + GAP;
            }
            out.push(b'\n');
        }
        if let Some(note) = note {
            for line in wrapped(&note.text, width.saturating_sub(GAP)) {
                out.resize(out.len() + GAP, b' ');
                style::paint(note.style, line.as_bytes(), color, out);
                out.push(b'\n');
            }
        }
    }
}

/// Whether everything fits without wrapping.
pub(super) fn fits(rows: &[(Vec<Cell>, Option<Cell>)], width: usize) -> bool {
    widths(rows, width) == widths(rows, usize::MAX)
}

/// The width of each column: that of its widest cell; if the sum is too large, the widest are narrowed.
fn widths(rows: &[(Vec<Cell>, Option<Cell>)], width: usize) -> Vec<usize> {
    let columns = rows.iter().map(|(row, _)| row.len()).max().unwrap_or_default();
    let widest = |column| {
        let cells = rows.iter().filter_map(|(row, _)| row.get(column));
        cells.map(|cell: &Cell| cell.text.chars().count()).max().unwrap_or_default()
    };
    let mut widths: Vec<usize> = (0..columns).map(widest).collect();
    let room = width.saturating_sub(GAP * columns.saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > LEAST => *widest -= 1,
            _ => break,
        }
    }
    widths
}

/// The text in lines of at most `width` columns, broken between words, or between letters that take two columns.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match words.last_mut() {
            // A number and its unit stay together.
            Some(number) if matches!(word, "s" | "s," | "ms" | "us") => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        for (place, piece) in pieces(&word).into_iter().enumerate() {
            let space = usize::from(place == 0);
            match lines.last_mut() {
                Some(line) if columns(line) + space + columns(&piece) <= width => {
                    line.push_str(if place == 0 { " " } else { "" });
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines
}

/// A word in parts between which a line may end: each letter that takes two columns is one, with the punctuation behind it.
fn pieces(word: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut before = None;
    for letter in word.chars() {
        let is_closing = matches!(
            letter,
            '\u{3001}'
                | '\u{3002}'
                | '\u{ff0c}'
                | '\u{ff1a}'
                | '\u{ff1b}'
                | '\u{300d}'
                | '\u{30fc}'
                | ')'
                | ','
        );
        let breaks = before.is_some_and(|before| is_wide(before) || is_wide(letter));
        match pieces.last_mut() {
            Some(piece) if !breaks || is_closing => piece.push(letter),
            _ => pieces.push(letter.to_string()),
        }
        before = Some(letter);
    }
    pieces
}

/// The columns that a text takes on a terminal.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|letter| if is_wide(letter) { 2 } else { 1 }).sum()
}

/// Whether a letter takes two columns: the blocks of Chinese and Japanese (Unicode Standard Annex 11).
const fn is_wide(letter: char) -> bool {
    matches!(letter, '\u{2e80}'..='\u{a4cf}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}')
}
