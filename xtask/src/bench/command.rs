//! `cargo xtask bench`: builds tcpwatch, measures section by section, prints the tables.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};

use super::{
    changes, connections, growth, instructions, machine, peers, scrape, start, table::CellForm,
};
use crate::{cargo, precondition::Precondition, setup};

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    wanted: SectionFlags,
    /// Compare with other tools, which are fetched where they are missing (Debian's, and not installed)
    #[arg(long)]
    peers: bool,
    /// How often each case is measured [default: 3 to 15, as the section needs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Shorter and fewer rounds: a first look, not a result
    #[arg(long)]
    quick: bool,
    /// Print the tables as Markdown
    #[arg(long)]
    markdown: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Debug, clap::Args)]
struct SectionFlags {
    /// What a connection costs, beside tools that look at packets or ask again and again
    #[arg(long)]
    connections: bool,
    /// Start-up, memory and size
    #[arg(long)]
    start: bool,
    /// What grows with 1 to 100,000 live sockets, and with 1 to 2 CPUs
    #[arg(long)]
    growth: bool,
    /// Instructions and allocations for each line, by valgrind (Debian's where it is
    /// missing), and system calls
    #[arg(long)]
    instructions: bool,
    /// What a scrape of the metrics costs, beside `node_exporter` (Debian's where it is missing)
    #[arg(long)]
    scrape: bool,
    /// All of these, after what each state change costs
    #[arg(long)]
    all: bool,
}

/// How to measure, and what.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) tcpwatch: PathBuf,
    pub(crate) form: CellForm,
    pub(crate) quick: bool,
    rounds: Option<u32>,
}

impl Bench {
    /// The number of rounds that was given on the command line, or `usual`.
    pub(crate) fn rounds(&self, usual: u32) -> u32 {
        let rounds = self.rounds.unwrap_or(usual);
        if self.quick { rounds.min(3) } else { rounds }
    }
}

/// A title, and the function that measures the tables below it.
type Section = (&'static str, fn(&Bench) -> Result<String>);

impl SectionFlags {
    fn sections(&self) -> Vec<Section> {
        let Self { connections, start, growth, instructions, scrape, all } = *self;
        let any = connections || start || growth || instructions || scrape;
        let sections: [(bool, Section); 6] = [
            (!any, ("What a state change costs", changes::tables)),
            (connections, ("What a connection costs", connections::table)),
            (start, ("Start-up, memory and size", start::table)),
            (growth, ("What grows", growth::tables)),
            (instructions, ("Instructions", instructions::tables)),
            (scrape, ("What a scrape costs", scrape::table)),
        ];
        let wanted = sections.into_iter().filter(|(wanted, _)| *wanted || all);
        wanted.map(|(_, section)| section).collect()
    }
}

/// `cargo xtask bench`.
pub(crate) fn command(args: &BenchArgs) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        let text = "root is needed to attach programs to the kernel and to measure them; run \
                    `cargo xtask bench` as root";
        return Err(Precondition(text.to_owned()).into());
    }
    setup::ensure()?;
    if args.peers {
        peers::ensure()?;
    }
    let form = if args.markdown { CellForm::Markdown } else { CellForm::Plain };
    let BenchArgs { ref wanted, peers: _, rounds, quick, markdown: _ } = *args;
    let bench = Bench { tcpwatch: cargo::release()?, form, quick, rounds };
    come_first();
    println!("{}", machine::describe());
    for (title, measure) in wanted.sections() {
        let load = machine::load();
        let tables = measure(&bench).with_context(|| title.to_owned())?;
        println!("\n{}", form.title(title));
        println!("load {load} before and {} after\n\n{}", machine::load(), tables.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Raises the priority of this process and of its children, so that other programs wait for them.
fn come_first() {
    if let Err(error) = rustix::process::setpriority_process(None, -20) {
        eprintln!("bench: no priority over other programs ({error}); they may disturb more");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct BenchLine {
        #[command(flatten)]
        args: BenchArgs,
    }

    #[test]
    fn sections_are_named_and_all_are_all() {
        for (line, titles) in [
            ("", vec!["What a state change costs"]),
            ("--peers --markdown", vec!["What a state change costs"]),
            ("--start --growth", vec!["Start-up, memory and size", "What grows"]),
            ("--scrape", vec!["What a scrape costs"]),
        ] {
            let words = std::iter::once("bench").chain(line.split_whitespace());
            let sections = BenchLine::parse_from(words).args.wanted.sections();
            assert_eq!(
                sections.iter().map(|(title, _)| *title).collect::<Vec<_>>(),
                titles,
                "{line:?}"
            );
        }
        let all = BenchLine::parse_from(["bench", "--all"]).args.wanted.sections();
        assert_eq!(all.len(), 6, "every section");
    }
}
