//! `cargo xtask atlas`: runs every scenario on this kernel and draws the atlas, beside reports of other kernels.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

use crate::{cargo, privilege::Privilege, setup};

/// Options of `cargo xtask atlas`.
#[derive(Debug, clap::Args)]
pub(crate) struct AtlasArgs {
    /// `quick` takes some 20 s; `full` keeps the kernel's defaults and takes minutes
    #[arg(long, default_value = "quick", value_parser = ["quick", "full"])]
    profile: String,
    /// Write report, page, pictures and captures into this directory
    #[arg(long, value_name = "DIR", default_value = "target/atlas")]
    to: PathBuf,
    /// Reports of `tcpwatch lab run --all --report` on other kernels, to stand beside this kernel's
    #[arg(value_name = "REPORT.json")]
    others: Vec<PathBuf>,
}

/// `cargo xtask atlas`. A verdict that does not hold is drawn first; the exit status is then 1.
pub(crate) fn command(args: &AtlasArgs) -> Result<ExitCode> {
    setup::ensure()?;
    let built = cargo::build(&["build", "--workspace"])?;
    let tcpwatch = built.into_iter().find(|built| built.target == "tcpwatch" && !built.is_test);
    let tcpwatch = tcpwatch.context("the workspace has no binary tcpwatch")?.path;
    let to = cargo::workspace().join(&args.to);
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    let report = to.join("report.json");
    let mut run = Privilege::of_this_process().command(&tcpwatch, "run the laboratory")?;
    run.args(["lab", "run", "--all", "--profile", &args.profile, "--report"]).arg(&report);
    let status = run.status().context("cannot start the laboratory")?;
    // 1: a verdict does not hold, which the page shows.
    ensure!(matches!(status.code(), Some(0 | 1)), "the laboratory ended with {status}");
    let drawn = draw(&tcpwatch, args, &report, &to).status().context("cannot start tcpwatch")?;
    ensure!(drawn.success(), "the drawing ended with {drawn}");
    eprintln!("atlas: {}", to.join("atlas.html").display());
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn draw(tcpwatch: &Path, args: &AtlasArgs, report: &Path, to: &Path) -> Command {
    let mut draw = Command::new(tcpwatch);
    draw.args(["lab", "draw"]).args(&args.others).arg(report);
    draw.arg("--html").arg(to.join("atlas.html"));
    draw.arg("--svg").arg(to.join("svg"));
    draw.arg("--pcapng").arg(to.join("pcapng"));
    draw
}
