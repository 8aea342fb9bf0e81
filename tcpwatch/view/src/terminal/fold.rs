//! A line's last cell on a terminal: phrases, each behind a dot, of which the next line takes what one has no room for.

/// Between two phrases.
pub(super) const DOT: &str = " \u{b7} ";

/// Columns of a text.
pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The first phrase.
pub(super) fn first(text: &str) -> &str {
    text.split(DOT).next().unwrap_or_default()
}

/// The lines of a text that begins in column `used` of a terminal of `width` columns; those after the first begin in
/// column `indent`. A phrase that is longer than a line is broken between words, a longer word is left whole.
pub(super) fn folded(text: &str, used: usize, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Lines { done: vec![String::new()], used, width, indent };
    for (number, phrase) in text.split(DOT).enumerate() {
        let lead = if number == 0 { "" } else { DOT };
        if lines.has_room(lead, phrase) {
            lines.append(lead, phrase);
            continue;
        }
        // What no line has room for begins where the others end.
        if lines.fits_alone(lead, phrase) {
            lines.begin();
            lines.append(lead.trim_start(), phrase);
        } else {
            lines.words(lead, phrase);
        }
    }
    lines.done
}

struct Lines {
    done: Vec<String>,
    /// Columns of the last line that are taken.
    used: usize,
    width: usize,
    indent: usize,
}

impl Lines {
    fn has_room(&self, lead: &str, text: &str) -> bool {
        self.used + columns(lead) + columns(text) <= self.width
    }

    fn fits_alone(&self, lead: &str, text: &str) -> bool {
        self.indent + columns(lead.trim_start()) + columns(text) <= self.width
    }

    fn begin(&mut self) {
        self.done.push(String::new());
        self.used = self.indent;
    }

    fn append(&mut self, lead: &str, text: &str) {
        self.used += columns(lead) + columns(text);
        if let Some(line) = self.done.last_mut() {
            line.push_str(lead);
            line.push_str(text);
        }
    }

    fn words(&mut self, lead: &str, phrase: &str) {
        let mut lead = lead;
        for word in phrase.split(' ') {
            if self.has_room(lead, word) || self.used <= self.indent {
                self.append(lead, word);
            } else {
                self.begin();
                self.append(lead.trim_start(), word);
            }
            lead = " ";
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_stays_on_its_line_and_the_next_phrase_begins_another() {
        let text = "nc 2410 \u{b7} reset by peer \u{b7} netns blue";
        assert_eq!(folded(text, 10, 46, 4), [text]);
        assert_eq!(folded(text, 10, 45, 4), ["nc 2410 \u{b7} reset by peer", "\u{b7} netns blue"]);
        assert_eq!(folded(text, 10, 17, 2).first().map(String::as_str), Some("nc 2410"));
        assert_eq!(folded(text, 14, 20, 2)[..2], ["", "nc 2410"]);
    }

    #[test]
    fn a_phrase_that_no_line_has_room_for_is_broken_between_words() {
        let text = "nc 7 \u{b7} waits for the application's close()";
        assert_eq!(
            folded(text, 4, 20, 2),
            ["nc 7 \u{b7} waits for", "the application's", "close()"]
        );
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal_and_no_word_is_lost(
            words in proptest::collection::vec("[a-z]{1,9}", 1..40),
            dots in proptest::collection::vec(0..40_usize, 0..6),
            used in 0..90_usize,
            width in 30..130_usize,
        ) {
            let text: String = words.iter().enumerate().fold(String::new(), |text, (at, word)| {
                let lead = match at { 0 => "", _ if dots.contains(&at) => DOT, _ => " " };
                text + lead + word
            });
            let indent = 11;
            let lines = folded(&text, used, width, indent);
            for (number, line) in lines.iter().enumerate() {
                let begins = if number == 0 { used } else { indent };
                prop_assert!(line.is_empty() || begins + columns(line) <= width, "{lines:?}");
            }
            let kept: Vec<_> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            let given: Vec<_> = text.split_whitespace().collect();
            prop_assert_eq!(kept, given);
        }
    }
}
