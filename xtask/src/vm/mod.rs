//! The tier `vm`: runs the tests in a virtual machine of each kernel and prints tables of the results.

mod guest;
mod kernels;
mod machine;
mod matrix;
mod plan;
mod report;
mod series;
mod tests;

use std::{
    env::consts::ARCH,
    num::NonZero,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, available_parallelism},
};

use anyhow::{Context, Result, bail, ensure};

use self::{
    guest::{Guest, GuestTest, MachineJob},
    kernels::BootableKernel,
    plan::Amount,
    report::MachineReport,
    tests::MachineKind,
};
use crate::{debian::QEMU, precondition::Precondition};

/// Options of the tier `vm`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    wanted: plan::KernelOptions,
    /// In tier `vm`, run only the tests that have this, or another WORD, in their name
    #[arg(long, value_name = "WORD")]
    pub(crate) only: Vec<String>,
    /// After tier `vm`, print which kernel has which feature as a Markdown table
    #[arg(long, conflicts_with = "only")]
    markdown: bool,
}

/// This few tests finish sooner than a further machine starts.
const FEW: usize = 10;

/// Boots every kernel, as many machines at a time as there are processors; fails if a test failed on any.
pub(crate) fn run(options: &Options) -> Result<()> {
    if ARCH != "x86_64" {
        return Err(Precondition(format!("the virtual machines are x86_64, this is {ARCH}")).into());
    }
    let qemu = QEMU.ensure()?.join("qemu-system-x86_64");
    let guest = Guest::build(&options.only)?;
    let mut kernels = options.wanted.kernels()?;
    kernels.retain(|(_, amount)| !guest.lists(*amount).is_empty());
    ensure!(!kernels.is_empty(), "no test has any of {:?} in its name", options.only);
    let reports = machines(&qemu, &guest, &kernels)?;
    eprintln!("\n{}", matrix::tests(&reports));
    let bad = reports.iter().filter_map(|report| report.verdict().err());
    let bad: Vec<_> = bad.map(|error| error.to_string()).collect();
    ensure!(bad.is_empty(), "{}", bad.join("\n"));
    if options.markdown {
        println!("{}", matrix::features(&reports));
    }
    Ok(())
}

/// One report for each kernel.
fn machines(
    qemu: &Path,
    guest: &Guest,
    kernels: &[(BootableKernel, Amount)],
) -> Result<Vec<MachineReport>> {
    let processors = available_parallelism().map_or(1, NonZero::get);
    let parts = processors.div_ceil(kernels.len()).max(1);
    let mut images = Vec::new();
    let mut jobs = Vec::new();
    for (kernel, amount) in kernels {
        let mut of_kernel = Vec::new();
        for (way, tests) in guest.lists(*amount) {
            let parts = if tests.len() < FEW { 1 } else { parts };
            of_kernel.extend((0..parts).map(|part| part_of(kernel, way, &tests, (part, parts))));
        }
        images.push(guest.image(kernel, &of_kernel)?);
        jobs.extend(of_kernel.into_iter().map(|job| (images.len() - 1, job)));
    }
    let number: usize = jobs.iter().map(|(_, job)| job.tests.len()).sum();
    eprintln!("vm: {number} tests in {} machines, {processors} at a time", jobs.len());
    // The largest jobs start first.
    jobs.sort_by_key(|(_, job)| job.tests.len());
    let reports = Mutex::new(kernels.iter().map(|_| None::<MachineReport>).collect::<Vec<_>>());
    let jobs = Mutex::new(jobs);
    let next = || locked(&jobs).pop();
    let work = || -> Result<()> {
        while let Some((kernel, job)) = next() {
            let image = images.get(kernel).context("every kernel has an image")?;
            let reported = machine::run(qemu, &job, image)?;
            match locked(&reports).get_mut(kernel) {
                Some(Some(report)) => report.join(reported),
                Some(empty) => *empty = Some(reported),
                None => bail!("a machine of an unknown kernel"),
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Result<()>>| {
            worker.join().unwrap_or_else(|_panic| bail!("the thread of a machine panicked"))
        };
        workers.into_iter().try_for_each(join).context("a machine did not run")
    })?;
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.iter_mut().flatten().for_each(MachineReport::sort);
    reports.into_iter().map(|report| report.context("a kernel without a machine")).collect()
}

fn part_of<'a>(
    kernel: &'a BootableKernel,
    way: &'static MachineKind,
    tests: &[GuestTest],
    (part, parts): (usize, usize),
) -> MachineJob<'a> {
    // Every `parts`-th test: neighbours take equally long.
    let tests = tests.iter().skip(part).step_by(parts).cloned().collect();
    MachineJob { kernel, way, name: format!("{}-{part}", way.name), tests }
}

/// A thread that panicked is reported when it is joined.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
