//! `cargo xtask dist`: what a release consists of, made from this checkout into one directory.
//!
//! Equal sources give equal bytes: every time in a file is that of the commit (or `SOURCE_DATE_EPOCH`), files are
//! sorted and belong to root, and no path of the machine that builds gets into the program.

#[cfg(test)]
mod chart;
mod check;
mod crates;
mod deb;
mod image;
mod notices;
mod pack;
mod program;
mod rpm;
mod sbom;
mod tree;

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{cargo, setup};
use pack::Epoch;

/// The largest program that is packed, in bytes: a little more than it has now, so that growth is noticed.
const LARGEST: u64 = 13_000_000;

/// Options of `cargo xtask dist`.
#[derive(Debug, clap::Args)]
pub(crate) struct DistArgs {
    /// The directory for the files; it is made, and what it has of these names is replaced
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    out: PathBuf,
    /// Pack this program instead of building one; for tests of the packages
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Check the packages as well: installed, used, upgraded and purged in a Debian system that is made for it
    /// (fetched, some minutes, as root), and by linters
    #[arg(long)]
    check: bool,
}

/// What all files of one release have in common.
#[derive(Debug)]
struct Release {
    version: String,
    epoch: Epoch,
    /// The finished program.
    program: PathBuf,
    /// Licences and notices of the crates in it.
    notices: String,
}

impl Release {
    /// `tcpwatch-0.2.0-x86_64`: how the names of its files begin.
    fn name(&self) -> String {
        format!("tcpwatch-{}-{ARCH}", self.version)
    }
}

/// Builds the program and makes the files; prints the sums.
pub(crate) fn command(args: &DistArgs) -> Result<ExitCode> {
    let stripped = tempfile::tempdir()?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => built(stripped.path())?,
    };
    let out = cargo::workspace().join(&args.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let metadata = crates::metadata()?;
    let crates = crates::of_the_program(&metadata)?;
    let release = Release {
        version: version(&metadata)?,
        epoch: Epoch::of_the_commit()?,
        program,
        notices: notices::of(&crates)?,
    };
    let mut files = vec![
        archive(&release, &out)?,
        deb::make(&release, &out)?,
        image::make(&release, &out)?,
        rpm::make(&release, &out)?,
        sbom::make(&release, &crates, &out)?,
    ];
    files.sort();
    let sums = pack::sums(&out, &files)?;
    fs::write(out.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    if args.check {
        check::check(&out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the program into `dir`, as small as it is expected to be.
fn built(dir: &Path) -> Result<PathBuf> {
    setup::ensure()?;
    let program = program::build(dir)?;
    let size = fs::metadata(&program)?.len();
    ensure!(size <= LARGEST, "the program has {size} bytes, more than {LARGEST}");
    Ok(program)
}

/// The archive with the tree of files below a directory of its own; returns its name.
fn archive(release: &Release, out: &Path) -> Result<String> {
    let dir = tempfile::tempdir()?;
    tree::lay(release, &dir.path().join(release.name()))?;
    let name = format!("{}.tar.gz", release.name());
    pack::tar_gz(dir.path(), &release.name(), &out.join(&name), release.epoch)?;
    Ok(name)
}

fn version(metadata: &Value) -> Result<String> {
    let tcpwatch = crates::package(metadata, "tcpwatch")?;
    Ok(tcpwatch["version"].as_str().context("the package tcpwatch has no version")?.to_owned())
}
