//! The built-in scenarios, and the search for one by its name.

use super::{
    nearest,
    scenario::{self, Choices, FileError, Scenario},
};

/// A file of `scenarios/`.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// The name by which it is run.
    pub name: &'static str,
    /// The text of its file.
    pub text: &'static str,
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(BuiltIn { name: $name, text: include_str!(concat!("scenarios/", $name, ".toml")) }),*]
    };
}

/// In the order of a connection's states.
static ALL: [BuiltIn; 39] = built_in![
    "listen",
    "client-closes-first",
    "server-closes-first",
    "fin-and-ack-in-one",
    "syn-sent",
    "syn-lost",
    "syn-not-sent",
    "syn-retries",
    "syn-retries-here",
    "refused",
    "syn-recv",
    "syn-recv-answer-lost",
    "fin-wait-1",
    "fin-wait-1-and-last-ack",
    "last-ack-not-sent",
    "fin-wait-2",
    "fin-wait-2-of-30-seconds",
    "fin-wait-2-of-65-seconds",
    "close-wait",
    "last-ack",
    "time-wait",
    "closing",
    "closing-unanswered",
    "simultaneous-open",
    "simultaneous-open-syn-lost",
    "late-fin",
    "half-closed",
    "time-wait-again",
    "time-wait-reused",
    "time-wait-overflow",
    "reset-by-the-client",
    "reset-by-the-server",
    "accept-queue-full",
    "syn-cookies",
    "keepalive",
    "user-timeout",
    "data-retries",
    "zero-window",
    "fast-open",
];

/// All built-in scenarios, in the order of a connection's states.
#[must_use]
pub fn all() -> &'static [BuiltIn] {
    &ALL
}

/// A name that no scenario has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no scenario \"{}\"; {advice}", name.escape_debug())]
pub struct UnknownScenario {
    /// The name that was searched for.
    pub name: String,
    advice: String,
}

/// The scenario with this name; otherwise an error with the nearest name.
pub fn find(name: &str) -> Result<&'static BuiltIn, UnknownScenario> {
    let found = ALL.iter().find(|built_in| built_in.name == name);
    found.ok_or_else(|| {
        let near = nearest::nearest(name, ALL.iter().map(|built_in| built_in.name));
        let advice = near.map_or_else(
            || "`tcpwatch lab list` shows all".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        UnknownScenario { name: name.to_owned(), advice }
    })
}

impl BuiltIn {
    /// Parses its file; its texts are in the chosen language.
    pub fn read(&self, choices: &Choices) -> Result<Scenario, FileError> {
        let mut scenario = scenario::read(&format!("{}.toml", self.name), self.text, choices)?;
        self.name.clone_into(&mut scenario.word);
        choices.language.translate(&mut scenario);
        Ok(scenario)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, time::Duration};

    use super::*;
    use crate::story::Profile;

    fn choices(profile: Profile) -> Choices {
        Choices { profile, ..Choices::default() }
    }

    #[test]
    fn every_built_in_scenario_can_be_read_in_both_profiles() {
        for built_in in all() {
            for profile in [Profile::Quick, Profile::Full] {
                if let Err(error) = built_in.read(&choices(profile)) {
                    panic!("{profile:?}\n{error}");
                }
            }
        }
    }

    #[test]
    fn none_takes_longer_than_ten_seconds_when_it_is_quick() {
        for built_in in all() {
            let scenario = built_in.read(&choices(Profile::Quick)).unwrap();
            assert!(scenario.takes <= Duration::from_secs(10), "{}", built_in.name);
        }
    }

    #[test]
    fn every_file_of_the_folder_is_built_in_and_named_like_a_command() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/scenarios");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let stems = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
        let names: BTreeSet<_> = all().iter().map(|built_in| built_in.name.to_owned()).collect();
        assert_eq!(stems.collect::<BTreeSet<_>>(), names);
        assert_eq!(names.len(), all().len());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(names.iter().all(|name| name.chars().all(plain)), "{names:?}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = find("fin-wait2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no scenario \"fin-wait2\"; did you mean fin-wait-2?"
        );
        assert!(find("xyz").unwrap_err().to_string().contains("lab list"));
        assert_eq!(find("refused").unwrap().name, "refused");
    }
}
