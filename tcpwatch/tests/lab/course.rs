//! The course: each exercise's right answers hold on this kernel, and a wrong one fails with words that help.

use crate::{
    carried,
    program::{Answer, answers, file, lab, path},
};
use tcpwatch_lab::course;

fn checked(exercise: &str, kind: &str) -> Answer {
    let sheet = carried::file("tests/data/course").join(format!("{exercise}-{kind}.toml"));
    Answer::of(&mut lab(&["check", sheet.to_str().unwrap()]))
}

#[test]
fn the_right_answers_to_each_exercise_are_graded_right() {
    needs_root!();
    for exercise in course::all() {
        let answer = checked(exercise.name, "right");
        assert_eq!(answer.status, Some(0), "{answer:?}");
        let all = exercise.questions.len();
        let sum = format!("{all} of {all} answers are right on this kernel");
        assert!(answer.stdout.contains(&sum) && !answer.stdout.contains("WRONG"), "{answer:?}");
    }
}

#[test]
fn a_wrong_answer_to_each_exercise_fails_with_what_happened_and_a_hint() {
    needs_root!();
    for exercise in course::all() {
        let answer = checked(exercise.name, "wrong");
        assert_eq!(answer.status, Some(1), "{answer:?}");
        assert_eq!(answer.stdout.matches("WRONG").count(), 1, "{answer:?}");
        assert_eq!(answer.stdout.matches("by your answer").count(), 1, "{answer:?}");
        let hints = exercise.questions.iter().filter(|it| answer.stdout.contains(&it.hint));
        assert_eq!(hints.count(), 1, "{answer:?}");
        assert!(answer.stdout.contains("see it happen: tcpwatch lab run"), "{answer:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_graded_is_wrong_usage() {
    let unknown = file("exercise = \"fin-wait-22\"");
    let empty = file("");
    let [unknown, empty, missing] = answers([
        lab(&["check", path(&unknown)]),
        lab(&["check", path(&empty)]),
        lab(&["check", "/nowhere/answer.toml"]),
    ]);
    unknown.refuses(2, &["no exercise \"fin-wait-22\"", "fin-wait-2"]);
    empty.refuses(2, &["which exercise", "open-and-close"]);
    missing.refuses(1, &["cannot read /nowhere/answer.toml"]);
}
