//! The course: exercises whose answers are graded against a run on this kernel.
//!
//! An exercise is a scenario with questions in place of its expectations. Each answer completes an expectation, and the
//! laboratory judges these as it judges any other: what is right is decided by this kernel, not by a key. Pure.

mod answer;
mod grade;

use serde::Deserialize;
use thiserror::Error;

pub use answer::{AnswerSheet, read};
pub use grade::{Grade, grades};

use crate::nearest::advice;

/// The place of the answer in a question's expectation.
const PLACE: &str = "ANSWER";

/// The exercises and the texts of their files, in the order of the course.
const FILES: [(&str, &str); 10] = [
    ("open-and-close", include_str!("exercises/open-and-close.toml")),
    ("syn-sent", include_str!("exercises/syn-sent.toml")),
    ("syn-recv", include_str!("exercises/syn-recv.toml")),
    ("fin-wait-1", include_str!("exercises/fin-wait-1.toml")),
    ("fin-wait-2", include_str!("exercises/fin-wait-2.toml")),
    ("last-ack", include_str!("exercises/last-ack.toml")),
    ("half-closed", include_str!("exercises/half-closed.toml")),
    ("time-wait-reused", include_str!("exercises/time-wait-reused.toml")),
    ("simultaneous-open", include_str!("exercises/simultaneous-open.toml")),
    ("zero-window", include_str!("exercises/zero-window.toml")),
];

/// An exercise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The name by which answers refer to it.
    #[serde(skip)]
    pub name: &'static str,
    /// A few words.
    pub title: String,
    /// The built-in scenario that is run, with the profile `quick`.
    pub scenario: String,
    /// What happens in it.
    pub about: String,
    /// Its questions.
    #[serde(rename = "question")]
    pub questions: Vec<Question>,
}

/// A question.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The key of its answer.
    pub key: String,
    /// The question.
    pub ask: String,
    /// How an answer is written.
    pub form: String,
    /// What helps after a wrong answer.
    pub hint: String,
    /// The expectation, with `ANSWER` where the answer belongs.
    expect: String,
}

/// Why an answer cannot be graded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CourseError {
    /// It is not TOML.
    #[error("{file} is not TOML: {problem}")]
    Toml {
        /// The file.
        file: String,
        /// What is wrong, with its place.
        problem: String,
    },
    /// It does not say to what.
    #[error(
        "{file} does not say which exercise it answers; begin it with `exercise = \"NAME\"`, where NAME is one of {names}"
    )]
    NoExercise {
        /// The file.
        file: String,
        /// The exercises.
        names: String,
    },
    /// There is no such exercise.
    #[error("there is no exercise \"{name}\"; {advice}")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest one.
        advice: String,
    },
    /// An answer to a question that is not asked.
    #[error("{file}: exercise {exercise} has no question `{key}`; {advice}")]
    NoQuestion {
        /// The file.
        file: String,
        /// The exercise.
        exercise: &'static str,
        /// The key.
        key: String,
        /// The nearest one.
        advice: String,
    },
    /// Questions without an answer.
    #[error(
        "{file} has no answer to {keys} of exercise {exercise}; add a line `KEY = …` for each, and guess where you are not sure"
    )]
    Unanswered {
        /// The file.
        file: String,
        /// The exercise.
        exercise: &'static str,
        /// The keys.
        keys: String,
    },
    /// An answer that has no meaning.
    #[error("{file}: the answer to `{key}` cannot be meant: {answer}; write {form}")]
    Meaningless {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// The answer.
        answer: String,
        /// How an answer is written.
        form: String,
    },
}

/// All exercises, in the order of the course.
pub fn all() -> impl Iterator<Item = Exercise> {
    // A test reads every file.
    FILES.into_iter().filter_map(|(name, text)| {
        toml::from_str::<Exercise>(text).ok().map(|exercise| Exercise { name, ..exercise })
    })
}

fn find(name: &str) -> Result<Exercise, CourseError> {
    all().find(|exercise| exercise.name == name).ok_or_else(|| {
        let names = FILES.map(|(name, _)| name);
        let name = name.escape_debug().to_string();
        CourseError::Unknown { advice: advice(&name, &names), name }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_an_exercise_of_a_built_in_scenario_with_a_place_for_each_answer() {
        assert_eq!(all().count(), FILES.len());
        for exercise in all() {
            crate::catalog::find(&exercise.scenario).unwrap();
            assert!(exercise.questions.len() >= 3, "{}", exercise.name);
            for question in &exercise.questions {
                assert_eq!(question.expect.matches(PLACE).count(), 1, "{question:?}");
            }
        }
    }

    #[test]
    fn the_pages_of_the_course_ask_what_the_exercises_ask() {
        for (number, exercise) in all().enumerate() {
            let name = format!("{:02}-{}.md", number + 1, exercise.name);
            let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/course/");
            let page = std::fs::read_to_string(format!("{page}{name}")).unwrap();
            let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
            for question in &exercise.questions {
                assert!(page.contains(&question.ask), "{name}: {}", question.ask);
                assert!(page.contains(&question.form), "{name}: {}", question.form);
            }
            assert!(page.contains(&exercise.about), "{name}");
            assert!(page.contains(&format!("exercise = \"{}\"", exercise.name)), "{name}");
        }
    }
}
