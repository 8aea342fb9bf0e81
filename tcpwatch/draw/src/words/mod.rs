//! The words of the page and of the pictures themselves, in each language. What comes from reports stays as it is there.

mod en;
mod ja;
mod zh;

use std::fmt::Display;

use tcpwatch_lab::{host::Host, language::Language};

macro_rules! words {
    ($($name:ident,)*) => {
        /// Every word, so that none can be missing in a language. `{0}` and so on are places for [`fill`].
        #[derive(Debug)]
        pub(crate) struct PageWords {
            $(pub(crate) $name: &'static str,)*
        }

        #[cfg(test)]
        impl PageWords {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

words! {
    skip,
    failed_title,
    fails_one,
    fails,
    hold,
    about,
    counts,
    machine,
    machine_short,
    coverage,
    machine_alt,
    in_words,
    states,
    states_caption,
    state,
    scenarios_column,
    none,
    transitions,
    transitions_caption,
    from,
    to,
    in_the_figure,
    reasons,
    never_taken,
    not_there,
    scenarios,
    filter,
    all_scenarios,
    scenario,
    what_happens,
    in_its_window,
    cell_failed,
    of_hold,
    failed_on,
    warning,
    lost,
    profile_quick,
    profile_full,
    diagram_of,
    retransmissions_of,
    bytes_of,
    as_text,
    details,
    sysctls_of,
    client,
    server,
    ticks,
    dropped,
    verdicts_on,
    what,
    expected,
    measured,
    because,
    fails_mark,
    not_judged,
    by_hand,
    copy,
    copied,
    selected,
    copy_of,
    back_from,
    diagram_about,
    every_verdict_holds,
    does_not_hold,
    seconds,
    stopped,
    arrows_fall,
    timer_due,
    came_first,
    schedule_title,
    since_before,
    bytes_title,
    connection,
    direction,
    since_syn,
    since_began,
    bars,
    acked_line,
    window_line,
    window_above,
    window_unknown,
    mark_r,
    mark_star,
    mark_z,
    mark_p,
    mark_3,
    not_run,
    passes,
    rows_left_out,
    due_at,
    mark_rst_in,
    mark_rst_out,
}

impl PageWords {
    /// The words of a language.
    pub(crate) const fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &en::WORDS,
            Language::Ja => &ja::WORDS,
            Language::Zh => &zh::WORDS,
        }
    }

    /// What a host is called. Templates pass references.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "askama passes a field of a template by reference"
    )]
    pub(crate) const fn host(&self, host: &Host) -> &'static str {
        match host {
            Host::Client => self.client,
            Host::Server => self.server,
        }
    }
}

/// Puts one value into its place.
pub(crate) fn fill(word: &str, value: impl Display) -> String {
    word.replace("{0}", &value.to_string())
}

/// Puts two values into their places.
pub(crate) fn fill2(word: &str, first: impl Display, second: impl Display) -> String {
    // The second first: what is put in may have braces.
    let parts: Vec<String> = word.split("{1}").map(|part| fill(part, &first)).collect();
    parts.join(&second.to_string())
}

/// Puts three values into their places.
pub(crate) fn fill3(
    word: &str,
    first: impl Display,
    second: impl Display,
    third: impl Display,
) -> String {
    let parts: Vec<String> = word.split("{2}").map(|part| fill2(part, &first, &second)).collect();
    parts.join(&third.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_the_same_places_in_every_language_and_is_translated() {
        let english = PageWords::of(Language::En).all();
        for language in [Language::Ja, Language::Zh] {
            let words = PageWords::of(language).all();
            for ((name, ours), (_, theirs)) in english.iter().zip(words) {
                for place in ["{0}", "{1}", "{2}"] {
                    assert_eq!(ours.contains(place), theirs.contains(place), "{name}: {theirs}");
                }
                assert!(!theirs.is_ascii(), "{name} in {language:?}: {theirs}");
            }
        }
    }

    #[test]
    fn what_is_put_in_is_not_taken_for_a_place() {
        assert_eq!(fill3("{2} {1} {0}", "{1}", "{2}", "{0}"), "{0} {2} {1}");
    }
}
