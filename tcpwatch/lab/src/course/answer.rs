//! Reads an answer, and makes the scenario that judges it.

use toml::de::DeTable;

use super::{CourseError, Exercise, FILES, PLACE, Question, find};
use crate::{
    catalog,
    nearest::advice,
    scenario::{self, Choices, Scenario},
    story::Profile,
};

/// A value that any time satisfies, which answers nothing.
const ANY: &str = "any";

/// Answers to all questions of an exercise.
#[derive(Clone, Debug)]
pub struct AnswerSheet {
    /// The exercise.
    pub exercise: Exercise,
    /// The scenario, with one expectation for each question, in their order.
    pub scenario: Scenario,
    /// The answers as they were written, in the order of the questions.
    pub answers: Vec<String>,
}

/// Reads the text of an answer. `file` is its name in errors.
///
/// # Errors
/// If it is not complete, or an answer has no meaning.
pub fn read(file: &str, text: &str, choices: &Choices) -> Result<AnswerSheet, CourseError> {
    let toml = |error: toml::de::Error| CourseError::Toml {
        file: file.to_owned(),
        problem: error.to_string().trim_end().to_owned(),
    };
    let table = DeTable::parse(text).map_err(toml)?;
    let table = table.get_ref();
    let exercise = table.get("exercise").and_then(|value| value.get_ref().as_str());
    let exercise = exercise.ok_or_else(|| CourseError::NoExercise {
        file: file.to_owned(),
        names: FILES.map(|(name, _)| name).join(", "),
    })?;
    let exercise = find(exercise)?;
    let keys: Vec<&str> = exercise.questions.iter().map(|question| question.key.as_str()).collect();
    for key in table.keys().map(|key| key.get_ref().as_ref()) {
        if key != "exercise" && !keys.contains(&key) {
            let key = key.escape_debug().to_string();
            return Err(CourseError::NoQuestion {
                file: file.to_owned(),
                exercise: exercise.name,
                advice: advice(&key, &keys),
                key,
            });
        }
    }
    let written = |question: &Question| {
        let value = table.get(question.key.as_str())?;
        text.get(value.span()).map(str::to_owned)
    };
    let answers: Vec<String> = exercise.questions.iter().filter_map(written).collect();
    if answers.len() < keys.len() {
        let missing = keys.iter().filter(|key| !table.contains_key(**key));
        let missing: Vec<_> = missing.map(|key| format!("`{key}`")).collect();
        let keys = missing.join(", ");
        return Err(CourseError::Unanswered {
            file: file.to_owned(),
            exercise: exercise.name,
            keys,
        });
    }
    let scenario = judging(file, &exercise, &answers, choices)?;
    Ok(AnswerSheet { exercise, scenario, answers })
}

/// The exercise's scenario with these answers as its expectations.
fn judging(
    file: &str,
    exercise: &Exercise,
    answers: &[String],
    choices: &Choices,
) -> Result<Scenario, CourseError> {
    let name = exercise.scenario.as_str();
    let built_in = catalog::find(name).map_err(|error| CourseError::Unknown {
        name: name.to_owned(),
        advice: error.to_string(),
    })?;
    // Expectations are the last sections of a file.
    let steps = built_in.text.split("\n[[expect]]").next().unwrap_or_default();
    let choices = Choices { profile: Profile::Quick, ..choices.clone() };
    let complete = |asked: &[(&Question, &String)]| {
        let expect = asked.iter().map(|(question, answer)| {
            format!("\n[[expect]]\n{}", question.expect.replace(PLACE, answer))
        });
        let text = format!("{steps}{}", expect.collect::<String>());
        scenario::read(&format!("{name}.toml"), &text, &choices)
    };
    let asked: Vec<(&Question, &String)> = exercise.questions.iter().zip(answers).collect();
    // One by one first, so that an error names its question.
    for (question, answer) in &asked {
        let is_alone = complete(&[(question, answer)]).is_ok_and(|read| read.expect.len() == 1);
        if !is_alone || answer.contains(ANY) || answer.contains('\n') {
            return Err(CourseError::Meaningless {
                file: file.to_owned(),
                key: question.key.clone(),
                answer: answer.escape_debug().to_string(),
                form: question.form.clone(),
            });
        }
    }
    complete(&asked)
        .map_err(|error| CourseError::Toml { file: file.to_owned(), problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read("mine.toml", text, &Choices::default()).unwrap_err().to_string()
    }

    const RIGHT: &str =
        "exercise = \"fin-wait-2\"\nlasts = \"5s\"\nthen = \"CLOSED\"\nserver = \"CLOSE_WAIT\"\n";

    #[test]
    fn an_answer_becomes_the_expectations_of_its_exercise() {
        let sheet = read("mine.toml", RIGHT, &Choices::default()).unwrap();
        assert_eq!(sheet.scenario.expect.len(), 3);
        assert_eq!(sheet.answers, ["\"5s\"", "\"CLOSED\"", "\"CLOSE_WAIT\""]);
    }

    #[test]
    fn what_cannot_be_graded_is_refused_with_what_to_do() {
        for (text, words) in [
            ("x =", ["mine.toml", "not TOML"]),
            ("lasts = 5", ["which exercise", "open-and-close"]),
            ("exercise = \"fin-wait-3\"", ["no exercise \"fin-wait-3\"", "fin-wait-2"]),
            ("exercise = \"fin-wait-2\"\nlast = 5", ["no question `last`", "lasts"]),
            ("exercise = \"fin-wait-2\"\nlasts = \"5s\"", ["`then`, `server`", "guess"]),
        ] {
            for word in words {
                assert!(refused(text).contains(word), "{word} in {}", refused(text));
            }
        }
    }

    #[test]
    fn an_answer_without_a_meaning_is_refused_with_the_form_of_one() {
        for bad in ["\"soon\"", "[1]", "\"any\"", "{ a = 1 }", "true", "\"\"\"\n5s\"\"\""] {
            let error = refused(&RIGHT.replace("\"5s\"", bad));
            assert!(error.contains("`lasts`") && error.contains("a sysctl"), "{bad}: {error}");
        }
        let error = refused(&RIGHT.replace("CLOSE_WAIT", "CLOSEWAITING"));
        assert!(error.contains("`server`") && error.contains("a state"), "{error}");
    }

    #[test]
    fn every_scenario_of_the_course_keeps_its_steps_rules_and_sysctls() {
        for exercise in super::super::all() {
            let built_in = catalog::find(&exercise.scenario).unwrap();
            let choices = Choices { profile: Profile::Quick, ..Choices::default() };
            let whole = built_in.read(&choices).unwrap();
            let steps = built_in.text.split("\n[[expect]]").next().unwrap();
            let some = format!("{steps}\n[[expect]]\nhost = \"client\"\nreset = \"none\"\n");
            let read = scenario::read("a.toml", &some, &choices).unwrap();
            assert_eq!(
                (read.steps.len(), &read.rules, &read.sysctls),
                (whole.steps.len(), &whole.rules, &whole.sysctls)
            );
        }
    }
}
