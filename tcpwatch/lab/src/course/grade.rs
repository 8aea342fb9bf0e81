//! The verdicts of a run, by question.

use super::{AnswerSheet, Question};
use crate::{expect, story::Run, verdict::Verdict};

/// The answer to a question, and what the kernel did.
#[derive(Clone, Debug)]
pub struct Grade<'a> {
    /// The question.
    pub question: &'a Question,
    /// The answer as it was written.
    pub answer: &'a str,
    /// The verdicts on it.
    pub verdicts: Vec<&'a Verdict>,
}

impl Grade<'_> {
    /// Whether the answer is right on this kernel.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.verdicts.is_empty() && self.verdicts.iter().all(|verdict| verdict.holds)
    }
}

/// The grades of all answers of a sheet by a run of its scenario.
#[must_use]
pub fn grades<'a>(sheet: &'a AnswerSheet, run: &'a Run) -> Vec<Grade<'a>> {
    let mut rest = run.verdicts.as_slice();
    let shares = expect::shares(run);
    let asked = sheet.exercise.questions.iter().zip(&sheet.answers).zip(shares);
    let grades = asked.map(|((question, answer), share)| {
        let (own, others) = rest.split_at_checked(share).unwrap_or((rest, &[]));
        rest = others;
        Grade { question, answer, verdicts: own.iter().collect() }
    });
    grades.collect()
}
