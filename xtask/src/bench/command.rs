//! Arguments come in; the bench runs from the build to the table.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};

use super::{
    case::{self, Case, JSON, SERVE},
    hooks, machine,
    measure::{self, Lengths, Round},
    peers,
    report::{self, Measured},
    scrape,
    table::Form,
};
use crate::{cargo, precondition::Precondition, setup};

#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install the tools to compare with, where they are missing (Debian packages)
    #[arg(long)]
    peers: bool,
    /// Measure what a scrape of the metrics costs instead, beside `node_exporter` (Debian's, unpacked and
    /// not installed)
    #[arg(long, conflicts_with = "peers")]
    scrape: bool,
    /// How often each case is measured
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Shorter and fewer rounds: a first look, not a result
    #[arg(long)]
    quick: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

impl Args {
    fn rounds(&self) -> u32 {
        if self.quick { self.rounds.min(3) } else { self.rounds }
    }

    fn lengths(&self) -> Lengths {
        let (round, losses) = if self.quick { (200, 2000) } else { (400, 10_000) };
        Lengths { round: Duration::from_millis(round), losses: Duration::from_millis(losses) }
    }

    fn form(&self) -> Form {
        if self.markdown { Form::Markdown } else { Form::Plain }
    }
}

/// `cargo xtask bench`.
pub(crate) fn command(args: &Args) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        let text = "root is needed to attach programs to the kernel and to measure them; run \
                    `cargo xtask bench` as root";
        return Err(Precondition(text.to_owned()).into());
    }
    setup::ensure()?;
    if args.scrape {
        return scrapes(args);
    }
    if args.peers {
        peers::install()?;
    }
    let cases = case::all(&build()?)?;
    come_first();
    let load = machine::load();
    let rounds = interleaved(&cases, args.rounds(), args.lengths().round)?;
    let measured = cases
        .iter()
        .zip(rounds)
        .map(|(case, rounds)| finish(case, rounds, args.lengths()))
        .collect::<Result<Vec<_>>>()?;
    let (rounds, millis) = (args.rounds(), args.lengths().round.as_millis());
    println!("{}", machine::describe());
    println!("{rounds} rounds of {millis} ms, load {load} before and {} after\n", machine::load());
    print!("{}", report::write(&measured, args.form()));
    for case in cases.iter().filter(|case| [JSON, SERVE].contains(&case.label)) {
        eprintln!("bench: each program of {}", case.label);
        print!("\n{}:\n\n{}", case.label, hooks::table(&case.attached, args.form())?);
    }
    Ok(ExitCode::SUCCESS)
}

fn scrapes(args: &Args) -> Result<ExitCode> {
    let tcpwatch = build()?;
    come_first();
    let load = machine::load();
    let table = scrape::table(&tcpwatch, args.rounds(), args.form())?;
    println!("{}", machine::describe());
    println!("load {load} before and {} after; {table}", machine::load());
    Ok(ExitCode::SUCCESS)
}

fn build() -> Result<PathBuf> {
    let executables = cargo::build(&["build", "--release", "--package", "tcpwatch"])?;
    let tcpwatch = executables.into_iter().find(|executable| executable.target == "tcpwatch");
    Ok(tcpwatch.context("the package tcpwatch has no binary of that name")?.path)
}

/// Whatever else runs here has to wait for the workload and the tools, which inherit this.
fn come_first() {
    if let Err(error) = rustix::process::setpriority_process(None, -20) {
        eprintln!("bench: no priority over other programs ({error}); they may disturb more");
    }
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
    let streams = case.attached.streams();
    let losses = streams.then(|| measure::losses(&case.attached, lengths.losses)).transpose()?;
    Ok(Measured { label: case.label, rounds, run_ns, losses })
}
