//! Findings of `tcpwatch doctor`: their texts are in the crate that finds them.

use std::borrow::Cow;

use tcpwatch_doctor::{Advice, Kind};

use super::GlossaryEntry;

/// A page for each kind.
pub(super) fn pages() -> impl Iterator<Item = GlossaryEntry> {
    Kind::ALL.iter().map(|kind| {
        let Advice { what, causes, check, change, rule } = *kind.advice();
        let parts = [("causes", causes), ("look", check), ("change", change)];
        let lists = parts.into_iter().filter(|(_, texts)| !texts.is_empty());
        let mut parts: Vec<(&str, Cow<'static, str>)> =
            lists.map(|(label, texts)| (label, texts.join("; ").into())).collect();
        parts.push(("when", rule.into()));
        GlossaryEntry {
            kind: "finding of doctor",
            words: vec![kind.word().into()],
            what: what.to_owned(),
            parts,
        }
    })
}
