//! Kernels come in, the tests run in a virtual machine of each, a matrix of tests by kernel goes out.

mod guest;
mod kernels;
mod machine;
mod matrix;
mod report;
mod tests;

use std::{env::consts::ARCH, path::PathBuf, thread};

use anyhow::{Context, Result, bail, ensure};

use self::{guest::Guest, kernels::Kernel, report::Report};
use crate::{precondition::Precondition, setup};

/// What the tier `vm` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A vmlinuz to boot in tier `vm` instead of Debian's; modules that it needs are looked for in
    /// ../lib/modules/VERSION if its name is vmlinuz-VERSION
    #[arg(long, value_name = "FILE")]
    kernel: Vec<PathBuf>,
    /// In tier `vm`, run only the tests that have this in their name
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// After tier `vm`, print which kernel has which feature as a Markdown table
    #[arg(long, conflicts_with = "only")]
    markdown: bool,
}

/// Boots every kernel at the same time; fails when a test failed on any.
pub(crate) fn run(options: &Options) -> Result<()> {
    if ARCH != "x86_64" {
        return Err(Precondition(format!("the virtual machines are x86_64, this is {ARCH}")).into());
    }
    setup::ensure_emulator()?;
    let kernels = if options.kernel.is_empty() {
        kernels::of_debian()?
    } else {
        options.kernel.iter().map(|file| Kernel::in_file(file)).collect::<Result<_>>()?
    };
    let guest = Guest::build(options.only.as_deref())?;
    let reports = machines(&guest, &kernels)?;
    eprintln!("\n{}", matrix::tests(&reports));
    let bad = reports.iter().filter_map(|report| report.verdict().err());
    let bad: Vec<_> = bad.map(|error| error.to_string()).collect();
    ensure!(bad.is_empty(), "{}", bad.join("\n"));
    if options.markdown {
        println!("{}", matrix::features(&reports));
    }
    Ok(())
}

fn machines(guest: &Guest, kernels: &[Kernel]) -> Result<Vec<Report>> {
    let names = guest.tests.iter().map(|(target, test)| format!("{target}/{test}"));
    let names: Vec<String> = names.collect();
    let images =
        kernels.iter().map(|kernel| guest.image(kernel)).collect::<Result<Vec<PathBuf>>>()?;
    eprintln!("vm: {} tests on each of {} kernels", names.len(), kernels.len());
    thread::scope(|scope| {
        let names = &names;
        let running: Vec<_> = kernels
            .iter()
            .zip(&images)
            .map(|(kernel, image)| scope.spawn(move || machine::run(kernel, image, names)))
            .collect();
        let join = |machine: thread::ScopedJoinHandle<'_, Result<Report>>| {
            machine.join().unwrap_or_else(|_panic| bail!("the thread of a machine panicked"))
        };
        running.into_iter().map(join).collect::<Result<_>>().context("a machine did not run")
    })
}
