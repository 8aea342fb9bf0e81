//! The time that one run of each of tcpwatch's programs takes, while a workload triggers every hook.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::{
    bpf,
    case::Attachment,
    proc_files,
    statistics::per,
    table::{CellForm, Table},
    tool::Stdout,
    workload,
};

/// What the columns mean.
const LEGEND: &str = "\
One run of each program by the kernel's own measure, its own cost (some 20 ns) included, while 5,000
connections are opened and closed, 5,000 are refused and the answers to 250 are lost.
";

/// The table of the attached programs, in the order in which they were loaded.
pub(super) fn table(attached: &Attachment, form: CellForm) -> Result<String> {
    let running = attached.start(Stdout::Discarded)?;
    let holder = running.holder().context("nothing is attached")?;
    let before = proc_files::programs(holder)?;
    let timed = bpf::enable_statistics().context("cannot enable BPF statistics")?;
    workload::troubles()?;
    drop(timed);
    let after = proc_files::programs(holder)?;
    let mut table = Table::new(&["program", "runs", "ns/run"]);
    for (id, after) in &after {
        let before = before.get(id).copied().unwrap_or_default();
        let runs = after.runs.saturating_sub(before.runs);
        let time = after.run_time.saturating_sub(before.run_time);
        let name = bpf::program_name(*id).with_context(|| format!("program {id} has no name"))?;
        let nanos =
            if runs == 0 { "-".to_owned() } else { format!("{:.0}", per(time, runs) * 1000.0) };
        table.push(vec![name, runs.to_string(), nanos]);
    }
    running.end()?;
    let mut text = table.text(form);
    write!(text, "\n{LEGEND}")?;
    Ok(text)
}
