//! Which kernels are booted, and how much is run on each.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{
    kernels::{BootableKernel, Kernels},
    series::Series,
};

/// The oldest kernels that tcpwatch runs on (`docs/kernels.md`, "Needs"); it refuses older ones with an error.
const OLDEST: Series = Series::new(5, 12);

/// How much is run on a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Every test, on all configurations of a machine.
    All,
    /// Tests of what depends most on the kernel (`tests.rs` names them).
    Core,
    /// Only that tcpwatch refuses to run.
    Refusal,
}

/// What runs by default, beside the core on the newest series. All tests run on series that are named on the command
/// line: they take a quarter of an hour on each. The kernels also differ in their compilers: Debian 12's up to 6.12,
/// Debian 13's after that.
const USUAL: [(Series, Amount); 4] = [
    (Series::new(5, 10), Amount::Refusal),
    (Series::new(6, 1), Amount::Core),
    (Series::new(6, 12), Amount::Core),
    (Series::new(6, 18), Amount::Core),
];

/// Options of the tier `vm` that select kernels.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct KernelOptions {
    /// A kernel to boot in tier `vm` instead of Debian's: boot/vmlinuz-VERSION, whose modules are looked
    /// for in ../lib/modules/VERSION, or lib/modules/VERSION/vmlinuz
    #[arg(long, value_name = "FILE")]
    kernel: Vec<PathBuf>,
    /// In tier `vm`, run all tests on Debian's newest kernel of this series, like 6.18, or of `all`
    #[arg(long, value_name = "SERIES", value_parser = series, conflicts_with = "kernel")]
    series: Vec<Option<Series>>,
}

/// One series, or `None` for all.
fn series(text: &str) -> Result<Option<Series>> {
    if text == "all" { Ok(None) } else { text.parse().map(Some) }
}

impl KernelOptions {
    pub(crate) fn kernels(&self) -> Result<Vec<(BootableKernel, Amount)>> {
        if !self.kernel.is_empty() {
            let kernel = |file: &PathBuf| Ok((BootableKernel::in_file(file)?, Amount::All));
            return self.kernel.iter().map(kernel).collect();
        }
        let kernels = Kernels::of_debian()?;
        let plan = plan(&self.series, &kernels.series()?)?;
        plan.into_iter().map(|(series, amount)| Ok((kernels.newest(series)?, amount))).collect()
    }
}

/// What to run on which series, given those that are available.
fn plan(wanted: &[Option<Series>], there_are: &[Series]) -> Result<Vec<(Series, Amount)>> {
    let of = |series| (series, if series < OLDEST { Amount::Refusal } else { Amount::All });
    if wanted.contains(&None) {
        return Ok(there_are.iter().copied().map(of).collect());
    }
    if !wanted.is_empty() {
        return Ok(wanted.iter().copied().flatten().map(of).collect());
    }
    let newest = *there_are.iter().max().context("no kernel of Debian's to test on")?;
    let mut plan = USUAL.to_vec();
    plan.retain(|(series, _)| *series != newest);
    plan.push((newest, Amount::Core));
    Ok(plan)
}

#[cfg(test)]
mod unit {
    use super::*;

    const THERE_ARE: [Series; 3] = [Series::new(5, 10), Series::new(6, 1), Series::new(7, 3)];

    #[test]
    fn the_core_is_run_from_the_oldest_to_the_newest() {
        let plan = plan(&[], &THERE_ARE).unwrap();
        let core: Vec<_> = plan
            .iter()
            .filter(|(_, amount)| *amount == Amount::Core)
            .map(|(series, _)| *series)
            .collect();
        assert_eq!(core.first(), Some(&Series::new(6, 1)));
        assert_eq!(core.last(), Some(&Series::new(7, 3)));
        assert_eq!(plan.first(), Some(&(Series::new(5, 10), Amount::Refusal)), "it is too old");
        assert_eq!(plan.len(), 5);
    }

    #[test]
    fn series_are_named_or_all_of_them() {
        let [old, _, new] = THERE_ARE;
        assert_eq!(plan(&[Some(new)], &THERE_ARE).unwrap(), [(new, Amount::All)]);
        assert_eq!(plan(&[Some(old)], &THERE_ARE).unwrap(), [(old, Amount::Refusal)]);
        assert_eq!(plan(&[Some(new), None], &THERE_ARE).unwrap().len(), 3, "every one there is");
        assert!(series("7.0").unwrap().is_some() && series("all").unwrap().is_none());
        assert!(series("new").is_err());
    }
}
