//! Pages as text of 80 columns.

use std::fmt::Write as _;

use super::GlossaryEntry;

/// Columns at most.
const WIDTH: usize = 80;
/// Columns before the text of a page.
const INDENT: &str = "  ";
/// Columns of a label and the space behind it.
const LABEL: usize = 8;

/// A page: its word and kind, what it is, and its parts.
pub(super) fn shown(page: &GlossaryEntry) -> String {
    let mut text = format!("{} \u{b7} {}\n", page.title(), page.kind);
    for line in page.what.lines().flat_map(|line| wrapped(line, WIDTH - INDENT.len())) {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{INDENT}{line}").is_ok();
    }
    for (label, part) in &page.parts {
        let lines = wrapped(part, WIDTH - INDENT.len() - LABEL);
        for (number, line) in lines.iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            let _written = writeln!(text, "{INDENT}{label:<LABEL$}{line}").is_ok();
        }
    }
    text
}

/// The words of all pages, by kind in the order in which the kinds come.
pub(super) fn list(pages: &[GlossaryEntry]) -> String {
    let mut kinds: Vec<(&str, Vec<&str>)> = Vec::new();
    for page in pages {
        match kinds.iter_mut().find(|(kind, _)| *kind == page.kind) {
            Some((_, words)) => words.push(page.title()),
            None => kinds.push((page.kind, vec![page.title()])),
        }
    }
    let mut text = "`tcpwatch explain WORD` says what a word means, in any spelling.\n".to_owned();
    for (kind, words) in kinds {
        // A word of several words is not broken.
        let words: Vec<String> = words.iter().map(|word| word.replace(' ', "\u{a0}")).collect();
        let _written = writeln!(text, "\n{kind}").is_ok();
        for line in wrapped(&words.join(", "), WIDTH - INDENT.len()) {
            let _written = writeln!(text, "{INDENT}{}", line.replace('\u{a0}', " ")).is_ok();
        }
    }
    text
}

/// Text in lines of at most so many characters, broken at spaces.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
