//! `tcpwatch lab check`: runs an exercise of the course and grades the answers to it.

use std::{fmt::Write as _, fs, process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use tcpwatch::cli::{exit, lab::LabCheck};
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_lab::{
    course::{self, AnswerSheet, Grade},
    lacking::lacking,
    show::{self, TerminalLayout},
    story::{Profile, Run},
};
use tcpwatch_view::terminal::style;

use crate::laboratory::{choices, in_laboratory, layout};

pub(crate) fn check(asked: &LabCheck) -> Result<ExitCode> {
    let file = asked.answer.display().to_string();
    let text = fs::read_to_string(&asked.answer).with_context(|| format!("cannot read {file}"))?;
    let sheet = course::read(&file, &text, &choices(Profile::Quick, &[], None))?;
    if let Some(lacking) = lacking(&sheet.scenario.sysctls) {
        return Err(lacking.into());
    }
    let family = if asked.ipv6 { FamilyFilter::V6 } else { FamilyFilter::V4 };
    let scenario = Arc::new(sheet.scenario.clone());
    let run = in_laboratory(async |laboratory| {
        laboratory.run(&scenario, (Profile::Quick, family), 0, |_| {}).await
    })?;
    let Some(run) = run else { return Ok(ExitCode::FAILURE) };
    let grades = course::grades(&sheet, &run);
    exit::print(page(&sheet, &run, &grades, layout(asked.color)))?;
    let holds = run.failure.is_none() && grades.iter().all(Grade::holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The grades as text.
fn page(sheet: &AnswerSheet, run: &Run, grades: &[Grade<'_>], layout: TerminalLayout) -> String {
    let exercise = &sheet.exercise;
    let mut text = format!("{} \u{b7} {}\n", exercise.name, exercise.title);
    for grade in grades {
        let (word, look) =
            if grade.holds() { ("right", style::SETUP) } else { ("WRONG", style::FAILURE) };
        let mut mark = Vec::new();
        style::paint(look, word.as_bytes(), layout.color, &mut mark);
        let mark = String::from_utf8_lossy(&mark);
        _ = writeln!(text, "\n{}: {}", grade.question.key, grade.question.ask);
        _ = writeln!(text, "  {mark}: {}", grade.answer);
        for verdict in grade.verdicts.iter().filter(|verdict| !verdict.holds) {
            let (expected, measured) = (show::expected(verdict), show::measured(verdict));
            _ = writeln!(text, "  {}: by your answer {expected}; here {measured}", verdict.what);
        }
        if !grade.holds() {
            _ = writeln!(text, "  think of this: {}", grade.question.hint);
        }
    }
    if let Some(failure) = &run.failure {
        _ = writeln!(text, "\nthe run could not be finished: {failure}");
    }
    let right = grades.iter().filter(|grade| grade.holds()).count();
    _ = writeln!(text, "\n{right} of {} answers are right on this kernel", grades.len());
    if right < grades.len() {
        _ = writeln!(text, "see it happen: tcpwatch lab run {} --profile quick", exercise.scenario);
    }
    text
}
