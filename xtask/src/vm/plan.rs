//! Which kernels are booted, and how much is run on each.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{
    kernels::{Kernel, Kernels},
    series::Series,
};

/// The oldest kernels that tcpwatch runs on (`docs/kernels.md`, "Needs"); older ones it refuses in words.
const OLDEST: Series = Series::new(5, 12);

/// How much is run on a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Every test, on all kinds of machines.
    All,
    /// Tests of what depends on the kernel most (`tests.rs` names them).
    Core,
    /// That tcpwatch refuses to run.
    Refusal,
}

/// What is run where nothing else is asked for, besides the newest series there is, on which all is run.
/// The compilers differ, too: Debian 12's up to 6.12, Debian 13's after that.
const USUAL: [(Series, Amount); 4] = [
    (Series::new(5, 10), Amount::Refusal),
    (Series::new(6, 1), Amount::All),
    (Series::new(6, 12), Amount::Core),
    (Series::new(6, 18), Amount::Core),
];

/// What the tier `vm` is told about kernels.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Wanted {
    /// A kernel to boot in tier `vm` instead of Debian's: boot/vmlinuz-VERSION, whose modules are looked
    /// for in ../lib/modules/VERSION, or lib/modules/VERSION/vmlinuz
    #[arg(long, value_name = "FILE")]
    kernel: Vec<PathBuf>,
    /// In tier `vm`, run all tests on Debian's newest kernel of this series, like 6.18, or of `all`
    #[arg(long, value_name = "SERIES", value_parser = series, conflicts_with = "kernel")]
    series: Vec<Option<Series>>,
}

/// One, or nothing for all.
fn series(text: &str) -> Result<Option<Series>> {
    if text == "all" { Ok(None) } else { text.parse().map(Some) }
}

impl Wanted {
    pub(crate) fn kernels(&self) -> Result<Vec<(Kernel, Amount)>> {
        if !self.kernel.is_empty() {
            let kernel = |file: &PathBuf| Ok((Kernel::in_file(file)?, Amount::All));
            return self.kernel.iter().map(kernel).collect();
        }
        let kernels = Kernels::of_debian()?;
        let plan = plan(&self.series, &kernels.series()?)?;
        plan.into_iter().map(|(series, amount)| Ok((kernels.newest(series)?, amount))).collect()
    }
}

/// What to run on which series, given those there are.
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
    plan.push((newest, Amount::All));
    Ok(plan)
}

#[cfg(test)]
mod unit {
    use super::*;

    const THERE_ARE: [Series; 3] = [Series::new(5, 10), Series::new(6, 1), Series::new(7, 3)];

    #[test]
    fn all_is_run_on_the_oldest_and_the_newest() {
        let plan = plan(&[], &THERE_ARE).unwrap();
        let all: Vec<_> = plan
            .iter()
            .filter(|(_, amount)| *amount == Amount::All)
            .map(|(series, _)| *series)
            .collect();
        assert_eq!(all, [Series::new(6, 1), Series::new(7, 3)]);
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
