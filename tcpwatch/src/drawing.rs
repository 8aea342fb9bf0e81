//! `tcpwatch lab draw`: reads reports and writes a page and pictures.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use tcpwatch::cli::lab::LabDraw;
use tcpwatch_draw::{atlas, pcapng, schedule, sequence, target::TargetFile, time_sequence};
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_lab::{
    host::Host,
    report::{self, Document},
    story::Run,
};

/// Draws what is asked for. Nothing is written before all reports are read.
pub(crate) fn draw(asked: &LabDraw) -> Result<()> {
    let reports = asked.reports.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    if let Some(path) = &asked.html {
        let page = TargetFile::open(path)?;
        page.finish(atlas::html(&reports, asked.lang)?.as_bytes())?;
    }
    if let Some(folder) = &asked.svg {
        make(folder)?;
        for (name, _, run) in named(&reports) {
            let file = folder.join(format!("{name}.svg"));
            TargetFile::open(&file)?.finish(sequence::svg(run, asked.lang)?.as_bytes())?;
            if let Some(plot) = schedule::svg(run, asked.lang)? {
                let file = folder.join(format!("{name}-schedule.svg"));
                TargetFile::open(&file)?.finish(plot.as_bytes())?;
            }
            for plot in time_sequence::svg(run, asked.lang)? {
                let file = folder.join(format!("{name}-bytes-{}.svg", plot.name));
                TargetFile::open(&file)?.finish(plot.svg.as_bytes())?;
            }
        }
    }
    if let Some(folder) = &asked.pcapng {
        make(folder)?;
        for (name, report, run) in named(&reports) {
            for host in Host::ALL {
                let file = folder.join(format!("{name}-{host}.pcapng"));
                TargetFile::open(&file)?.finish(&pcapng::capture(report, run, host))?;
            }
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Document> {
    let name = path.display().to_string();
    let bytes = fs::read(path).with_context(|| format!("cannot read the report {name}"))?;
    Ok(report::read(&name, &bytes)?)
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the directory {}; name one that you may write to", folder.display())
    })
}

/// Each run with a name for its file: `fin-wait-2-v4`, with the kernel if there are several reports, and with a number
/// where two names would be the same. Of a scenario's name only letters, digits and hyphens are kept.
fn named(reports: &[Document]) -> Vec<(String, &Document, &Run)> {
    let mut taken = BTreeSet::new();
    let runs = reports.iter().flat_map(|report| report.runs.iter().map(move |run| (report, run)));
    let named = runs.map(|(report, run)| {
        let version = if run.family == FamilyFilter::V6 { "v6" } else { "v4" };
        let mut name = format!("{}-{version}", plain(&run.scenario.name));
        if reports.len() > 1 {
            name = format!("{name}-{}", plain(&report.kernel));
        }
        let first = name.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{first}-{number}");
        }
        (name, report, run)
    });
    named.collect()
}

/// At most 80 letters, so that the name fits every file system.
fn plain(word: &str) -> String {
    let letters = word.chars().take(80);
    letters.map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}
