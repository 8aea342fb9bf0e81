//! What every word of tcpwatch means: `tcpwatch explain WORD`.
//!
//! Entries are tables, one file per kind; those of JSON fields are made from the schema, those of metrics
//! from their documentation, those of the kernel's reasons from their meanings, so that none is missing.
//! What they claim of Linux is read in its sources at the places that ARCHITECTURE and the code name.

mod columns;
mod ends;
mod events;
mod fields;
mod findings;
mod metrics;
mod page;
mod resets;
mod states;
mod waits;

use std::borrow::Cow;

pub use page::wrapped;

/// Explains one word; each part but the first may be empty.
struct Entry {
    /// The word, and other spellings and names for it.
    words: &'static [&'static str],
    what: &'static str,
    /// What brings it about in practice.
    causes: &'static str,
    /// What to look at next.
    look: &'static str,
    /// The sysctl, option or call that makes a difference.
    change: &'static str,
}

impl Entry {
    const fn short(words: &'static [&'static str], what: &'static str) -> Self {
        Self { words, what, causes: "", look: "", change: "" }
    }
}

/// A word with its explanation, of whatever kind.
struct GlossaryEntry {
    kind: &'static str,
    words: Vec<Cow<'static, str>>,
    /// What it is, and parts with a label: causes, look, change.
    what: String,
    parts: Vec<(&'static str, Cow<'static, str>)>,
}

impl GlossaryEntry {
    fn title(&self) -> &str {
        self.words.first().map_or("", AsRef::as_ref)
    }
}

/// A word that has no entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no entry for \"{word}\"; {advice}`tcpwatch explain` lists all words")]
pub struct UnknownWord {
    word: String,
    advice: String,
}

/// As much alike as two words must be (Jaro-Winkler) for one to be a slip of the other.
const ALIKE: f64 = 0.8;
/// Suggestions for a word that has no entry.
const SUGGESTED: usize = 3;

/// What a word means. It may be spelled as in tcpwatch, ss, netstat, the kernel or RFC 9293, in any case;
/// with several meanings each has a page.
///
/// # Errors
/// If there is no entry; the error has the words that are most like it.
pub fn explain(word: &str) -> Result<String, UnknownWord> {
    let pages = pages();
    let found = |letters: &str| -> Vec<&GlossaryEntry> {
        let is = |page: &&GlossaryEntry| page.words.iter().any(|known| normal(known) == letters);
        pages.iter().filter(is).collect()
    };
    let letters = normal(word);
    let shown = [letters.as_str()].into_iter().chain(without_prefix(&letters)).map(found);
    match shown.into_iter().find(|found| !found.is_empty()) {
        Some(found) => {
            let shown: Vec<String> = found.into_iter().map(page::shown).collect();
            Ok(shown.join("\n"))
        }
        None => Err(UnknownWord {
            word: word.escape_debug().to_string(),
            advice: advice(&letters, &pages),
        }),
    }
}

/// All words, by kind.
#[must_use]
pub fn list() -> String {
    page::list(&pages())
}

fn pages() -> Vec<GlossaryEntry> {
    let tables: [(&str, &[Entry]); 11] = [
        ("state", &states::ENTRIES),
        ("reason, end", &ends::ENTRIES),
        ("event", &events::EVENTS),
        ("segment that is sent again", &events::SEGMENTS),
        ("handshake", &events::HANDSHAKES),
        ("what a socket waits for", &waits::WAITS),
        ("queue of a listener", &events::QUEUES),
        ("column", &columns::COLUMNS),
        ("mark in a line", &columns::MARKS),
        ("who it is", &events::OWNERS),
        ("cause of a loss", &events::LOSSES),
    ];
    let of_table = |(kind, entries): (&'static str, &'static [Entry])| {
        entries.iter().map(move |entry| of_entry(kind, entry))
    };
    let mut pages: Vec<GlossaryEntry> = tables.into_iter().flat_map(of_table).collect();
    pages.extend(resets::pages());
    let has_an_entry = |word: &str| events::EVENTS.iter().any(|entry| entry.words.contains(&word));
    pages.extend(fields::lines(has_an_entry));
    pages.extend(fields::pages());
    pages.extend(metrics::pages());
    pages.extend(findings::pages());
    pages
}

fn of_entry(kind: &'static str, entry: &Entry) -> GlossaryEntry {
    let parts = [("causes", entry.causes), ("look", entry.look), ("change", entry.change)];
    let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
    GlossaryEntry {
        kind,
        words: entry.words.iter().map(|word| Cow::Borrowed(*word)).collect(),
        what: entry.what.to_owned(),
        parts: parts.map(|(label, text)| (label, Cow::Borrowed(text))).collect(),
    }
}

/// A word without what its spellings differ in.
fn normal(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' ' | '+' | '(' | ')' | '"' | '\u{b7}'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The same without a prefix that the kernel's words have.
fn without_prefix(letters: &str) -> impl Iterator<Item = &str> {
    let prefixes = ["skrstreason", "skbdropreason", "tcpext", "tcpf", "tcp", "tcpwatch"];
    prefixes.into_iter().filter_map(|prefix| letters.strip_prefix(prefix))
}

/// `did you mean CLOSE_WAIT or CLOSING? `, or nothing.
fn advice(letters: &str, pages: &[GlossaryEntry]) -> String {
    let mut near: Vec<(f64, &str)> = pages
        .iter()
        .filter_map(|page| {
            let alike = page.words.iter().map(|word| strsim::jaro_winkler(letters, &normal(word)));
            alike.max_by(f64::total_cmp).map(|alike| (alike, page.title()))
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let mut words: Vec<&str> = Vec::new();
    for (_, word) in near {
        if !words.contains(&word) && words.len() < SUGGESTED {
            words.push(word);
        }
    }
    if words.is_empty() { String::new() } else { format!("did you mean {}? ", words.join(" or ")) }
}

#[cfg(test)]
mod tests;
