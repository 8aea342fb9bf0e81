//! What a state change costs with every mode of tcpwatch, the floor and the peers attached in turn, and
//! what each program does.

use std::{fmt::Write as _, time::Duration};

use anyhow::Result;

use super::{
    case::{self, Case, JSON, SERVE},
    command::Bench,
    hooks,
    measure::{self, Lengths, Round},
    report::{self, Measured},
    tap,
};

/// How often each case is measured.
const ROUNDS: u32 = 9;

fn lengths(bench: &Bench) -> Lengths {
    let (round, losses) = if bench.quick { (200, 2000) } else { (400, 10_000) };
    Lengths { round: Duration::from_millis(round), losses: Duration::from_millis(losses) }
}

/// The table of all cases, and one for each kind of program.
pub(super) fn tables(bench: &Bench) -> Result<String> {
    let cases = case::all(&bench.tcpwatch)?;
    let (lengths, rounds, form) = (lengths(bench), bench.rounds(ROUNDS), bench.form);
    let measured = interleaved(&cases, rounds, lengths.round)?;
    let measured = cases
        .iter()
        .zip(measured)
        .map(|(case, rounds)| finish(case, rounds, lengths))
        .collect::<Result<Vec<_>>>()?;
    let mut text = format!(
        "{rounds} rounds of {} ms\n\n{}",
        lengths.round.as_millis(),
        report::write(&measured, form)
    );
    for case in cases.iter().filter(|case| [JSON, SERVE].contains(&case.label)) {
        eprintln!("bench: each program of {}", case.label);
        let programs = hooks::table(&case.attached, form)?;
        write!(text, "\n{}:\n\n{programs}", case.label)?;
    }
    eprintln!("bench: the tap of the laboratory");
    write!(text, "\nThe tap on a link of the laboratory:\n\n{}", tap::table(bench)?)?;
    Ok(text)
}

/// All cases in every round, each time another one first, so that neither a slow change of the
/// machine nor a neighbour in the order favours one of them.
fn interleaved(cases: &[Case], rounds: u32, length: Duration) -> Result<Vec<Vec<Round>>> {
    let mut measured: Vec<_> = cases.iter().map(|case| (case, Vec::new())).collect();
    for number in 1..=rounds {
        eprintln!("bench: round {number} of {rounds}");
        for (case, rounds) in &mut measured {
            rounds.push(measure::round(case, length)?);
        }
        measured.rotate_left(1);
    }
    // Back into the order of the table.
    let turns = usize::try_from(rounds)? % cases.len();
    measured.rotate_right(turns);
    Ok(measured.into_iter().map(|(_, rounds)| rounds).collect())
}

/// What is measured once and would disturb the rounds.
fn finish(case: &Case, rounds: Vec<Round>, lengths: Lengths) -> Result<Measured> {
    eprintln!("bench: program and losses of {}", case.label);
    let run_ns = measure::time_of_a_run(&case.attached, lengths.round)?;
    let losses = measure::losses(&case.attached, lengths.losses)?;
    Ok(Measured { label: case.label, rounds, run_ns, losses })
}
