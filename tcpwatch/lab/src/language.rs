//! The languages of the scenarios' texts. English is in the scenarios' files; each other language has a file of its own in
//! `scenarios/texts`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::scenario::Scenario;

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
    /// Chinese, in simplified characters.
    Zh,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::En, Self::Ja, Self::Zh];

    /// Its tag (BCP 47).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
            Self::Zh => "zh-Hans",
        }
    }

    /// The language of a locale such as `ja_JP.UTF-8`; English where it is another.
    #[must_use]
    pub fn of_locale(locale: &str) -> Self {
        match locale.split(['_', '.', '@', '-']).next() {
            Some("ja") => Self::Ja,
            Some("zh") => Self::Zh,
            _ => Self::En,
        }
    }

    /// The file of its texts; `None` for English.
    const fn file(self) -> Option<&'static str> {
        match self {
            Self::En => None,
            Self::Ja => Some(include_str!("scenarios/texts/ja.toml")),
            Self::Zh => Some(include_str!("scenarios/texts/zh.toml")),
        }
    }

    /// Replaces the texts of a built-in scenario by those of this language, if it has some.
    pub(crate) fn translate(self, scenario: &mut Scenario) {
        let Some(file) = self.file() else { return };
        // A test reads every file.
        let Ok(mut all) = toml::from_str::<BTreeMap<String, Texts>>(file) else { return };
        if let Some(texts) = all.remove(&scenario.name) {
            scenario.title = texts.title;
            scenario.claim = texts.claim;
            scenario.teaches = texts.teaches;
        }
    }
}

/// The texts of a scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    title: String,
    claim: String,
    teaches: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{catalog, scenario::Choices};

    #[test]
    fn every_language_has_every_text_of_every_scenario_and_no_other() {
        let names: BTreeSet<_> =
            catalog::all().iter().map(|built_in| built_in.name.to_owned()).collect();
        for language in Language::ALL {
            let Some(file) = language.file() else { continue };
            let all: BTreeMap<String, Texts> = toml::from_str(file).unwrap();
            assert_eq!(all.keys().cloned().collect::<BTreeSet<_>>(), names, "{language:?}");
            for (name, Texts { title, claim, teaches }) in &all {
                for text in [title, claim, teaches] {
                    assert!(!text.trim().is_empty(), "{language:?} {name}");
                }
                assert!(!claim.is_ascii() && !teaches.is_ascii(), "{language:?} {name}");
            }
        }
    }

    #[test]
    fn a_translation_names_the_same_states_sysctls_and_options() {
        let is_name = |word: &&str| {
            word.len() > 3
                && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && word.contains('_')
                && word.chars().any(|c| c.is_ascii_alphabetic())
        };
        let names = |text: &str| -> BTreeSet<String> {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            words.filter(is_name).map(ToOwned::to_owned).collect()
        };
        for built_in in catalog::all() {
            let in_language = |language| {
                let scenario = built_in.read(&Choices { language, ..Choices::default() }).unwrap();
                names(&scenario.claim)
            };
            let english = in_language(Language::En);
            for language in [Language::Ja, Language::Zh] {
                assert_eq!(in_language(language), english, "{language:?} {}", built_in.name);
            }
        }
    }

    #[test]
    fn the_language_is_that_of_the_locale() {
        for (locale, language) in [
            ("ja_JP.UTF-8", Language::Ja),
            ("zh_CN", Language::Zh),
            ("zh", Language::Zh),
            ("de_DE.UTF-8", Language::En),
            ("C", Language::En),
            ("", Language::En),
        ] {
            assert_eq!(Language::of_locale(locale), language, "{locale}");
        }
    }
}
