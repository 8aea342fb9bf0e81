//! What a segment costs at the tap on the laboratory's links, by the kernel's own statistics.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    bpf,
    command::Bench,
    hooks,
    proc_files::{self, ProgramsById},
};
use crate::command::die_with_this_thread;

/// Number of round trips: each is a data segment and one that acknowledges it.
const PINGS: usize = 500;
/// Interval between two readings of the programs' counts, which end with the run.
const LOOK: Duration = Duration::from_millis(20);

const LEGEND: &str = "\
As above, while a run of the laboratory sends 1,000 segments over its two links, each of which has a
rule for resets.
";

/// The table of the tap's programs.
pub(super) fn table(bench: &Bench) -> Result<String> {
    let file = std::env::temp_dir().join(format!("tcpwatch-bench-{}.toml", std::process::id()));
    fs::write(&file, scenario()).with_context(|| format!("cannot write {}", file.display()))?;
    let timed = bpf::enable_statistics().context("cannot enable BPF statistics")?;
    let mut command = Command::new(&bench.tcpwatch);
    command.args(["lab", "run"]).arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    die_with_this_thread(&mut command);
    let mut child = command.spawn().context("cannot start the laboratory")?;
    let (mut seen, mut names) = (ProgramsById::new(), BTreeMap::new());
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for the laboratory")? {
            break status;
        }
        // The run may end in the meantime.
        for (id, counts) in proc_files::programs(child.id()).unwrap_or_default() {
            seen.insert(id, counts);
            if let Ok(name) = bpf::program_name(id) {
                names.insert(id, name);
            }
        }
        sleep(LOOK);
    };
    drop(timed);
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    ensure!(status.success(), "the run of the laboratory failed ({status})");
    let mut table = hooks::runs();
    for (id, name) in names.into_iter().filter(|(_, name)| name.starts_with("tap_")) {
        let counts = seen.get(&id).copied().unwrap_or_default();
        table.push(hooks::row(name, counts.runs, counts.run_time));
    }
    let mut text = table.text(bench.form);
    write!(text, "\n{LEGEND}")?;
    Ok(text)
}

/// A scenario with many segments.
fn scenario() -> String {
    let ping = "    { client = \"send\", bytes = 100 },\n    { server = \"recv\", bytes = 100 },\n    \
                { wait = \"server\", returned = \"recv\" },\n";
    let rules = ["client", "server"].map(|host| {
        format!(
            "[[rule]]\nname = \"reset-{host}\"\non = \"{host}\"\nflags = \"RST\"\nfrom_start = true\n"
        )
    });
    format!(
        "title = \"many segments\"\nclaim = \"A connection that is used is established.\"\nsteps = [\n    \
         {{ server = \"listen\" }},\n    {{ server = \"accept\" }},\n    {{ client = \"connect\" }},\n    \
         {{ wait = \"server\", returned = \"accept\" }},\n{}]\n\n{}\n[[expect]]\nhost = \"client\"\n\
         state = \"ESTABLISHED\"\n",
        ping.repeat(PINGS),
        rules.concat()
    )
}
