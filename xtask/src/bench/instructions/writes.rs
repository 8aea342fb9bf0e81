//! Counts how often tcpwatch calls `write()` for its lines.

use std::time::Duration;

use anyhow::Result;

use crate::bench::{
    case,
    command::Bench,
    losses::LossReport,
    proc_files,
    statistics::number,
    tool::{Stdout, Tool},
    workload::Workload,
};

const LENGTH: Duration = Duration::from_secs(2);

pub(super) fn sentence(bench: &Bench) -> Result<String> {
    let spec = case::tcpwatch(&bench.tcpwatch, LossReport::Nothing, &["--format", "json"]);
    let tool = Tool::start(&spec, Stdout::Discarded)?;
    let before = proc_files::writes(tool.pid())?;
    let work = Workload::Churn.run(LENGTH)?;
    tool.settle()?;
    let writes = proc_files::writes(tool.pid())?.saturating_sub(before);
    tool.end()?;
    Ok(format!(
        "Live, with {:.0} changes a second: tcpwatch --format json calls write() {:.1} times for 1,000 \
         changes.",
        number(work.transitions) / work.ran.as_secs_f64(),
        1000.0 * number(writes) / number(work.transitions)
    ))
}
