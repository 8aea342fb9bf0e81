//! What a state change costs with nothing attached, with an empty program, with every mode of tcpwatch and with its
//! peers, and what each of tcpwatch's programs takes.

use std::{fmt::Write as _, time::Duration};

use anyhow::Result;

use super::{
    case::{self, ChangeCase, JSON, SERVE},
    command::Bench,
    hooks,
    measure::{self, ChangeRound, Lengths},
    report::{self, MeasuredChange},
};

/// The number of rounds for each case.
const ROUNDS: u32 = 9;

fn lengths(bench: &Bench) -> Lengths {
    let (round, losses) = if bench.quick { (200, 2000) } else { (400, 10_000) };
    Lengths { round: Duration::from_millis(round), losses: Duration::from_millis(losses) }
}

/// The table of all cases, and a table of programs for each kind of attachment.
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
    Ok(text)
}

/// Measures all cases in every round, each time starting with another case, so that neither a slow change of the
/// machine nor the preceding case favours one of them.
fn interleaved(
    cases: &[ChangeCase],
    rounds: u32,
    length: Duration,
) -> Result<Vec<Vec<ChangeRound>>> {
    let mut measured: Vec<_> = cases.iter().map(|case| (case, Vec::new())).collect();
    for number in 1..=rounds {
        eprintln!("bench: round {number} of {rounds}");
        for (case, rounds) in &mut measured {
            rounds.push(measure::round(case, length)?);
        }
        measured.rotate_left(1);
    }
    // Restores the order of the table.
    let turns = usize::try_from(rounds)? % cases.len();
    measured.rotate_right(turns);
    Ok(measured.into_iter().map(|(_, rounds)| rounds).collect())
}

/// Adds what is measured once, because measuring it would disturb the rounds.
fn finish(case: &ChangeCase, rounds: Vec<ChangeRound>, lengths: Lengths) -> Result<MeasuredChange> {
    eprintln!("bench: program and losses of {}", case.label);
    let run_ns = measure::time_of_a_run(&case.attached, lengths.round)?;
    let losses = measure::losses(&case.attached, lengths.losses)?;
    Ok(MeasuredChange { label: case.label, rounds, run_ns, losses })
}
