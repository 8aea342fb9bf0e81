//! Finds the known word that is nearest to an unknown one.

/// Minimal similarity (Jaro-Winkler) of two words for one to be a misspelling of the other.
const ALIKE: f64 = 0.75;

/// The candidate that is most similar to a word; `None` if none is similar enough.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// The nearest word as a question, otherwise the list of all candidates.
pub(super) fn advice(word: &str, candidates: &[&str]) -> String {
    if let Some(near) = nearest(word, candidates.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<_> = candidates.iter().map(|known| format!("`{known}`")).collect();
    if all.is_empty() { "there is none".to_owned() } else { format!("known: {}", all.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_anything_else_finds_none() {
        let known = ["fin-wait-1", "fin-wait-2", "time-wait", "refused"];
        assert_eq!(nearest("fin-wait2", known), Some("fin-wait-2"));
        assert_eq!(nearest("timewait", known), Some("time-wait"));
        assert_eq!(nearest("xyz", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn advice_names_the_nearest_or_all() {
        assert_eq!(advice("stat", &["state", "count"]), "did you mean `state`?");
        assert_eq!(advice("zzz", &["state", "count"]), "known: `state`, `count`");
    }
}
